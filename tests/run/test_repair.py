"""A store that was damaged from outside is noticed, and what can be read of its replies is saved."""

import json
import random
import sqlite3
from contextlib import closing

import pytest

from evoltune.cli import main
from evoltune.errors import DataError, StoreError
from evoltune.record import Answer, Drop, Record, Task, Verdict
from evoltune.run.lock import locked
from evoltune.run.paths import STORE, STORE_LOCK
from evoltune.run.repair import problem_of, repair
from evoltune.run.store import Step, Store, Usage
from evoltune.run.tables import columns

EVOLVE = Step(name="evolve", version="1")
VERIFY = Step(name="verify", version="1", before=EVOLVE)
USAGE = Usage(prompt_tokens=3, completion_tokens=4, usd=0.25)


def row(i):
    answers = (Answer(text=f"answer {i} " + "x" * 300, model="m", verdict=Verdict(status="pass", seconds=0.5)),)
    task = Task(instruction=f"task {i}", name=str(i))
    return Record(domain="d", task=task, answers=answers, evidence={"tests": ("assert 1",)})


def written(folder, calls=40):
    with Store.open(folder) as store:
        for i in range(calls):
            store.journal(f"{i:032x}", purpose="answer", model="m", request={"i": i}, texts=["r" * 200], usage=USAGE)
        store.decide(EVOLVE, [row(1), row(2), Drop(record=row(3), reason="no")])
        store.decide(VERIFY, [row(1), Drop(record=row(2), reason="fail")])
        store.decide(VERIFY, [row(1)])  # known already: counts once
        store.note("budget:lost", {"calls": 2, "tokens": 30, "usd": 0.5})
    return folder


def changed(folder, statement):
    with closing(sqlite3.connect(folder / STORE)) as db:
        db.execute(statement)
        db.commit()


def test_a_store_that_nobody_touched_is_whole_after_every_way_of_ending(tmp_path):
    for _ in range(3):
        written(tmp_path)
        assert problem_of(tmp_path) == ""
    with Store.open(tmp_path) as store:
        with pytest.raises(ValueError, match="no reason"):
            store.decide(EVOLVE, [row(7), Drop(record=row(8), reason="")])  # rolled back, with its sums
        store.decide(EVOLVE, [row(9)])
    assert problem_of(tmp_path) == ""


CHANGES = [
    "DELETE FROM answers WHERE rowid % 2 = 0", "DELETE FROM records WHERE rowid = 1", "DELETE FROM verdicts",
    "DELETE FROM decisions WHERE reason<>''", "DELETE FROM calls WHERE rowid > 20", "DELETE FROM evidence",
    "UPDATE answers SET text='another' WHERE rowid=1", "UPDATE records SET body=replace(body, 'task 1', 'task 9')",
    "UPDATE decisions SET reason='' WHERE reason<>''", "UPDATE calls SET texts='[\"better\"]' WHERE rowid=3",
    "UPDATE calls SET usd=0", "UPDATE verdicts SET body=replace(body, 'pass', 'fail')",
    "INSERT INTO answers VALUES ('x', 'evolve@1', 0, 'm', 'smuggled')", "ALTER TABLE answers ADD COLUMN more TEXT",
    "UPDATE meta SET value='[1' WHERE key='digests'", f"UPDATE meta SET value='{'[' * 200_000}' WHERE key='digests'",
    f"UPDATE calls SET texts='{'[' * 200_000}' WHERE rowid=3",
]  # fmt: skip


@pytest.mark.parametrize("statement", CHANGES, ids=lambda statement: statement[:40])
def test_rows_that_were_lost_or_changed_from_outside_are_named(tmp_path, statement):
    changed(written(tmp_path), statement)
    table = statement.replace("INSERT INTO", "DELETE FROM").replace("UPDATE", "DELETE FROM").split()[2]
    with pytest.raises(StoreError, match=rf"damaged \({table}: .*doctor {tmp_path} --repair"):
        Store.open(tmp_path)
    saved = repair(tmp_path)
    assert saved.damaged.is_file() and problem_of(tmp_path) == ""
    with Store.read(tmp_path) as store:
        assert len(list(store.calls())) == saved.replies >= 20 and store.noted("budget:lost")["calls"] == 2


TABLES = ("meta", "records", "answers", "evidence", "verdicts", "decisions", "calls")


@pytest.mark.parametrize("table", TABLES)
def test_a_column_that_was_renamed_is_a_damage_and_costs_no_reply(tmp_path, table):
    """Any column of any table: none of them may be taken for a table of version 0.1, or for a full disk."""
    written(tmp_path)
    with closing(sqlite3.connect(tmp_path / STORE)) as db:
        names = columns(db, table)
    for name in names:
        changed(tmp_path, f"ALTER TABLE {table} RENAME COLUMN {name} TO renamed")
        assert f"damaged ({table}: its columns are " in problem_of(tmp_path), name
        changed(tmp_path, f"ALTER TABLE {table} RENAME COLUMN renamed TO {name}")
        assert problem_of(tmp_path) == ""
    changed(tmp_path, f"ALTER TABLE {table} RENAME COLUMN {names[-1]} TO renamed")
    saved = repair(tmp_path)
    assert (saved.replies, saved.unreadable, problem_of(tmp_path)) == (40, 0, "")
    with Store.read(tmp_path) as store:
        assert all(call["key"] == f"{call['request']['i']:032x}" for call in store.calls())
        assert store.noted("budget:lost")["calls"] == 2


