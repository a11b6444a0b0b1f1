"""The tables of a run store, and how those of version 0.1 become today's.

wrong_columns(db)   # "" where every table that is there has today's columns, or those of version 0.1
create(db)          # for a writer: what is missing is made, what is old is changed, in one transaction
show_as_today(db)   # for a reader: old tables look like today's
"""

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from evoltune.run import digests

TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (id TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
    record TEXT, step TEXT, i INTEGER, model TEXT, text TEXT, PRIMARY KEY (record, step, i));
CREATE TABLE IF NOT EXISTS evidence (record TEXT, step TEXT, body TEXT NOT NULL, PRIMARY KEY (record, step));
CREATE TABLE IF NOT EXISTS verdicts (record TEXT, i INTEGER, step TEXT, body TEXT NOT NULL, PRIMARY KEY (record, i, step));
CREATE TABLE IF NOT EXISTS decisions (
    step TEXT, record TEXT, reason TEXT NOT NULL, round INTEGER NOT NULL, PRIMARY KEY (step, record)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS calls (
    key TEXT PRIMARY KEY, purpose TEXT NOT NULL, model TEXT NOT NULL, record TEXT NOT NULL, request TEXT NOT NULL,
    texts TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, usd REAL NOT NULL,
    cut TEXT NOT NULL);
"""

_OLD_FACTS = {"answers": ("i", "model", "text"), "evidence": ("body",)}
"""The tables that did not say which step made a fact: it counts as made by each step that drew the record."""


def columns(db: sqlite3.Connection, table: str) -> list[str]:
    """The columns' names in their order; none where there is no such table."""
    return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]


def wrong_columns(db: sqlite3.Connection) -> str:
    """What of a database that was written from outside does not fit: a table whose columns or primary key are not those that
    `create` gives it. "" where there is none."""
    old = _old_facts(db)
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(TABLES)
        for (table,) in fresh.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
            expected, found = _form(fresh, table), _form(db, table)
            if found and found != expected and table not in old:
                return (
                    f"{table}: its columns are {', '.join(columns(db, table))}, not {', '.join(columns(fresh, table))}"
                )
    return ""


def _form(db: sqlite3.Connection, table: str) -> list[tuple[str, int]]:
    """(name, place in the primary key) of each column."""
    return [(row[1], row[5]) for row in db.execute(f"PRAGMA table_info({table})")]


def create(db: sqlite3.Connection) -> None:
    """Makes the tables that are missing, and changes those of version 0.1."""
    changes = ["BEGIN IMMEDIATE"]
    old = _old_facts(db)
    changes += [f"ALTER TABLE {table} RENAME TO old_{table}" for table in old]
    changes += TABLES.strip().rstrip(";").split(";\n")
    for table, rest in old.items():
        changes += [f"INSERT INTO {table} {_facts(f'old_{table}', rest)}", f"DROP TABLE old_{table}"]
    try:
        for change in changes:
            db.execute(change)
        if old:
            digests.save(db, digests.scan(db))  # version 0.1 noted none
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A read-only connection, also on a disk that may not be written, where SQLite cannot make its shared memory: then the file
    is read as it stands, without a write-ahead log that a killed run may have left."""
    db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
    try:
        db.execute("SELECT count(*) FROM meta").fetchone()
    except sqlite3.OperationalError:
        if os.access(path.parent, os.W_OK):
            raise
        log = path.with_name(f"{path.name}-wal")
        if log.is_file() and log.stat().st_size:
            print(
                f"{path}: on a read-only disk, so what is only in {log.name} is not read: copy the run", file=sys.stderr
            )
        db = sqlite3.connect(f"file:{quote(str(path))}?immutable=1", uri=True, isolation_level=None)
        db.execute("SELECT count(*) FROM meta").fetchone()
    return db


def show_as_today(db: sqlite3.Connection) -> None:
    """Lets queries read the tables of version 0.1 in a database that may not be written."""
    for table, rest in _old_facts(db).items():
        facts = _facts(f"main.{table}", rest).replace(" FROM", ", f.rowid FROM", 1)
        db.execute(f"CREATE TEMP VIEW {table}(record, step, {', '.join(rest)}, rowid) AS {facts}")


def _old_facts(db: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    return {table: rest for table, rest in _OLD_FACTS.items() if columns(db, table) == ["record", *rest]}


def _facts(table: str, names: tuple[str, ...]) -> str:
    rest = ", ".join(f"f.{name}" for name in names)
    made_by = "JOIN decisions d ON d.record=f.record WHERE d.step LIKE 'evolve@%'"
    return f"SELECT f.record, d.step, {rest} FROM {table} f {made_by}"
