"""An append-only JSONL file that survives kill -9: an incomplete last line is cut off when the file is opened again.

    with Journal(path) as journal: journal.append({"problem": "HumanEval/0", "sample": 0, ...})

Invariant: every line that `read_journal` yields was written whole; a damaged line that is not the last is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from evoltune.errors import DataError


class Journal:
    """One writer; each `append` is one `write` of one line."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        repair(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def append(self, row: Mapping[str, Any]) -> None:
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        while line:  # a full disk may take a part first; the rest then raises OSError
            line = line[os.write(self._file, line) :]

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)


def repair(path: Path) -> int:
    """Cuts off an incomplete last line. Returns the number of bytes removed."""
    if not path.is_file() or not (size := path.stat().st_size):
        return 0
    with path.open("r+b") as file:
        kept = size
        while kept:
            start = max(0, kept - 65536)
            file.seek(start)
            found = file.read(kept - start).rfind(b"\n")
            if found >= 0:
                kept = start + found + 1
                break
            kept = start
        if kept < size:
            file.truncate(kept)
    return size - kept


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The complete lines of a journal; none when it does not exist. Raises DataError that names a damaged line."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                row = orjson.loads(line)
            except ValueError as error:
                raise DataError(
                    f"{path}:{number}: not JSON: {error}: delete this line; its work is repeated"
                ) from error
            if not isinstance(row, dict):
                raise DataError(f"{path}:{number}: a row must be a JSON object, this is a {type(row).__name__}")
            yield row
