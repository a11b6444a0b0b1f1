"""Dialogues whose earlier turns did not verify.

    refuse = failed_turn(store, verify_step, keep=("pass",))
    refuse(record)   ->  "an earlier turn failed", or ""

A next turn follows an answer before anybody has verified it. Invariant: no row of the dataset teaches an answer, in any of its
turns, that the verify stage did not keep; turns that came with a seed are taken as they are.
"""

from collections.abc import Callable, Collection

from evoltune.record import Record
from evoltune.run.store import Step, Store


def failed_turn(store: Store, step: Step, keep: Collection[str]) -> Callable[[Record], str]:
    """A function that gives the reason to refuse a record, by the verdicts of `step` on the answers in its history."""

    def refuse(record: Record) -> str:
        history = record.task.history
        while record.parents and history:
            record = store.record(record.parents[0], step)
            if len(record.task.history) < len(history):  # the answer of this record is the turn before
                said = history[-1][1]
                verdicts = [a.verdict.status for a in record.answers if a.text == said and a.verdict]
                if verdicts and not set(verdicts) & set(keep):
                    return "an earlier turn failed"
                history = record.task.history
        return ""

    return refuse
