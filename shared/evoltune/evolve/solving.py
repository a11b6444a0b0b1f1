"""What rewrite functions may build on: a task with a solution that is its own, or one of the teacher's that was verified.

    parent = await solved(evolution, head)      # its answers are verified ones; its task has the reference that they give it

So seeds without a worked solution take part once the teacher's is verified, and so do tasks that the teacher wrote. A task that says
less than its verified answer gives is completed from it: the reference is what `Domain.extract` finds in the answer; tests and the
domain's columns are what the verdict's evidence holds under these names.

Invariant: verdicts are noted before they are used, so a resumed run builds on the same solution; the record in the store stays as it
is, and so does its id.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evoltune.domain import Domain, author_code
from evoltune.evolve.evolution import Evolution
from evoltune.evolve.rewriting import MODEL
from evoltune.record import Answer, Json, Record, Task


async def solved(evolution: Evolution, head: Record) -> Record:
    """A chain's newest record with those answers alone that rewrites may edit: the author's, else the teacher's that pass
    verification; none where there is neither. Where tests are all that is known of a task, the author's must pass them, too; and a
    reference that its own tests refute is none."""
    record = evolution.as_decided(head)
    model = evolution.recipe.teacher.model
    own = tuple(answer for answer in record.answers if answer.model != model)
    is_known = bool(record.task.reference) or record.task.tests is None
    if record.task.reference and record.task.tests is not None and not await _reference_passes(evolution, record):
        return replace(record, task=replace(record.task, reference=None), answers=())
    if (own and is_known) or not record.answers:
        return replace(record, answers=own)
    verdicts = await evolution.verifier.judge(record)
    answers = zip(record.answers, verdicts, strict=True)
    passed = tuple(replace(answer, verdict=verdict) for answer, verdict in answers if verdict.status == "pass")
    if not passed:
        return replace(record, answers=())
    task = await asyncio.to_thread(completed, evolution.domain, record.task, passed)
    return replace(record, task=task, answers=passed)


async def _reference_passes(evolution: Evolution, record: Record) -> bool:
    """Whether the tests of a task say nothing against its own reference; those that a rewrite made are known to pass."""
    if any(answer.model == MODEL for answer in record.answers):
        return True
    own = Answer(text=record.task.reference or "", model="reference")
    (verdict,) = await evolution.verifier.judge(replace(record, answers=(own,), evidence={}), of="reference")
    return verdict.status not in ("fail", "timeout", "memory")


def completed(domain: Domain, task: Task, passed: Sequence[Answer]) -> Task:
    """The task with the reference, the tests and the columns that its first verified answer gives it, where it has none."""
    first = passed[0]
    evidence: Mapping[str, Json] = first.verdict.evidence if first.verdict else {}
    found: dict[str, Any] = {name: evidence[name] for name in domain.columns if evidence.get(name)}
    with author_code(domain, "extract"):
        reference = task.reference or domain.extract(task, first.text)
    tests = task.tests if task.tests is not None else evidence.get("tests")
    return replace(task, reference=reference, tests=tests, fields={**found, **task.fields})
