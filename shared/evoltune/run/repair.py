"""A new store out of a damaged one: the teacher's replies that can still be read, so that nothing of them is paid again.

    saved = repair(Path("runs/mine"))       # evoltune doctor runs/mine --repair

Only the journal is taken over, and what the budget must remember: everything else is made again from it, without a call. The
damaged file stays beside the new one.
"""

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoltune.errors import DataError, StoreError
from evoltune.run.lock import locked
from evoltune.run.paths import RUN_LOCK, STORE, STORE_LOCK
from evoltune.run.store import Store, Usage
from evoltune.run.tables import columns

KEPT_NOTES = ("budget:lost", "budget:wall_s", "budget:servers", "budget:bounded")
PAGE_BYTES = 4096
"""SQLite's default, which a store keeps."""
MOST_LOST = 2_000
"""Rows one after another that cannot be read, where nothing says how many there were."""
_COLUMNS = (
    "key", "purpose", "model", "record", "request", "texts", "prompt_tokens", "completion_tokens", "usd", "cut",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Salvage:
    """What a repair saved."""

    replies: int
    unreadable: int
    """Places of the journal that held none, or one that is damaged."""
    damaged: Path
    """Where the old file is now."""


def problem_of(folder: Path) -> str:
    """What is wrong with the store of a run, or "". Raises DataError: there is none; StoreError: a process works on it."""
    if not (folder / STORE).is_file():
        raise DataError(f"{folder}: no {STORE} there: give the directory of a run")
    with suppress(StoreError):
        Store.open(folder).close()
        return ""
    with locked(folder, STORE_LOCK):  # it is not a lock that is wrong
        pass
    try:
        Store.open(folder).close()
    except StoreError as error:
        return str(error)
    return ""


def repair(folder: Path) -> Salvage:
    """Replaces a damaged store. Raises StoreError while a process works there, and when nothing can be read."""
    if not (folder / STORE).is_file():
        raise DataError(f"{folder}: no {STORE} there: give the directory of a run")
    with locked(folder, RUN_LOCK):
        with locked(folder, STORE_LOCK):
            calls, unreadable, notes = _read(folder / STORE)
            if not calls:
                calls, unreadable, notes = _read_with_new_head(folder)
            if not calls:
                raise StoreError(
                    f"{folder / STORE}: no reply in it can be read: fetch what was published (`evoltune runs fetch`), or start "
                    "a new run directory"
                )
            number = next(n for n in range(1, 10_000) if not (folder / f"damaged-{n}.sqlite").exists())
            damaged = folder / f"damaged-{number}.sqlite"
            for log in ("-wal", "-shm"):
                with suppress(FileNotFoundError):
                    (folder / (STORE + log)).replace(damaged.with_name(damaged.name + log))
            (folder / STORE).replace(damaged)
        with Store.open(folder) as store:
            for call in calls:
                store.journal(**call)
            for key, value in notes.items():
                store.note(key, value)
    return Salvage(replies=len(calls), unreadable=unreadable, damaged=damaged)


def _read(path: Path) -> tuple[list[dict[str, Any]], int, dict[str, Any]]:
    """(the journal's readable calls, the number of unreadable places, the budget's notes)."""
    calls, unreadable = [], 0
    notes: dict[str, Any] = {}
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for row in _rows(db):
            call = _call(row) if row is not None else None
            if call is None:
                unreadable += 1
            else:
                calls.append(call)
        key, value = _named(db, "meta", ("key", "value"))
        for kept in KEPT_NOTES:
            with suppress(sqlite3.DatabaseError, ValueError, TypeError, RecursionError):
                if found := db.execute(f"SELECT {value} FROM meta WHERE {key}=?", (kept,)).fetchone():
                    notes[kept] = json.loads(found[0])
    return calls, unreadable, notes


def _read_with_new_head(folder: Path) -> tuple[list[dict[str, Any]], int, dict[str, Any]]:
    """What `_read` gives where the first page is damaged or the file is cut off: that page, which says where the tables begin and
    how many pages there are, is the same in every new store but for their number."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".repair-", suffix=".tmp") as temporary:
        Store.open(Path(temporary)).close()
        copy = Path(temporary) / STORE
        head = bytearray(copy.read_bytes()[:PAGE_BYTES])
        shutil.copyfile(folder / STORE, copy)
        head[28:32] = (copy.stat().st_size // PAGE_BYTES).to_bytes(4, "big")  # www.sqlite.org/fileformat2.html, 1.3
        with copy.open("r+b") as file:
            file.write(head)
        return _read(copy)


def _rows(db: sqlite3.Connection) -> Iterator[tuple[Any, ...] | None]:
    """The journal's rows in order; None where one cannot be read."""
    last = 0
    with suppress(sqlite3.DatabaseError):
        last = db.execute("SELECT max(rowid) FROM calls").fetchone()[0] or 0
    at = lost = 0
    query = f"SELECT rowid, {', '.join(_named(db, 'calls', _COLUMNS))} FROM calls WHERE rowid>? ORDER BY rowid"
    while True:
        try:
            for rowid, *row in db.execute(query, (at,)):
                yield from [None] * lost
                at, lost = rowid, 0
                yield tuple(row)
            return
        except sqlite3.DatabaseError:
            at, lost = at + 1, lost + 1
            if at > last and (last or lost > MOST_LOST):
                break
    yield from [None] * (lost if last else 1)  # of an end that is cut off nobody knows how long it was


def _named(db: sqlite3.Connection, table: str, names: Sequence[str]) -> list[str]:
    """The columns' names in that table, by their place where one of them was renamed."""
    found: list[str] = []
    with suppress(sqlite3.DatabaseError):
        found = columns(db, table)
    if len(found) != len(names) or {*names} == {*found}:
        return [*names]
    return ['"' + name.replace('"', '""') + '"' for name in found]


def _call(row: tuple[Any, ...]) -> dict[str, Any] | None:
    """A row as the arguments of `Store.journal`; None when it is damaged."""
    key, purpose, model, record, request, texts, prompt, completion, usd, cut = row
    try:
        call = {
            "key": str(key), "purpose": str(purpose), "model": str(model), "record": str(record),
            "request": json.loads(request), "texts": json.loads(texts), "truncated": json.loads(cut),
            "usage": Usage(prompt_tokens=int(prompt), completion_tokens=int(completion), usd=float(usd)),
        }  # fmt: skip
    except (ValueError, TypeError, RecursionError):
        return None
    whole = isinstance(call["texts"], list) and all(isinstance(text, str) for text in call["texts"])
    return call if whole else None