@pytest.mark.parametrize("table", TABLES)
def test_a_table_without_its_primary_key_is_a_damage(tmp_path, table):
    """Rows that are there already would be added again."""
    changed(written(tmp_path), f"CREATE TABLE kept AS SELECT * FROM {table}")
    changed(tmp_path, f"DROP TABLE {table}")
    changed(tmp_path, f"ALTER TABLE kept RENAME TO {table}")
    assert f"damaged ({table}: " in problem_of(tmp_path)


def test_a_reader_names_a_renamed_column_as_damage(tmp_path):
    changed(written(tmp_path), "ALTER TABLE calls RENAME COLUMN usd TO euros")
    with Store.read(tmp_path) as store, pytest.raises(StoreError, match=r"damaged \(no such column: usd\): .*--repair"):
        store.spent()


def test_notes_that_are_gone_are_a_damage_beside_rows(tmp_path):
    changed(written(tmp_path), "DELETE FROM meta")
    with pytest.raises(StoreError, match=r"damaged \(meta: .* not noted"):
        Store.open(tmp_path)
    assert repair(tmp_path).replies >= 20 and problem_of(tmp_path) == ""


@pytest.mark.parametrize("seed", range(6))
def test_what_can_be_read_of_a_damaged_file_is_saved(tmp_path, seed):
    written(tmp_path, calls=300)
    content = bytearray((tmp_path / STORE).read_bytes())
    rng = random.Random(seed)
    for _ in range(2):
        at = rng.randrange(8192, len(content) - 4096)
        content[at : at + 600] = rng.randbytes(600)
    (tmp_path / STORE).write_bytes(content)
    if not problem_of(tmp_path):  # it met free space
        return
    saved = repair(tmp_path)
    assert saved.replies >= 200 and problem_of(tmp_path) == ""
    with Store.read(tmp_path) as store:
        assert all(call["key"] == f"{call['request']['i']:032x}" for call in store.calls())


@pytest.mark.parametrize(
    ("damage", "least"),
    [
        (lambda content: bytes(100) + content[100:], 300),
        (lambda content: content[:200] + random.Random(1).randbytes(3000) + content[3200:], 300),
        (lambda content: content[: len(content) // 2], 50),
    ],
    ids=["no header", "no schema", "cut off"],
)
def test_replies_are_saved_from_a_file_without_its_head_or_its_end(tmp_path, damage, least):
    written(tmp_path, calls=300)
    (tmp_path / STORE).write_bytes(damage((tmp_path / STORE).read_bytes()))
    assert problem_of(tmp_path)
    assert repair(tmp_path).replies >= least and problem_of(tmp_path) == ""
    assert not list(tmp_path.glob(".repair*"))
    with Store.read(tmp_path) as store:
        assert all(call["key"] == f"{call['request']['i']:032x}" for call in store.calls())


def test_a_file_that_is_no_database_is_said_and_stays(tmp_path):
    (tmp_path / STORE).write_bytes(b"nothing of the kind" * 1000)
    assert "damaged" in problem_of(tmp_path) or "not a database" in problem_of(tmp_path)
    with pytest.raises(StoreError):
        repair(tmp_path)
    assert (tmp_path / STORE).read_bytes() == b"nothing of the kind" * 1000
    with pytest.raises(DataError, match="no store"):
        repair(tmp_path / "elsewhere")


def test_a_store_at_work_is_not_repaired(tmp_path):
    with locked(written(tmp_path), STORE_LOCK), pytest.raises(StoreError, match="another process"):
        repair(tmp_path)


def test_text_that_is_not_valid_unicode_comes_back_and_stops_nothing(tmp_path):
    task = Task(instruction="half \ud83d of a sign", fields={"note": "\udfff"})
    answers = (Answer(text="an \ud800 answer", model="m", verdict=Verdict(status="fail", reason="\ud801")),)
    odd = Record(domain="d", task=task, answers=answers, evidence={"tests": ("\udc00",)})
    with Store.open(tmp_path) as store:
        store.journal("k", purpose="p", model="m", request={"x": "\ud800"}, texts=["\ud800 text"], usage=USAGE)
        store.decide(EVOLVE, [odd])
        store.decide(VERIFY, [Drop(record=odd, reason="why \ud800")])
        (back,) = store.kept(EVOLVE)
        assert back.id == odd.id and back.task == odd.task
        assert back.answers[0].text == "an ? answer" and store.reply("k").texts == ["? text"]
    assert problem_of(tmp_path) == ""


def test_doctor_checks_and_repairs_a_store(tmp_path, capsys):
    written(tmp_path)
    assert main(["doctor", str(tmp_path)]) == 0
    changed(tmp_path, "DELETE FROM answers")
    assert main(["doctor", str(tmp_path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["level"] == "fix"
    assert main(["doctor", str(tmp_path), "--repair"]) == 0
    assert "a new store with 40 replies" in capsys.readouterr().out
    assert main(["doctor", str(tmp_path)]) == 0
    assert main(["doctor", "--repair"]) == 2
