"""Repairs as data of their own: what failed, why, and the answer that passed after the teacher was told.

    export_repairs(work, Path("pairs.jsonl"), "preference")        # evoltune data export runs/mine --form preference

| form | a row |
|---|---|
| preference | `prompt`, `chosen` (the repair), `rejected` (what it repairs), as DPO trainers read them |
| repairs | `prompt` ends with the failed answer and the reason; `completion` is the repair, and only it is trained on |

Only of rows that are in the dataset's training split, so that its certificate covers them. Invariant: what is chosen, or completed,
passed; what is rejected failed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoltune.dataset.rl_prompts import trained_records
from evoltune.evolve.tries import REPAIR
from evoltune.record import Record
from evoltune.rows.files import jsonl_writer
from evoltune.run.run import Run
from evoltune.text.prompts import fill_slots
from evoltune.verification.records import repairs_of

Turns = list[dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class RepairedAnswer:
    """An answer that passed, and the one that failed before it."""

    id: str
    prompt: Turns
    failed: str
    reason: str
    passed: str


def repairs_in(record: Record) -> Iterator[RepairedAnswer]:
    """The repairs of one verified record: answers that passed after one that did not."""
    turns = [*record.task.history, ("user", record.task.instruction)]
    for i, (answer, repair) in enumerate(zip(record.answers, repairs_of(record), strict=True)):
        if repair is None or answer.verdict is None or answer.verdict.status != "pass":
            continue
        before = record.answers[repair.of]
        if before.verdict is not None and before.verdict.score == 0.0:
            yield RepairedAnswer(
                id=f"{record.id}.{i}", prompt=[{"role": role, "content": text} for role, text in turns],
                failed=before.text, reason=repair.reason, passed=answer.text,
            )  # fmt: skip


def _turn(role: str, text: str) -> Turns:
    return [{"role": role, "content": text}]


def _preference(pair: RepairedAnswer) -> dict[str, Any]:
    return {
        "prompt": pair.prompt,
        "chosen": _turn("assistant", pair.passed),
        "rejected": _turn("assistant", pair.failed),
    }


def _repairs(pair: RepairedAnswer) -> dict[str, Any]:
    told = _turn("assistant", pair.failed) + _turn("user", fill_slots(REPAIR, reason=pair.reason))
    return {"prompt": pair.prompt + told, "completion": _turn("assistant", pair.passed)}


REPAIR_FORMS: Mapping[str, Callable[[RepairedAnswer], dict[str, Any]]] = {
    "preference": _preference,
    "repairs": _repairs,
}


def export_repairs(work: Run, target: Path, form: str) -> int:
    """Writes the repairs of a run's dataset as JSONL; returns their number. Raises DataError where there is no finished dataset."""
    count = 0
    with jsonl_writer(target) as write:
        for record in trained_records(work):
            for pair in repairs_in(record):
                write({"id": pair.id, **REPAIR_FORMS[form](pair), "reason": pair.reason})
                count += 1
    return count
