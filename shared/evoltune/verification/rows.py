"""Rows of any origin through a checker: each gets one verdict row, in order; a row that cannot be read gets an `error`.

for row in verify_rows(checker, [{"id": 1, "answer": "0.5", "reference": "1/2"}]): print(row["status"])
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

from evoltune.domain import Domain, to_task
from evoltune.errors import DataError
from evoltune.record import Answer, Record, Verdict
from evoltune.verification.checker import Checker

MAX_DEPTH = 64
"""Containers within containers in a row; deeper ones would exhaust the stack of JSON encoders."""


def verify_rows(checker: Checker, rows: Iterable[Any], first: int = 1) -> Generator[dict[str, Any], None, None]:
    """Verdict rows in input order.

    Args:
        rows: objects with `answer` and the domain's columns, or records.
        first: the number of the first row: the id of rows without one, and their name in reasons.
    """
    waiting: deque[tuple[Any, Verdict | None]] = deque()

    def records() -> Iterator[Record]:
        for number, row in enumerate(rows, first):
            record = row if isinstance(row, Record) else _to_record(checker.domain, row, f"row {number}")
            if isinstance(record, Record):
                waiting.append((_id(row, number), None))
                yield record
            else:
                waiting.append((_id(row, number), record))

    def unreadable() -> Iterator[dict[str, Any]]:
        while waiting and (verdict := waiting[0][1]):
            yield verdict_row(waiting.popleft()[0], verdict)

    for record in checker.verify(records()):
        yield from unreadable()
        verdict = record.answers[0].verdict
        assert verdict is not None
        yield verdict_row(waiting.popleft()[0], verdict)
    yield from unreadable()


def verdict_row(row_id: Any, verdict: Verdict) -> dict[str, Any]:
    """An output row: id, status, reason, score, seconds, evidence."""
    return {
        "id": row_id, "status": verdict.status, "reason": verdict.reason, "score": verdict.score,
        "seconds": round(verdict.seconds, 6), "evidence": dict(verdict.evidence),
    }  # fmt: skip


def _id(row: Any, number: int) -> Any:
    if isinstance(row, Record):
        return row.task.name or number
    row_id = row.get("id", number) if isinstance(row, Mapping) else number
    return number if _too_deep(row_id) else row_id


def _to_record(domain: Domain, row: Any, where: str) -> Record | Verdict:
    """The record of a row, or the verdict on a row that cannot be read."""
    try:
        if not isinstance(row, Mapping):
            raise DataError(f"{where}: a row must be an object, not {type(row).__name__}")
        if _too_deep(row):
            raise DataError(f"{where}: nested deeper than {MAX_DEPTH} levels")
        if (answer := row.get("answer")) is None:
            raise DataError(f"{where}: has no 'answer'")
        if not isinstance(answer, str):
            raise DataError(f"{where}: 'answer' is a {type(answer).__name__}, must be a string")
        task = to_task(domain, row, where)
    except (DataError, ValueError) as error:  # ValueError: an integer of more digits than str() allows
        return Verdict(status="error", reason=str(error))
    return Record(domain=domain.name, task=task, answers=(Answer(text=answer, model=""),))


def _too_deep(value: Any) -> bool:
    """Level by level and each container once, so that shared and self-referring containers cost no more than others."""
    level: list[Any] = [(value,)]
    for _ in range(MAX_DEPTH + 2):
        inner = (part for box in level for part in (box.values() if isinstance(box, Mapping) else box))
        level = list({id(part): part for part in inner if isinstance(part, Mapping | list | tuple)}.values())
        if not level:
            return False
    return True
