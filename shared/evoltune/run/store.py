"""The run store: one SQLite file on a local disk, written by one process (the driver).

    with Store.open(run_dir) as store:
        store.decide(step, results)

Records, answers, evidence, verdicts, decisions and the teacher journal are only inserted (INSERT OR IGNORE), never changed;
`kill -9` loses at most the transaction in flight. Answers and evidence are kept by the step that made them, so another teacher
or prompt in the same folder never meets the old ones. For every step, in = kept + dropped (by reason) + pending, which
`check_ledger` checks.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evoltune.errors import DataError, StoreError
from evoltune.record import Answer, Drop, Record, Verdict, record_from_json
from evoltune.run import digests, tables
from evoltune.run.encoding import call_json, stored_json, stored_text
from evoltune.run.lock import take_lock
from evoltune.run.paths import STORE, STORE_LOCK
from evoltune.run.reserve import Unsaved
from evoltune.run.sqlite import Rows, damaged, sqlite_errors
from evoltune.text.credentials import without_credentials

PAGE = 512  # records read per query by `todo` and `records`
_SET_NOTE = "INSERT OR REPLACE INTO meta VALUES (?,?)"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A stage under one configuration.

    `version` hashes everything that its decisions depend on, so a changed verifier, policy or threshold decides anew, and
    the old decisions stay in the store. `upto` limits what is read and counted to the first rounds; None: all. It is not part
    of the key: a step that decides row by row goes on when there are more rounds. The version of a step that looks at all rows
    together must cover it.
    """

    name: str
    version: str
    before: Step | None = None
    upto: int | None = None

    @property
    def key(self) -> str:
        return f"{self.name}@{self.version}"

    @classmethod
    def from_key(cls, key: str, before: Step | None = None, upto: int | None = None) -> Step:
        """The step that has this key."""
        name, _, version = key.partition("@")
        return cls(name=name, version=version, before=before, upto=upto)

    @classmethod
    def from_keys(cls, keys: Iterable[str], upto: int | None = None) -> Step:
        """The last of these steps, each the one before the next."""
        step = None
        for key in keys:
            step = cls.from_key(key, step, upto)
        if step is None:
            raise ValueError("no step")
        return step

    @property
    def origin(self) -> Step:
        """The first step of the chain, which made the answers and the evidence."""
        return self.before.origin if self.before else self

    def chain(self) -> list[Step]:
        """This step and those before it, nearest first."""
        return [self, *(self.before.chain() if self.before else [])]


def step_name(key: str) -> str:
    """The name in a step's key: "verify" of "verify@3f2a..."."""
    return key.partition("@")[0]


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one teacher call cost."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0


@dataclass(frozen=True, kw_only=True)
class StoredReply:
    """A journalled reply. `truncated`: indices of texts that ended at the token limit."""

    texts: list[str]
    usage: Usage
    truncated: tuple[int, ...] = ()


