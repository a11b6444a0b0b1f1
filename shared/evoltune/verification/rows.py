"""Foreign rows through a checker: each gets an output row with its verdict, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evoltune.domain import Domain, to_task
from evoltune.errors import DataError
from evoltune.record import Answer, Record, Task, Verdict
from evoltune.verification.checker import Checker

MAX_DEPTH = 64
"""Containers within containers in a row; deeper ones would exhaust the stack of whatever walks them."""


def _record(domain: Domain, row: Any, where: str) -> Record | Verdict:
    """The record of one foreign row, or the verdict on a row that cannot be judged."""
    if not isinstance(row, Mapping):
        return Verdict(status="error", reason=f"{where}: a row must be an object, not {type(row).__name__}")
    if _too_deep(row):
        return Verdict(status="error", reason=f"{where}: nested deeper than {MAX_DEPTH} levels")
    answer = row.get("answer")
    if not isinstance(answer, str):
        said = (
            "has no 'answer'"
            if answer is None
            else f"'answer' is a {type(answer).__name__}, must be a string"
        )
        return Verdict(status="error", reason=f"{where}: {said}")
    try:
        task = to_task(domain, row, where)
    except (DataError, ValueError) as error:  # ValueError: an integer too long to write down
        return Verdict(status="error", reason=str(error))
    return Record(domain=domain.name, task=task, answers=(Answer(text=answer, model=""),))


def _too_deep(value: Any) -> bool:
    level: dict[int, Any] = {0: (value,)}
    for _ in range(MAX_DEPTH + 2):
        inner = (part for w in level.values() for part in (w.values() if isinstance(w, Mapping) else w))
        level = {id(part): part for part in inner if isinstance(part, Mapping | list | tuple)}
        if not level:
            return False
    return True


def row_of(id: Any, verdict: Verdict) -> dict[str, Any]:
    """An output row: id, status, reason, score, seconds, evidence."""
    return {
        "id": id, "status": verdict.status, "reason": verdict.reason, "score": verdict.score,
        "seconds": round(verdict.seconds, 6), "evidence": dict(verdict.evidence),
    }  # fmt: skip


def verify_rows(checker: Checker, rows: Iterable[Any], first: int = 1) -> Iterator[dict[str, Any]]:
    """Output rows in input order; a row that cannot be judged gets an `error` with the reason.

    `first` is the number of the first row: the id of rows without one, and their name in reasons.
    """
    waiting: deque[tuple[Any, Record | Verdict]] = deque()

    def records() -> Iterator[Record]:
        for number, row in enumerate(rows, first):
            made = row if isinstance(row, Record) else _record(checker.domain, row, f"row {number}")
            id = (
                row.get("id", number)
                if isinstance(row, Mapping)
                else getattr(made, "task", Task(instruction="")).name or number
            )
            waiting.append((number if _too_deep(id) else id, made))
            if isinstance(made, Record):
                yield made

    def settled() -> Iterator[dict[str, Any]]:
        while waiting and isinstance(waiting[0][1], Verdict):
            id, verdict = waiting.popleft()
            assert isinstance(verdict, Verdict)
            yield row_of(id, verdict)

    for record in checker.verify(records()):
        yield from settled()
        id, _ = waiting.popleft()
        verdict = record.answers[0].verdict
        assert verdict is not None
        yield row_of(id, verdict)
    yield from settled()
