"""All questions to the run store that go beyond `Store`'s own: for the report, the watch view, yields, certificates.

    for decision in decisions(store, step): print(decision.record, decision.reason or "kept")

Everything here only reads, also while another process writes.
"""

import json
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from evoltune.run.store import Step, Store, limit, step_name


class Decision(NamedTuple):
    """What a step decided about a record; `reason` is "" when it was kept."""

    record: str
    reason: str
    round: int


class Draw(NamedTuple):
    """One draw of the evolve step; `parent` is None for a seed and for a bootstrapped row."""

    operator: str
    version: str
    """`Operator.version` of the operator; "" for a seed, a bootstrapped row, and draws of old runs."""
    parent: str | None
    record: str
    reason: str


class Spent(NamedTuple):
    """Teacher calls, their tokens (prompt and completion) and dollars."""

    calls: float = 0.0
    tokens: float = 0.0
    usd: float = 0.0


def decisions(store: Store, step: Step) -> Iterator[Decision]:
    """The step's decisions, in the order of record ids."""
    query = "SELECT record, reason, round FROM decisions WHERE step=? AND round<=? ORDER BY record"
    return (Decision(*row) for row in store.sql(query, step.key, limit(step)))


def kept_instructions(store: Store, step: Step) -> Iterator[tuple[str, int, str]]:
    """(id, round, instruction) of the records that the step kept."""
    query = (
        "SELECT r.id, d.round, json_extract(r.body, '$.task.instruction') FROM decisions d JOIN records r ON r.id = d.record "
        "WHERE d.step = ? AND d.reason = '' AND d.round <= ?"
    )
    return iter(store.sql(query, step.key, limit(step)))


def draws(store: Store, step: Step) -> Iterator[Draw]:
    """The decisions of an evolve step with the operator and the first parent of each record."""
    query = (
        "SELECT json_extract(r.body, '$.operator'), coalesce(json_extract(r.body, '$.operator_version'), ''), "
        "json_extract(r.body, '$.parents[0]'), d.record, d.reason "
        "FROM decisions d JOIN records r ON r.id = d.record WHERE d.step = ? AND d.round <= ?"
    )
    return (Draw(*row) for row in store.sql(query, step.key, limit(step)))


def decided_draws(store: Store, step: Step) -> Iterator[tuple[str, int, int]]:
    """(first parent, round, number) of each decided draw of an evolve step."""
    query = (
        "SELECT json_extract(r.body, '$.parents[0]'), d.round, json_extract(r.body, '$.draw') "
        "FROM decisions d JOIN records r ON r.id = d.record WHERE d.step = ? AND json_extract(r.body, '$.parents[0]') IS NOT NULL"
    )
    return ((str(parent), int(round), int(number)) for parent, round, number in store.sql(query, step.key))


def _of_current(store: Store, column: str) -> tuple[str, tuple[str, ...]]:
    """A condition that holds for the steps of the current chain, and its parameters: earlier settings' facts are not shown."""
    step = store.current()
    keys = tuple(s.key for s in step.chain()) if step else ()
    return (f"{column} IN ({', '.join('?' * len(keys))})" if keys else "1"), keys


def _made_now(store: Store, column: str) -> tuple[str, tuple[str, ...]]:
    """The same for what the chain's first step makes: records, answers and evidence."""
    step = store.current()
    return (f"{column}=?", (step.origin.key,)) if step else ("1", ())


PENDING, LATER_ROUND = "pending: not decided yet", "evolve: a later round than the chosen one"
"""Outcomes beside "kept" and "STEP: REASON"."""


def outcomes(store: Store) -> dict[str, str]:
    """What became of each record under today's settings: "kept" by the step that ran last, the drop ("verify: fail"), PENDING, or
    LATER_ROUND of evol-stop."""
    step = store.current()
    if step is None:
        rows = store.sql("SELECT record, step, reason FROM decisions ORDER BY reason")
        return {record: f"{step_name(key)}: {reason}" if reason else "kept" for record, key, reason in rows}
    found: dict[str, str] = {}
    for one in reversed(step.chain()):
        for record, reason, round in store.sql("SELECT record, reason, round FROM decisions WHERE step=?", one.key):
            if round > limit(step):
                found[record] = LATER_ROUND
            elif reason:
                found[record] = f"{one.name}: {reason}"
            else:
                found[record] = "kept" if one.key == step.key else PENDING
    return found


def row_verdicts(store: Store) -> dict[str, str]:
    """The verdict on each record in the current steps: `pass` if one of its answers passed, else that on its first answer."""
    of_current, keys = _of_current(store, "step")
    query = f"SELECT record, json_extract(body, '$.status') FROM verdicts WHERE {of_current} ORDER BY record, i DESC"
    found: dict[str, str] = {}
    for record, status in store.sql(query, *keys):
        found[record] = "pass" if "pass" in (status, found.get(record)) else status
    return found


def latest_drops(store: Store, count: int) -> list[tuple[str, str, str]]:
    """(step's name, reason, instruction) of the newest dropped records, newest first."""
    of_current, keys = _of_current(store, "d.step")
    query = (
        "SELECT d.step, d.reason, json_extract(r.body, '$.task.instruction') FROM decisions d "
        f"JOIN records r ON r.id=d.record WHERE d.reason<>'' AND {of_current} ORDER BY r.rowid DESC LIMIT ?"
    )
    return [(step_name(key), reason, text or "") for key, reason, text in store.sql(query, *keys, count)]


