"""Cassettes: a run's teacher journal as a file of JSON lines, and the teacher that replays it.

    evoltune cassette export runs/demo demo.jsonl      then      teacher: {kind: replay, cassette: demo.jsonl}

Invariant: replay answers only what was recorded; a request that is not on the cassette is an error, never a guess.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evoltune.errors import DataError, TeacherError
from evoltune.rows.files import jsonl_writer
from evoltune.rows.readers import read_json_lines
from evoltune.run.store import Store, Usage
from evoltune.teacher.protocol import Reply, Request, request_key


def export_cassette(store: Store, path: Path) -> int:
    """Writes every journalled call to `path` (gzip when it ends in .gz), ordered by key so that diffs stay small, and
    returns how many."""
    count = 0
    with jsonl_writer(path) as write:
        for call in store.calls():
            write(call)
            count += 1
    return count


def read_cassette(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The calls on a cassette. Raises DataError with file and line."""
    for where, call in read_json_lines(Path(path).expanduser()):
        texts = call.get("texts")
        if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts) or "key" not in call:
            raise DataError(f"{where}: not a line of a cassette: needs `key` and a list `texts`")
        yield call


class ReplayTeacher:
    """Answers by request key."""

    def __init__(self, calls: Mapping[str, Mapping[str, Any]], name: str) -> None:
        self._calls, self._name = calls, name

    async def complete(self, request: Request) -> Reply:
        call = self._calls.get(request_key(request))
        if call is None:
            raise TeacherError(
                f"{self._name}: no reply to this request (purpose {request.purpose!r}, record {request.record or '-'}) "
                f"among {len(self._calls)}: recorded with another recipe, domain or version; export it again"
            )
        usage = Usage(prompt_tokens=call.get("prompt_tokens", 0), completion_tokens=call.get("completion_tokens", 0))
        return Reply(texts=tuple(call["texts"]), usage=usage, truncated=tuple(call.get("cut", ())))


def load_cassette(path: str | os.PathLike[str]) -> ReplayTeacher:
    """The teacher that answers from a cassette. Raises DataError."""
    return ReplayTeacher({call["key"]: call for call in read_cassette(path)}, str(path))
