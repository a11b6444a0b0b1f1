"""Runs one untrusted query on a temporary database in memory.

Only reading is authorised, so injected statements cannot write, attach files or load code. A progress handler bounds the time;
rows and cells are bounded too. All of it runs in a verifier process of Evoltune, which can be killed from outside.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

ROWS = 10_000
CELL = 1_000_000  # bytes of one value
LIMIT_S = 0.5
ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
FORBIDDEN_FUNCTIONS = {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"}


class Refused(Exception):
    """The query does something other than reading, or its result is too large."""


@dataclass(frozen=True, kw_only=True)
class Result:
    rows: list[tuple[object, ...]]
    columns: int


def _authorise(action: int, first: str | None, second: str | None, *_: object) -> int:
    if action not in ALLOWED or (second or "").lower() in FORBIDDEN_FUNCTIONS:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def execute(schema: str, query: str) -> Result:
    """The query's result on a fresh database made by `schema` (trusted). Raises Refused or sqlite3.Error."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    try:
        db.executescript(schema)
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, CELL)
        db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        db.set_authorizer(_authorise)
        end = time.monotonic() + LIMIT_S
        db.set_progress_handler(lambda: time.monotonic() > end, 1000)
        cursor = db.execute(query)  # one statement only: sqlite3 refuses a second
        rows = cursor.fetchmany(ROWS + 1)
        if len(rows) > ROWS:
            raise Refused(f"more than {ROWS} rows")
        if cursor.description is None:
            raise Refused("not a query")
        return Result(rows=rows, columns=len(cursor.description))
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            raise TimeoutError(f"over {LIMIT_S} s") from error
        raise
    finally:
        db.close()