def step_counts(store: Store) -> list[tuple[str, int, int]]:
    """(step's name, records decided, records kept) of each current step."""
    of_current, keys = _of_current(store, "step")
    last = limit(current) if (current := store.current()) else limit(Step(name="", version=""))
    query = f"SELECT step, count(*), sum(reason='') FROM decisions WHERE {of_current} AND round<=? GROUP BY step"
    return [(step_name(key), decided, kept) for key, decided, kept in store.sql(query, *keys, last)]


def is_of_dataset(store: Store) -> bool:
    """Whether the last step that ran is the last one of the dataset that `build` noted."""
    step = store.current()
    return step is None or store.noted("steps") == {s.name: s.key for s in step.chain()}


def ledgers(store: Store) -> dict[str, dict[str, int]]:
    """The ledger of each current step by its name; what `build` noted beside them, where it was the last stage that ran."""
    step = store.current()
    if step is None or is_of_dataset(store):
        return store.noted("ledgers") or {}
    return {s.name: store.ledger(s) for s in reversed(step.chain())}


def planned(store: Store) -> int:
    """Records that the evolve step that ran last will decide; 0 before it has begun."""
    return int(store.noted("planned") or 0)


# ---- records, answers, verdicts


def record_bodies(store: Store) -> Iterator[dict[str, Any]]:
    """Each record that a step under today's settings kept or dropped: its stored JSON and its `id`, without answers and evidence."""
    now, keys = _made_now(store, "step")
    query = f"SELECT id, body FROM records WHERE id IN (SELECT record FROM decisions WHERE {now})"
    return (json.loads(body) | {"id": i} for i, body in store.sql(query, *keys))


def ids_with_prefix(store: Store, prefix: str, limit: int) -> list[str]:
    """At most `limit` record ids that begin with `prefix`."""
    query = "SELECT id FROM records WHERE substr(id, 1, ?)=? LIMIT ?"
    return [str(i) for (i,) in store.sql(query, len(prefix), prefix, limit)]


def first_answers(store: Store) -> dict[str, str]:
    """The text of each record's first answer, by record."""
    now, keys = _made_now(store, "step")
    return dict(store.sql(f"SELECT record, text FROM answers WHERE i=0 AND {now} ORDER BY rowid", *keys))


def passed_answers(store: Store) -> set[tuple[str, int]]:
    """(record, number) of the answers that passed in the current steps."""
    of_current, keys = _of_current(store, "step")
    query = f"SELECT record, i FROM verdicts WHERE json_extract(body, '$.status')='pass' AND {of_current}"
    return {(record, i) for record, i in store.sql(query, *keys)}


def pass_rates(store: Store) -> Iterator[tuple[str, int, int]]:
    """(record, passes, samples judged) of each task whose difficulty was measured; the newest count last."""
    of_current, keys = _of_current(store, "step")
    query = (
        "SELECT record, json_extract(body, '$.evidence.pass_rate.passes'), json_extract(body, '$.evidence.pass_rate.of') "
        f"FROM verdicts WHERE json_extract(body, '$.evidence.pass_rate.of') IS NOT NULL AND {of_current} ORDER BY rowid"
    )
    return iter(store.sql(query, *keys))


def evidence(store: Store) -> Iterator[tuple[str, dict[str, Any]]]:
    """(record, its evidence) of each record that has some."""
    now, keys = _made_now(store, "step")
    query = f"SELECT record, body FROM evidence WHERE {now} ORDER BY rowid"
    return ((record, json.loads(body)) for record, body in store.sql(query, *keys))


def difficulty_replies(store: Store) -> Iterator[tuple[str, int, str]]:
    """(record, round, the teacher's first reply to the difficulty prompt) of each rated record."""
    query = (
        "SELECT e.record, json_extract(r.body, '$.round'), json_extract(e.body, '$.difficulty[0]') "
        "FROM evidence e JOIN records r ON r.id = e.record WHERE json_extract(e.body, '$.difficulty[0]') IS NOT NULL "
        "ORDER BY e.rowid"
    )
    return ((record, round, str(reply)) for record, round, reply in store.sql(query))


# ---- one record's history


def record_decisions(store: Store, record_id: str) -> list[tuple[str, str]]:
    """(step key, reason) of each step that decided about the record."""
    return list(store.sql("SELECT step, reason FROM decisions WHERE record=? ORDER BY step", record_id))


def record_calls(store: Store, record_id: str) -> list[dict[str, Any]]:
    """The teacher calls about a record, in the order in which they were made."""
    columns = ("purpose", "request", "texts", "prompt_tokens", "completion_tokens", "usd")
    query = f"SELECT {', '.join(columns)} FROM calls WHERE record=? ORDER BY rowid"
    return [dict(zip(columns, row, strict=True)) for row in store.sql(query, record_id)]


def spent_by_record(store: Store, purposes: Collection[str]) -> tuple[dict[str, Spent], dict[str, Spent]]:
    """Spending by record, on calls with one of these purposes and on all other calls."""
    marks = ", ".join("?" * len(purposes))
    query = (
        f"SELECT record, purpose IN ({marks}), count(*), sum(prompt_tokens + completion_tokens), sum(usd) "
        "FROM calls GROUP BY 1, 2"
    )
    listed: dict[str, Spent] = {}
    others: dict[str, Spent] = {}
    for record, is_listed, *amounts in store.sql(query, *purposes):
        (listed if is_listed else others)[record] = Spent(*amounts)
    return listed, others
