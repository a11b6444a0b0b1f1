"""Judges the answers of one record by its domain; runs in a checker process."""

from __future__ import annotations

from dataclasses import replace

from evoltune.domain import Context, Domain
from evoltune.errors import DomainError
from evoltune.record import Record, Verdict


def judge(
    domain: Domain, record: Record, context: Context, *, profile: str = "sound", confirm: bool = False
) -> Record:
    """The record with a verdict on each answer. Runs in a checker process.

    `confirm` is the verify stage's alone: a vote must never lift a score or a reward.
    """
    how, task = domain.profiles[profile], record.task
    extract, verify_one = how.extract or domain.extract, how.verify or domain.verify
    found = [None if a.verdict else extract(task, a.text) for a in record.answers]
    verdicts = [
        answer.verdict
        or (Verdict(status="fail", reason="no answer found") if c is None else verify_one(task, c, context))
        for answer, c in zip(record.answers, found, strict=True)
    ]
    if confirm and domain.confirm and any(v.status == "unverifiable" for v in verdicts):
        confirmed = domain.confirm(task, found, record.evidence, context)
        if len(confirmed) != len(verdicts):
            raise DomainError(
                f"{domain.name!r}: confirm gave {len(confirmed)} verdicts for {len(verdicts)} candidates"
            )
        verdicts = list(confirmed)
    answers = tuple(
        replace(answer, verdict=answer.verdict or verdict)
        for answer, verdict in zip(record.answers, verdicts, strict=True)
    )
    return replace(record, answers=answers)