class Store:
    """The SQLite file of a run: records, verdicts, decisions, and the teacher's replies. Opened with `Store.open` (one writer,
    which holds the lock) or `Store.read` (any number of readers)."""

    def __init__(self, db: sqlite3.Connection, folder: Path, lock: int | None) -> None:
        self._db, self.folder, self._lock = db, folder, lock
        self._sums: digests.Sums = {}
        self._unsaved = Unsaved()

    # ---- opening

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Creates or reopens the store of a run for writing.

        Raises StoreError when another process writes to it, when it is damaged, or when the disk refuses.
        """
        lock = take_lock(folder, STORE_LOCK)
        try:
            with sqlite_errors(folder):
                db = sqlite3.connect(folder / STORE, isolation_level=None, check_same_thread=False)
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=NORMAL")
                found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
                if found != "ok":
                    raise damaged(folder, found)
                if wrong := tables.wrong_columns(db):
                    raise damaged(folder, wrong)
                tables.create(db)
                sums, wrong = digests.load(db)
                if wrong:
                    raise damaged(folder, wrong)
        except BaseException:
            os.close(lock)
            raise
        store = cls(db, folder, lock)
        store._sums = sums
        try:
            store._unsaved.take_over(folder)
            store.commit_held()
            store._unsaved.close()
        except BaseException:
            store.close()
            raise
        return store

    def hold_reserve(self, size: int) -> None:
        """From now on replies are kept also when the disk is full, as far as `size` bytes go. Raises StoreError: it is full now."""
        self._unsaved.hold(self.folder, size)

    @classmethod
    def read(cls, folder: Path) -> Store:
        """A read-only view, also while another process writes."""
        if not (folder / STORE).is_file():
            raise DataError(f"{folder}: no {STORE} there: give the directory of a run")
        with sqlite_errors(folder):
            db = tables.connect_to_read(folder / STORE)
            tables.show_as_today(db)
        return cls(db, folder, None)

    def close(self) -> None:
        """Writes the write-ahead log into the file and releases the lock."""
        try:
            if self._lock is not None:
                with sqlite_errors(self.folder):
                    self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._db.close()
            self._unsaved.close()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with sqlite_errors(self.folder):
            self._db.execute("BEGIN IMMEDIATE")
            before = dict(self._sums)
            try:
                for row in self._unsaved.calls:
                    self._add("calls", *row)
                self._db.executemany(_SET_NOTE, self._unsaved.notes.items())
                yield self._db
                digests.save(self._db, self._sums)
                self._db.execute("COMMIT")
                self._unsaved.clear()
            except BaseException:
                self._sums = before
                if self._db.in_transaction:  # SQLite has rolled back already when the disk is full
                    self._db.execute("ROLLBACK")
                raise

    def _add(self, table: str, *row: str | int | float) -> None:
        """Inserts a fact that is not there yet, within the caller's transaction."""
        marks = ",".join("?" * len(row))
        if self._db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row).rowcount == 1:
            digests.count_row(self._sums, table, row)

    def sql(self, query: str, *values: object) -> Rows:
        """The rows of a read-only query; those of other modules are in `run.queries`."""
        return Rows(self._db, self.folder, query, values)

    # ---- decisions

    def decide(self, step: Step, results: Iterable[Record | Drop]) -> None:
        """Writes the step's decisions, with the records and verdicts behind them, in one transaction."""
        with self._transaction():
            for result in results:
                record, reason = (result.record, result.reason) if isinstance(result, Drop) else (result, "")
                if isinstance(result, Drop) and not reason:
                    raise ValueError(f"step {step.name}: a drop of record {record.id} has no reason")
                self._insert(step, record)
                self._add("decisions", step.key, record.id, without_credentials(stored_text(reason)), record.round)

    def _insert(self, step: Step, record: Record) -> None:
        body = {
            name: getattr(record, name)
            for name in ("domain", "parents", "operator", "operator_version", "round", "draw")
        }
        body["task"] = vars(record.task)  # plain JSON already; asdict would make a deep copy
        self._add("records", record.id, stored_json(body))
        makes_facts = step.before is None  # later steps only judge them
        if record.evidence and makes_facts:
            self._add("evidence", record.id, step.key, stored_json(record.evidence))
        for i, answer in enumerate(record.answers):
            if makes_facts:
                self._add("answers", record.id, step.key, i, answer.model, stored_text(answer.text))
            if answer.verdict and step.name in ("evolve", "verify"):
                self._add("verdicts", record.id, i, step.key, stored_json(asdict(answer.verdict)))

    def decided(self, step: Step, record_id: str) -> str | None:
        """The step's reason for dropping the record; "" when it was kept, None when undecided."""
        query = "SELECT reason FROM decisions WHERE step=? AND record=?"
        row = self.sql(query, step.key, record_id).fetchone()
        return None if row is None else str(row[0])

    def todo(self, step: Step) -> Iterator[Record]:
        """Records that the step before kept and this one has not decided, in id order. Reads in pages, so the caller may
        decide them meanwhile."""
        yield from self._pages(step.before, undecided_by=step)

    def kept(self, step: Step) -> Iterator[Record]:
        """Records that the step kept, in id order, with the verdicts of its chain."""
        yield from self._pages(step)

    def _pages(self, step: Step | None, undecided_by: Step | None = None) -> Iterator[Record]:
        if step is None:
            raise ValueError("the first step has nothing before it")
        last, upto = "", limit(undecided_by or step)
        missing = ""
        extra: tuple[str, ...] = ()
        if undecided_by:
            missing = "AND NOT EXISTS (SELECT 1 FROM decisions e WHERE e.step=? AND e.record=d.record)"
            extra = (undecided_by.key,)
        query = (
            "SELECT record FROM decisions d WHERE step=? AND reason='' AND record>? AND round<=? "
            f"{missing} ORDER BY record LIMIT {PAGE}"
        )
        while ids := [r for (r,) in self.sql(query, step.key, last, upto, *extra)]:
            for record_id in ids:
                yield self.record(record_id, step)
            last = ids[-1]

    def record(self, record_id: str, step: Step | None = None) -> Record:
        """One record with the answers and evidence of the chain's first step, and the newest verdicts of that chain; without
        `step`, the newest that there are."""
        row = self.sql("SELECT body FROM records WHERE id=?", record_id).fetchone()
        if row is None:
            raise DataError(f"{self.folder}: no record {record_id!r}: the report lists ids")
        verdicts = self._verdicts(record_id, step)
        made_by = step.origin.key if step else self._newest_origin(record_id)
        query = "SELECT i, model, text FROM answers WHERE record=? AND step=? ORDER BY i"
        answers = tuple(
            Answer(text=text, model=model, verdict=verdicts.get(i))
            for i, model, text in self.sql(query, record_id, made_by)
        )
        query = "SELECT body FROM evidence WHERE record=? AND step=?"
        evidence = self.sql(query, record_id, made_by).fetchone()
        raw = self._value(row[0]) | {"evidence": self._value(evidence[0]) if evidence else {}}
        return replace(record_from_json(raw), answers=answers)

    def _newest_origin(self, record_id: str) -> str:
        """Key of the step that made the record's newest answers or evidence."""
        for table in ("answers", "evidence"):
            query = f"SELECT step FROM {table} WHERE record=? ORDER BY rowid DESC LIMIT 1"
            if (row := self.sql(query, record_id).fetchone()) is not None:
                return str(row[0])
        return ""

    def _verdicts(self, record_id: str, step: Step | None) -> dict[int, Verdict]:
        rank = {s.key: n for n, s in enumerate(step.chain())} if step else {}
        found: dict[int, tuple[int, Verdict]] = {}
        query = "SELECT i, step, body FROM verdicts WHERE record=? ORDER BY rowid"
        for i, key, body in self.sql(query, record_id):
            order = rank.get(key, len(rank) if step is None else -1)
            if order >= 0 and (i not in found or order <= found[i][0]):
                found[i] = (order, Verdict(**self._value(body)))
        return {i: verdict for i, (_, verdict) in found.items()}

    def _value(self, text: str) -> Any:
        """A stored JSON value. Raises StoreError where the file was changed from outside."""
        try:
            return json.loads(text)
        except ValueError as error:
            raise damaged(self.folder, f"a value is no JSON: {error}") from error

    # ---- the conservation law

    def plan(self, step: Step, planned: int) -> None:
        """Notes how many records the first step will decide (seeds + planned draws) up to its last round, and begins it."""
        self.begin(step)
        self.note(f"planned:{step.key}:{limit(step)}", planned)
        self.note("planned", planned)

    def begin(self, step: Step) -> None:
        """Notes the step's chain and its rounds as the current ones: pages and views show its decisions, not those of earlier
        settings or of rounds that evol-stop did not choose."""
        self.note("current", [s.key for s in reversed(step.chain())])
        self.note("current rounds", step.upto)

    def current(self) -> Step | None:
        """The last step that was begun, with those before it; None in a store that no step was begun in."""
        keys = self.noted("current")
        return Step.from_keys(keys, self.noted("current rounds")) if keys else None

    def planned(self, step: Step) -> int | None:
        """What `plan` noted for this step and its rounds; None when it was never begun."""
        found = self.noted(f"planned:{step.key}:{limit(step)}")
        return None if found is None else int(found)

    def ledger(self, step: Step) -> dict[str, int]:
        """{"in": n, "kept": n, reason: n, ..., "pending": n}; "in" is the sum of the others."""
        query = (
            "SELECT reason, count(*) FROM decisions WHERE step=? AND round<=? "
            "GROUP BY reason ORDER BY count(*) DESC, reason"
        )
        counts = {reason or "kept": n for reason, n in self.sql(query, step.key, limit(step))}
        if step.before is None:
            taken = self.planned(step) or sum(counts.values())
        else:
            query = "SELECT count(*) FROM decisions WHERE step=? AND reason='' AND round<=?"
            taken = self.sql(query, step.before.key, limit(step)).fetchone()[0]
        decided = sum(counts.values())
        return {"in": taken, "kept": counts.pop("kept", 0), **counts, "pending": taken - decided}

    def check_ledger(self, step: Step) -> dict[str, int]:
        """The ledger of a finished step. Raises StoreError when records are missing, too many or undecided."""
        ledger = self.ledger(step)
        if ledger["pending"] != 0:
            undecided = f"{ledger['pending']} of {ledger['in']} rows are undecided"
            raise StoreError(f"{self.folder}: step {step.name}: {undecided}: run it again")
        return ledger

    # ---- the teacher journal

    def reply(self, key: str) -> StoredReply | None:
        """The reply of a call that was made before, with its cost; None when there is none."""
        query = "SELECT texts, prompt_tokens, completion_tokens, usd, cut FROM calls WHERE key=?"
        row = self.sql(query, key).fetchone()
        if row is None:
            return None
        usage = Usage(prompt_tokens=row[1], completion_tokens=row[2], usd=row[3])
        return StoredReply(texts=self._value(row[0]), usage=usage, truncated=tuple(self._value(row[4])))

    def journal(
        self,
        key: str,
        *,
        purpose: str,
        model: str,
        request: Mapping[str, Any],
        texts: Sequence[str],
        usage: Usage,
        record: str = "",
        truncated: Sequence[int] = (),
        at_once: bool = True,
    ) -> None:
        """Commits one teacher reply. Nothing may use the reply before.

        at_once: False: it is committed by `commit_held`, or before that by any other write, so that what is written in this
        order is never found in another.
        """
        self._unsaved.calls.append((
            key, purpose, model, record, call_json(request), call_json([stored_text(text) for text in texts]),
            usage.prompt_tokens, usage.completion_tokens, usage.usd, call_json(list(truncated)),
        ))  # fmt: skip
        if at_once:
            self.commit_held()

    def commit_held(self) -> None:
        """Commits the replies that wait for it, in one transaction. Where that fails they go into the reserve; `refused` says why."""
        if self._unsaved:
            with self._unsaved.kept_if_refused(), self._transaction():
                pass

    @property
    def refused(self) -> StoreError | None:
        """Why something went into the reserve."""
        return self._unsaved.refused

    def calls(self) -> Iterator[dict[str, Any]]:
        """All journal rows in key order, as dicts (key, purpose, model, record, request, texts, tokens, usd, cut)."""
        rows = self.sql("SELECT * FROM calls ORDER BY key")
        for row in rows:
            entry = dict(zip(rows.names, row, strict=True))
            yield entry | {name: self._value(entry[name]) for name in ("request", "texts", "cut")}

    def spent(self) -> dict[str, dict[str, float]]:
        """By purpose: calls, prompt_tokens, completion_tokens, usd."""
        names = ("calls", "prompt_tokens", "completion_tokens", "usd")
        query = (
            f"SELECT purpose, count(*), {', '.join(f'sum({name})' for name in names[1:])} FROM calls GROUP BY purpose"
        )
        return {purpose: dict(zip(names, rest, strict=True)) for purpose, *rest in self.sql(query)}

    # ---- notes

    def note(self, key: str, value: Any) -> None:
        """Sets a small JSON value about the run (plans, versions, scores)."""
        self.commit_held()
        with sqlite_errors(self.folder):
            self._db.execute(_SET_NOTE, (key, without_credentials(json.dumps(value))))

    def note_cost(self, key: str, value: Any) -> None:
        """`note` of what calls cost, which goes into the reserve as replies do."""
        with self._unsaved.kept_if_refused(**{key: without_credentials(json.dumps(value))}):
            self.note(key, value)

    def noted(self, key: str) -> Any:
        row = self.sql("SELECT value FROM meta WHERE key=?", key).fetchone()
        return self._value(row[0]) if row else None

    def steps(self) -> list[str]:
        """Keys of all steps that decided something."""
        return [key for (key,) in self.sql("SELECT DISTINCT step FROM decisions ORDER BY step")]


def limit(step: Step) -> int:
    """The last round of the step; without a limit, more than any run has."""
    return 2**31 if step.upto is None else step.upto
