"""Verifies the answers of one record with its domain. Runs in a verifier process; never reads a rows file or a recipe.

verify_record(domain, record, context, profile="gsm8k-strict")
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from evoltune.domain import Context, Domain, Profile
from evoltune.errors import DomainError, nearest
from evoltune.record import Answer, Record, Task, Verdict, digest

SAMPLES = "samples"
"""Name in `Record.evidence`: answers that were sampled to measure how hard the task is; they are never rows."""
REPAIRS = "repairs"
"""Name in `Record.evidence`: for each answer the `Repair` that it is, as JSON, or ""."""
ROUTE = "route"
"""Name in the evidence of a verdict: a hash of the way that the answer takes (`Domain.route`)."""
NO_ANSWER = "no answer found"
"""Reason of a `fail` where `extract` found nothing; evaluation counts it apart from wrong answers."""


@dataclass(frozen=True, kw_only=True)
class Repair:
    """An answer that was asked for after another one failed."""

    of: int
    """Which of the record's answers failed."""
    reason: str
    """What the teacher was told about it."""

    def to_text(self) -> str:
        return json.dumps(asdict(self))


def repairs_of(record: Record) -> tuple[Repair | None, ...]:
    """For each answer of the record the repair that it is, or None for one that was asked for by itself."""
    texts = record.evidence.get(REPAIRS, ())
    padded = (*texts, *("" for _ in range(len(record.answers) - len(texts))))
    return tuple(Repair(**json.loads(text)) if text else None for text in padded)


def times_repaired(record: Record, answer: int) -> int:
    """How often an answer was sent back before it became what it is."""
    repairs, times = repairs_of(record), 0
    while (repair := repairs[answer]) is not None:
        answer, times = repair.of, times + 1
    return times


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
        confirm: let `Domain.confirm` replace the verdicts where one is `unverifiable`, and note the routes of answers that passed.
            For the verify stage only: agreement between answers must not raise a score or a reward.
    """
    task, chosen = record.task, profile_of(domain, profile)
    extract, verify = chosen.extract or domain.extract, chosen.verify or domain.verify
    candidates = [None if a.verdict else _of_type(str | None, "extract", extract(task, a.text)) for a in record.answers]
    verdicts = [
        answer.verdict
        or (
            Verdict(status="fail", reason=NO_ANSWER)
            if c is None
            else _of_type(Verdict, "verify", verify(task, c, context))
        )
        for answer, c in zip(record.answers, candidates, strict=True)
    ]
    if confirm and domain.confirm and any(v.status == "unverifiable" for v in verdicts):
        verdicts = [_of_type(Verdict, "confirm", v) for v in domain.confirm(task, candidates, record.evidence, context)]
        if len(verdicts) != len(candidates):
            counts = f"{len(verdicts)} verdicts for {len(candidates)} candidates"
            raise DomainError(f"{domain.name!r}: confirm returned {counts}")
    judged = with_verdicts(record, verdicts)
    return _with_routes(domain, judged) if confirm else judged


def overlapping(domain: Domain, method: str, record: Record, problems: Sequence[Task], context: Context) -> list[str]:
    """Names of the problems that the record gives away, by one of the domain's overlap functions."""
    names = domain.overlap[method](record, problems, context)
    if isinstance(names, str):  # its letters would be names
        raise TypeError(f"overlap {method!r} gave a text, not a list of names: {names[:80]!r}")
    return [_of_type(str, f"overlap {method!r}", name) for name in names]


def _of_type(kind: Any, function: str, value: Any) -> Any:
    """The value that a function of the domain gave. Raises TypeError where it has another type."""
    if isinstance(value, kind):
        return value
    raise TypeError(f"{function} gave {type(value).__name__}: {repr(value)[:80]}")


def _with_routes(domain: Domain, record: Record) -> Record:
    """The record with the route of each answer that passed in its verdict's evidence, where there are several to choose from."""
    passed = {a.text for a in record.answers if a.verdict and a.verdict.status == "pass"}
    if domain.route is None or len(passed) < 2:
        return record
    routes = {text: digest(_of_type(str, "route", domain.route(record.task, text))) for text in passed}

    def routed(answer: Answer) -> Answer:
        if answer.verdict is None or answer.verdict.status != "pass":
            return answer
        evidence = {**answer.verdict.evidence, ROUTE: routes[answer.text]}
        return replace(answer, verdict=replace(answer.verdict, evidence=evidence))

    return replace(record, answers=tuple(map(routed, record.answers)))


def with_verdicts(record: Record, verdicts: Sequence[Verdict]) -> Record:
    """The record with these verdicts on its answers, in order; an answer that has one keeps it."""
    pairs = zip(record.answers, verdicts, strict=True)
    return replace(record, answers=tuple(replace(answer, verdict=answer.verdict or v) for answer, v in pairs))
