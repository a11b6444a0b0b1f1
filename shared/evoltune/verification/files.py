"""Verifies the rows of a file: reads them, writes verdict rows as they come, and resumes after a kill.

    rows = (row for _, row in read_any_rows("samples.jsonl", renames={"answer": "output"}))
    for row in verify_to_file({"sound": checker}, rows, Path("verdicts.jsonl"), key): ...

Invariant: OUT appears when every row has its verdict; until then OUT.partial holds the verdicts so far, and only a command
with the same key (rows, domain, settings, profiles) continues it.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from evoltune.domain import Domain, source_hash
from evoltune.errors import DataError
from evoltune.recipe import Verification
from evoltune.record import digest
from evoltune.rows.files import atomic_path, file_digest, repair
from evoltune.rows.readers import BadRow, read_found
from evoltune.verification.checker import Checker, limits_of
from evoltune.verification.rows import verify_rows

CHUNK = 256
"""Rows that all profiles verify before the next rows are read."""


def read_any_rows(file: str, renames: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """(file:line, row) of a file or of standard input (`-`), every JSON value being a row.

    Args:
        renames: our column -> the file's column.

    Raises:
        DataError: a line is not JSON.
    """
    for where, row in read_found(file):
        yield where, _renamed(_any_json(row), renames)


def _any_json(row: dict[str, Any] | BadRow) -> Any:
    """Rows that datasets must not have get a verdict too: NaN, half a surrogate pair, a value that is no object."""
    if not isinstance(row, BadRow):
        return row
    try:
        return json.loads(row.text)
    except (ValueError, RecursionError):
        raise DataError(f"{row.where}: {row.reason}: fix or delete this row") from None


def _renamed(row: Any, renames: Mapping[str, str]) -> Any:
    if not isinstance(row, Mapping):
        return row
    return {**row, **{ours: row[theirs] for ours, theirs in renames.items() if theirs in row}}


def verify_with_profiles(checkers: Mapping[str, Checker], rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Verdict rows by the first profile; with several, "profiles" holds the status by each."""
    first, *others = checkers.values()
    if not others:
        yield from verify_rows(first, rows)
        return
    source = iter(rows)
    while chunk := list(islice(source, CHUNK)):
        by_profile = [list(verify_rows(checker, chunk)) for checker in checkers.values()]
        for verdicts in zip(*by_profile, strict=True):
            statuses = {name: row["status"] for name, row in zip(checkers, verdicts, strict=True)}
            yield verdicts[0] | {"profiles": statuses}


def verify_to_file(
    checkers: Mapping[str, Checker],
    rows: Iterable[Any],
    out: Path,
    key: str,
    resumed: Callable[[int], None] = lambda rows: None,
) -> Iterator[dict[str, Any]]:
    """Verdict rows, each written before it is yielded; those of an earlier, killed run come first.

    Args:
        key: names all that the verdicts depend on; empty: never resume.
        resumed: called with the number of rows that an earlier run has verified.
    """
    partial, head = out.with_name(f"{out.name}.partial"), json.dumps({"run": key}) + "\n"
    done = 0
    for row in _earlier(partial, head) if key else ():
        done += 1
        yield row
    if done:
        resumed(done)
    out.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("a" if done else "w", encoding="utf-8") as file:
        if not done:
            file.write(head)
        for row in verify_with_profiles(checkers, islice(rows, done, None)):
            file.write(json.dumps(row) + "\n")
            file.flush()
            yield row
    with atomic_path(out) as temporary, partial.open("rb") as source, temporary.open("wb") as target:
        source.readline()
        shutil.copyfileobj(source, target)
    partial.unlink()


def file_key(
    file: str, domain: Domain, settings: Verification, profiles: Sequence[str], renames: Mapping[str, str], suite: str
) -> str:  # fmt: skip
    """A digest of all that the verdicts of a file depend on; empty for standard input, folders and hub datasets, whose rows
    may differ the next time.

    Args:
        suite: the hash of the suite that the rows are joined with, if any.
    """
    if not Path(file).is_file():
        return ""
    parts = [source_hash(domain), limits_of(settings), list(profiles), dict(renames), suite, file_digest(Path(file))]
    return digest(parts)


def _earlier(partial: Path, head: str) -> Iterator[dict[str, Any]]:
    repair(partial)  # a kill can leave half a line
    if not partial.is_file():
        return
    with partial.open(encoding="utf-8") as file:
        if file.readline() == head:
            yield from map(json.loads, file)
