"""What a store must hold: for each table of facts, the number of its rows and a sum of their hashes.

Both are kept in the same transaction as the rows, so rows that were lost or changed from outside are noticed when the store is
opened for writing. The sum does not depend on the order of rows.
"""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from typing import Any

import orjson

FACTS = ("records", "answers", "evidence", "verdicts", "decisions", "calls")
NOTE = "digests"
_MODULUS = 2**64
Sums = dict[str, tuple[int, int]]
"""table -> (rows, sum of their hashes)"""


def count_row(sums: Sums, table: str, row: Sequence[object]) -> None:
    """Adds a row that was inserted."""
    rows, total = sums[table]
    sums[table] = rows + 1, (total + _hash(row)) % _MODULUS


def _hash(row: Sequence[object]) -> int:
    text = "\x1f".join(map(_as_text, row))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _as_text(value: Any) -> str:
    """A value; an int as the float that SQLite may have made of it. What no run writes (NULL, bytes) counts as something else."""
    return (
        value if isinstance(value, str) else repr(value if value is None or isinstance(value, bytes) else float(value))
    )


def scan(db: sqlite3.Connection) -> Sums:
    """The sums of what is there now."""
    sums: Sums = dict.fromkeys(FACTS, (0, 0))
    for table in FACTS:
        for row in db.execute(f"SELECT * FROM {table}"):
            count_row(sums, table, row)
    return sums


def save(db: sqlite3.Connection, sums: Sums) -> None:
    """Notes the sums, within the caller's transaction."""
    text = orjson.dumps(sums).decode()
    if db.execute("UPDATE meta SET value=? WHERE key=?", (text, NOTE)).rowcount == 0:
        db.execute("INSERT INTO meta VALUES (?,?)", (NOTE, text))


def load(db: sqlite3.Connection) -> tuple[Sums, str]:
    """(the sums that hold, what is wrong with the rows or ""). The sums are noted with a store's first row."""
    found = scan(db)
    row = db.execute("SELECT value FROM meta WHERE key=?", (NOTE,)).fetchone()
    if row is None:
        if any(rows for rows, _ in found.values()):
            return found, "meta: what was written is not noted there any more"
        save(db, found)
        return found, ""
    try:
        noted: Sums = {table: (int(rows), int(total)) for table, (rows, total) in json.loads(row[0]).items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return found, "meta: what was written cannot be read"
    wrong = []
    for table in FACTS:
        (rows, total), (now, total_now) = noted.get(table, (0, 0)), found[table]
        if rows != now:
            wrong.append(f"{table}: {now} rows, {rows} were written")
        elif total != total_now:
            wrong.append(f"{table}: a row is not what was written")
    return found, "; ".join(wrong)
