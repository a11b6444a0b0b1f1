"""Queries of a store, and what SQLite says as errors of ours.

with sqlite_errors(folder): db.execute(...)      # sqlite3.DatabaseError becomes StoreError, which says what to do
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evoltune.errors import StoreError
from evoltune.rows.files import elsewhere
from evoltune.run.paths import STORE

_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
"""Full disks: the second is what the index of the write-ahead log meets."""

_CHANGED = "no such column"
"""What SQLite says of a table that was changed from outside: our queries name no column that a store lacks."""


class Rows:
    """The rows of a query. A damaged page is a StoreError also when it is met after the first rows."""

    def __init__(self, db: sqlite3.Connection, folder: Path, query: str, values: Sequence[object]) -> None:
        self._folder = folder
        with sqlite_errors(folder):
            self._cursor = db.execute(query, values)

    @property
    def names(self) -> list[str]:
        return [d[0] for d in self._cursor.description]

    def fetchone(self) -> Any:
        with sqlite_errors(self._folder):
            return self._cursor.fetchone()

    def __iter__(self) -> Iterator[Any]:
        with sqlite_errors(self._folder):
            yield from self._cursor


def damaged(folder: Path, what: str) -> StoreError:
    """The error for a store in which something is not as it was written."""
    todo = f"`evoltune doctor {folder} --repair` makes a new one of the replies that can be read; or restore a copy"
    return StoreError(f"{folder / STORE}: damaged ({what}): {todo}, or start a new run directory")


class sqlite_errors:
    """Errors of SQLite as StoreError. A class, because it is entered for each query and costs a third of a generator."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, sqlite3.DatabaseError):
            if str(error).startswith(_CHANGED):
                raise damaged(self._folder, str(error)) from error
            path, todo = self._folder / STORE, "check disk space, rights and the file, then run again"
            if getattr(error, "sqlite_errorcode", None) in _NO_ROOM:
                todo = f"free some space there, or {elsewhere(path)}, then run again"
            raise StoreError(f"{path}: {error}: everything committed before is kept; {todo}") from error
