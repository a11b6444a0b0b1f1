"""Verifies the answers of one record with its domain. Runs in a verifier process; never reads a rows file or a recipe.

verify_record(domain, record, context, profile="gsm8k-strict")
"""

from collections.abc import Sequence
from dataclasses import replace

from evoltune.domain import Context, Domain, Profile
from evoltune.errors import DomainError, nearest
from evoltune.record import Record, Verdict

SAMPLES = "samples"
"""Name in `Record.evidence`: answers that were sampled to measure how hard the task is; they are never rows."""
NO_ANSWER = "no answer found"
"""Reason of a `fail` where `extract` found nothing; evaluation counts it apart from wrong answers."""


def profile_of(domain: Domain, name: str) -> Profile:
    """A scoring profile of the domain. Raises DomainError where it has none of this name."""
    if name not in domain.profiles:
        known = nearest(name, domain.profiles)
        raise DomainError(f"profile {name!r}: the domain {domain.name!r} has none: {known}")
    return domain.profiles[name]


def verify_record(
    domain: Domain, record: Record, context: Context, *, profile: str = "sound", confirm: bool = False
) -> Record:
    """The record with a verdict on each answer; an answer that has one keeps it.

    Args:
        profile: whose `extract` and `verify` replace the domain's own.
        confirm: let `Domain.confirm` replace the verdicts where one is `unverifiable`. For the verify stage only: agreement
            between answers must not raise a score or a reward.
    """
    task, chosen = record.task, profile_of(domain, profile)
    extract, verify = chosen.extract or domain.extract, chosen.verify or domain.verify
    candidates = [None if a.verdict else extract(task, a.text) for a in record.answers]
    verdicts = [
        answer.verdict or (Verdict(status="fail", reason=NO_ANSWER) if c is None else verify(task, c, context))
        for answer, c in zip(record.answers, candidates, strict=True)
    ]
    if confirm and domain.confirm and any(v.status == "unverifiable" for v in verdicts):
        verdicts = list(domain.confirm(task, candidates, record.evidence, context))
        if len(verdicts) != len(candidates):
            counts = f"{len(verdicts)} verdicts for {len(candidates)} candidates"
            raise DomainError(f"{domain.name!r}: confirm returned {counts}")
    return with_verdicts(record, verdicts)


def with_verdicts(record: Record, verdicts: Sequence[Verdict]) -> Record:
    """The record with these verdicts on its answers, in order; an answer that has one keeps it."""
    pairs = zip(record.answers, verdicts, strict=True)
    return replace(record, answers=tuple(replace(answer, verdict=answer.verdict or v) for answer, v in pairs))
