"""Cassettes: a run's teacher journal as a file of JSON lines, and the teacher that replays it.

    evoltune cassette export runs/demo demo.jsonl      then      teacher: {kind: replay, cassette: demo.jsonl}

Invariant: replay answers only what was recorded; a request that is not on the cassette is an error, never a guess.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from evoltune.errors import DataError, TeacherError
from evoltune.rows.files import jsonl_writer
from evoltune.run.store import Store, Usage
from evoltune.teacher.protocol import Reply, Request, request_key


def export_cassette(store: Store, path: Path) -> int:
    """Writes every journalled call to `path` (gzip when it ends in .gz); returns how many. Key order: diffs stay small."""
    count = 0
    try:
        with jsonl_writer(path) as write:
            for call in store.calls():
                write(call)
                count += 1
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from error
    return count


def read_cassette(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The calls on a cassette. Raises DataError with file and line."""
    path = Path(path).expanduser()
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _call(line, f"{path}:{number}")
    except OSError as error:
        raise DataError(f"{path}: the cassette cannot be read: {error.strerror or error}") from error


def _call(line: bytes, where: str) -> dict[str, Any]:
    try:
        call = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error}") from error
    texts = call.get("texts") if isinstance(call, dict) else None
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts) or "key" not in call:
        raise DataError(f"{where}: not a cassette line: needs `key` and a list `texts`")
    return dict(call)


def load_cassette(path: str | os.PathLike[str]) -> ReplayTeacher:
    """The teacher that answers from a cassette."""
    return ReplayTeacher({call["key"]: call for call in read_cassette(path)}, str(path))


class ReplayTeacher:
    """Answers by request key."""

    def __init__(self, calls: Mapping[str, Mapping[str, Any]], name: str) -> None:
        self._calls, self._name = calls, name

    async def complete(self, request: Request) -> Sequence[str]:
        call = self._calls.get(request_key(request))
        if call is None:
            raise TeacherError(
                f"{self._name}: no reply to this request (purpose {request.purpose!r}, record {request.record or '-'}) "
                f"among {len(self._calls)}: recorded with another recipe, domain or version; export it again"
            )
        usage = Usage(
            prompt_tokens=call.get("prompt_tokens", 0), completion_tokens=call.get("completion_tokens", 0)
        )
        return Reply(texts=tuple(call["texts"]), usage=usage, cut=tuple(call.get("cut", ())))
