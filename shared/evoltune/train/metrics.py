"""The curves of a training, `metrics.jsonl`: a line for each logged step.

    append(folder / METRICS, {"step": 3, "loss": math.nan})      # {"step":3,"loss":null}
    rows = up_to(folder / METRICS, step=2)                       # a training that goes on from a checkpoint

Invariant: every line is JSON, which has no NaN and no infinity, so that a report can always be written; half a line, left by
a full disk or a crash, is cut off.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evoltune.rows.files import Journal, jsonl_writer, read_journal


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Adds a line; a number that is not finite becomes null."""
    with Journal(path) as journal:
        journal.append({k: float(v) if isinstance(v, float) else v for k, v in line.items()})  # numpy's are floats too


def up_to(path: Path, step: int) -> list[dict[str, Any]]:
    """The lines up to a step. Raises DataError for a line that is not JSON."""
    return [row for row in read_journal(path) if row["step"] <= step]


def replace(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """The file then holds these lines: those after a checkpoint are made again."""
    with jsonl_writer(path) as write:
        for row in rows:
            write(row)
