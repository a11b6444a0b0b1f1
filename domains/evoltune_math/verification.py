"""`Domain.verify` for mathematics: a candidate against the task's reference, under the recipe's policy.

A pure function that runs inside a killable worker: no signals, no threads, no exceptions for any text.
"""

from __future__ import annotations

from evoltune.domain import Context
from evoltune.record import Task, Verdict
from evoltune_math.check import judge


def verify(task: Task, candidate: str, context: Context) -> Verdict:
    """pass, fail, or unverifiable when the task has no reference."""
    return judge(candidate, task.reference, context.policy)
