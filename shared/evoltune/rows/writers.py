"""Writing foreign rows back as they were, as JSONL: atomic, and only once everything went well.

with writer(Path("clean.jsonl")) as write: write({"instruction": "..."})
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from evoltune.errors import DataError


@contextmanager
def writer(path: Path | None) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that appends a row; the file appears when the block ends without an error. None: rows go nowhere."""
    if path is None:
        yield lambda row: None
        return
    if path.suffix not in (".jsonl", ".ndjson"):
        raise DataError(f"{path}: rows are written as JSON lines: give a name that ends in .jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as handle:

            def write(row: Mapping[str, Any]) -> None:
                handle.write(orjson.dumps(row, default=str) + b"\n")

            yield write
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
