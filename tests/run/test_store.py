"""The run store: facts, the conservation law, one writer, and what a hostile disk does to it."""

import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoltune.errors import DataError, StoreError
from evoltune.record import Answer, Drop, Record, Task, Verdict
from evoltune.run.paths import STORE
from evoltune.run.store import Step, Store, Usage, step_name

EVOLVE = Step(name="evolve", version="1")
VERIFY = Step(name="verify", version="1", before=EVOLVE)


def record(i, **fields):
    return Record(domain="d", task=Task(instruction=f"task {i}", name=str(i)), **fields)


def journal(store, i, text="x", usage=None):
    usage = usage or Usage(prompt_tokens=3, completion_tokens=4, usd=0.5)
    store.journal(
        f"{i:032x}", purpose="answer", model="m", request={"seed": i}, texts=[text], usage=usage, truncated=(0,)
    )


def test_a_reply_is_found_again_with_its_cost_after_reopening(tmp_path):
    with Store.open(tmp_path) as store:
        assert store.reply(f"{1:032x}") is None
        journal(store, 1)
        journal(store, 1, "another text that must not replace the first")
    with Store.read(tmp_path) as store:
        known = store.reply(f"{1:032x}")
        assert (known.texts, known.truncated) == (["x"], (0,))
        assert known.usage == Usage(prompt_tokens=3, completion_tokens=4, usd=0.5)
        assert store.spent() == {"answer": {"calls": 1, "prompt_tokens": 3, "completion_tokens": 4, "usd": 0.5}}
        assert next(store.calls())["request"] == {"seed": 1}


def test_a_decision_is_a_fact_that_a_second_one_does_not_change(tmp_path):
    with Store.open(tmp_path) as store:
        store.decide(EVOLVE, [record(1)])
        store.decide(EVOLVE, [Drop(record=record(1), reason="late")])
        assert store.decided(EVOLVE, record(1).id) == ""
        assert store.decided(EVOLVE, record(2).id) is None


def test_a_step_that_fails_midway_leaves_nothing(tmp_path):
    def results():
        yield record(1)
        raise RuntimeError("stop")

    with Store.open(tmp_path) as store:
        with pytest.raises(RuntimeError):
            store.decide(EVOLVE, results())
        assert store.decided(EVOLVE, record(1).id) is None
        store.decide(EVOLVE, [record(1)])  # the store is usable afterwards


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["keep", "sorry", "loop"]), max_size=40), st.lists(st.booleans(), max_size=40))
def test_in_is_kept_plus_dropped_plus_pending(tmp_path_factory, reasons, verified):
    with Store.open(tmp_path_factory.mktemp("s")) as store:
        store.plan(EVOLVE, len(reasons) + 2)
        for i, reason in enumerate(reasons):
            store.decide(EVOLVE, [record(i) if reason == "keep" else Drop(record=record(i), reason=reason)])
        for kept, row in zip(verified, list(store.todo(VERIFY)), strict=False):
            store.decide(VERIFY, [row if kept else Drop(record=row, reason="fail")])
        for step in (EVOLVE, VERIFY):
            ledger = store.ledger(step)
            assert ledger.pop("in") == sum(ledger.values())
        assert store.ledger(EVOLVE)["pending"] == 2
        with pytest.raises(StoreError, match=r"2 of .* undecided"):
            store.check_ledger(EVOLVE)


def test_todo_can_be_decided_while_it_is_read(tmp_path):
    with Store.open(tmp_path) as store:
        store.decide(EVOLVE, [record(i) for i in range(1200)])
        for row in store.todo(VERIFY):
            store.decide(VERIFY, [row])
        assert store.ledger(VERIFY) == {"in": 1200, "kept": 1200, "pending": 0}


def test_a_record_comes_back_equal_with_the_verdicts_of_its_steps(tmp_path):
    answers = (Answer(text="a", model="m"), Answer(text="b", model="m", verdict=Verdict(status="fail", reason="sorry")))
    start = record(1, answers=answers, evidence={"tests": ("assert 1",)})
    with Store.open(tmp_path) as store:
        store.decide(EVOLVE, [start])
        assert list(store.kept(EVOLVE)) == [start]
        assert store.record(start.id) == start


def test_a_steps_key_holds_its_name_and_version():
    limited = Step(name="verify", version="1", before=EVOLVE, upto=2)
    for step in (VERIFY, limited):
        assert step.key == "verify@1" and step_name(step.key) == "verify"
        assert Step.from_key(step.key, step.before, step.upto) == step
    assert Step.from_keys(["evolve@1", "verify@1"]) == VERIFY
    assert VERIFY.chain() == [VERIFY, EVOLVE] and EVOLVE.chain() == [EVOLVE] and VERIFY.origin == EVOLVE
    with pytest.raises(ValueError, match="no step"):
        Step.from_keys([])


def test_answers_and_evidence_belong_to_the_step_that_made_them(tmp_path):
    other, both = Step(name="evolve", version="2"), []
    with Store.open(tmp_path) as store:
        for step, text in ((EVOLVE, "old"), (other, "new")):
            made = record(1, answers=(Answer(text=text, model=text),), evidence={"tests": (text,)})
            store.decide(step, [made])
            store.decide(Step(name="verify", version=step.version, before=step), [made])
            both.append((step, made))
        for step, made in both:
            assert list(store.kept(step)) == [made]
            assert list(store.kept(Step(name="verify", version=step.version, before=step))) == [made]
        assert store.record(record(1).id) == both[1][1]  # without a step: the newest


OLD_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE records (id TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE answers (record TEXT, i INTEGER, model TEXT, text TEXT, PRIMARY KEY (record, i));
CREATE TABLE evidence (record TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE verdicts (record TEXT, i INTEGER, step TEXT, body TEXT NOT NULL, PRIMARY KEY (record, i, step));
CREATE TABLE decisions (step TEXT, record TEXT, reason TEXT NOT NULL, round INTEGER NOT NULL,
    PRIMARY KEY (step, record)) WITHOUT ROWID;
CREATE TABLE calls (key TEXT PRIMARY KEY, purpose TEXT NOT NULL, model TEXT NOT NULL, record TEXT NOT NULL,
    request TEXT NOT NULL, texts TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    usd REAL NOT NULL, cut TEXT NOT NULL);
"""


def test_a_store_of_version_0_1_is_read_and_gets_todays_tables(tmp_path):
    made = record(1, answers=(Answer(text="a", model="m"), Answer(text="b", model="m")), evidence={"tests": ("x",)})
    with Store.open(tmp_path / "new") as store:
        store.decide(EVOLVE, [made])
        facts = {table: list(store.sql(f"SELECT * FROM {table}")) for table in ("records", "decisions", "answers")}
    (tmp_path / "old").mkdir()
    db = sqlite3.connect(tmp_path / "old" / STORE)
    db.executescript(OLD_TABLES)
    db.executemany("INSERT INTO records VALUES (?,?)", facts["records"])
    db.executemany("INSERT INTO decisions VALUES (?,?,?,?)", facts["decisions"])
    db.executemany("INSERT INTO answers VALUES (?,?,?,?)", [(r, i, m, t) for r, _, i, m, t in facts["answers"]])
    db.execute("INSERT INTO evidence VALUES (?,?)", (made.id, '{"tests": ["x"]}'))
    db.commit()
    db.close()
    for opened in (Store.read, Store.open, Store.read):
        with opened(tmp_path / "old") as store:
            assert list(store.kept(EVOLVE)) == [made] and store.record(made.id) == made


def judged(i, status):
    return record(i, answers=(Answer(text="a", model="m", verdict=Verdict(status=status)),))


def statuses(store, *steps):
    return [store.record(record(1).id, step).answers[0].verdict.status for step in steps]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_an_answer_carries_the_verdict_of_the_nearest_step_of_the_chain_and_of_no_other(tmp_path, order):
    select = Step(name="select", version="1", before=VERIFY)
    again = Step(name="verify", version="2", before=EVOLVE)
    written = [(EVOLVE, "fail"), (VERIFY, "pass"), (again, "timeout")]
    with Store.open(tmp_path) as store:
        for at in order:
            step, status = written[at]
            store.decide(step, [judged(1, status)])
        store.decide(select, [judged(1, "error")])  # only evolve and verify give verdicts
        assert statuses(store, EVOLVE, VERIFY, again, select) == ["fail", "pass", "timeout", "pass"]
        assert statuses(store, None) == [written[order[-1]][1]]  # without a step: the newest


def test_a_step_that_judged_nothing_leaves_answers_without_a_verdict(tmp_path):
    with Store.open(tmp_path) as store:
        store.decide(EVOLVE, [record(i, answers=(Answer(text="a", model="m"),)) for i in (1, 2)])
        store.decide(VERIFY, [judged(1, "pass"), record(2, answers=(Answer(text="b", model="m"),))])
        assert store.record(record(1).id, EVOLVE).answers[0].verdict is None
        assert store.record(record(2).id).answers[0].verdict is None


def test_a_limit_on_rounds_holds_for_what_is_read_and_counted(tmp_path):
    last, first = (Step(name="verify", version="1", before=EVOLVE, upto=n) for n in (2, 1))
    with Store.open(tmp_path) as store:
        store.decide(EVOLVE, [record(i, round=i // 2) for i in range(8)])  # rounds 0 to 3, two records each
        for step, n in ((first, 4), (last, 6), (VERIFY, 8)):
            had = store.ledger(step)["kept"]
            assert store.ledger(step) == {"in": n, "kept": had, "pending": n - had}
            store.decide(step, [*store.todo(step)])
            assert store.ledger(step) == {"in": n, "kept": n, "pending": 0}
            assert sorted(r.task.name for r in store.kept(step)) == [str(i) for i in range(n)]
        assert store.ledger(first) == {"in": 4, "kept": 4, "pending": 0}  # also when later rounds were judged
        assert len(list(store.kept(first))) == 4 and len(list(store.kept(VERIFY))) == 8
        assert store.steps() == ["evolve@1", "verify@1"]


def test_the_ledger_lists_reasons_by_number_then_name(tmp_path):
    with Store.open(tmp_path) as store:
        drops = [Drop(record=record(i), reason=r) for i, r in enumerate(["b", "c", "a", "c"])]
        store.decide(EVOLVE, [*drops, record(9)])
        assert store.check_ledger(EVOLVE) == {"in": 5, "kept": 1, "c": 2, "a": 1, "b": 1, "pending": 0}
        assert [r for r in store.ledger(EVOLVE) if r in "abc"] == ["c", "a", "b"]
        assert store.decided(EVOLVE, record(1).id) == "c"
        store.plan(EVOLVE, 4)  # one decision too many is as wrong as one too few
        with pytest.raises(StoreError, match="-1 of 4 rows"):
            store.check_ledger(EVOLVE)


def test_a_drop_needs_a_reason_and_a_first_step_has_nothing_to_do(tmp_path):
    with Store.open(tmp_path) as store:
        with pytest.raises(ValueError, match=r"step evolve: a drop of record .* has no reason"):
            store.decide(EVOLVE, [Drop(record=record(1), reason="")])
        with pytest.raises(ValueError, match="nothing before it"):
            next(store.todo(EVOLVE))
        assert store.steps() == []
        with pytest.raises(DataError, match="no record 'abc'"):
            store.record("abc")
    with pytest.raises(DataError, match=r"no store.sqlite there"):
        Store.read(tmp_path / "elsewhere")


def test_a_note_is_replaced_and_a_missing_one_is_none(tmp_path):
    with Store.open(tmp_path) as store:
        assert store.noted("plan") is None
        for value in (0, [1, {"é": None}]):
            store.note("plan", value)
            assert store.noted("plan") == value


def test_the_journal_lists_and_sums_its_calls(tmp_path):
    with Store.open(tmp_path) as store:
        for i in (2, 1):
            journal(store, i, usage=Usage(prompt_tokens=i, completion_tokens=10 * i, usd=i / 4))
        store.journal("f", purpose="evolve", model="n", request={}, texts=["é", "b"], usage=Usage(), record="r")
        rows = list(store.calls())
        assert [row["key"][-1] for row in rows] == ["1", "2", "f"]
        assert rows[2] == {
            "key": "f", "purpose": "evolve", "model": "n", "record": "r", "request": {}, "texts": ["é", "b"],
            "prompt_tokens": 0, "completion_tokens": 0, "usd": 0.0, "cut": [],
        }  # fmt: skip
        assert store.spent() == {
            "answer": {"calls": 2, "prompt_tokens": 3, "completion_tokens": 30, "usd": 0.75},
            "evolve": {"calls": 1, "prompt_tokens": 0, "completion_tokens": 0, "usd": 0.0},
        }


def test_a_store_may_be_used_from_another_thread(tmp_path):
    with Store.open(tmp_path) as store:
        thread = threading.Thread(target=store.note, args=("from", "a thread"))
        thread.start()
        thread.join()
        assert store.noted("from") == "a thread"


def test_a_second_process_is_refused_and_told_who_writes(tmp_path):
    code = f"from evoltune.run.store import Store; from pathlib import Path; Store.open(Path({str(tmp_path)!r}))"
    with Store.open(tmp_path) as store:
        journal(store, 1)
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert f"another process writes to this run (pid {os.getpid()} on" in other.stderr
        with Store.read(tmp_path) as reader:  # reading is always allowed
            assert reader.reply(f"{1:032x}").texts == ["x"]
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_lock_of_a_killed_process_is_free(tmp_path):
    code = f"""
        import os, signal
        from pathlib import Path
        from evoltune.run.store import Store
        store = Store.open(Path({str(tmp_path)!r}))
        store.note("alive", 1)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)])
    with Store.open(tmp_path) as store:
        assert store.noted("alive") == 1


def _filled(folder, rows=3000):
    with Store.open(folder) as store:
        for i in range(rows):
            journal(store, i, "text " * 40)
    return folder / STORE


def test_a_value_cut_from_outside_is_a_damaged_store_and_not_an_internal_error(tmp_path):
    _filled(tmp_path)
    with sqlite3.connect(tmp_path / STORE) as db:
        db.execute("UPDATE calls SET texts = substr(texts, 1, 5)")
    with pytest.raises(StoreError, match=r"store.sqlite: damaged \(a value is no JSON"), Store.read(tmp_path) as store:
        list(store.calls())


def test_a_corrupt_page_is_an_error_that_names_the_file_when_opened(tmp_path):
    path = _filled(tmp_path)
    data = bytearray(path.read_bytes())
    for page in range(20, len(data) // 4096, 7):
        data[page * 4096 : page * 4096 + 64] = random.Random(page).randbytes(64)
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"store.sqlite: (damaged|.*malformed)"):
        Store.open(tmp_path)
    with (
        pytest.raises(StoreError, match=r"store.sqlite"),
        Store.read(tmp_path) as store,
    ):  # a reader meets it on its way
        list(store.calls())
    (tmp_path / "store.sqlite").unlink()
    Store.open(tmp_path).close()  # and the lock was given back


def test_a_file_that_is_no_database_is_an_error(tmp_path):
    (tmp_path / STORE).write_text("certainly not a database, and long enough to be looked at" * 40)
    with pytest.raises(StoreError, match="not a database"):
        Store.open(tmp_path)


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Store.open(tmp_path / "file" / "run")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
def test_a_read_only_directory_is_an_error(tmp_path):
    folder = tmp_path / "run"
    _filled(folder, 3)
    code = f"""
        import os
        from pathlib import Path
        from evoltune.run.store import Store
        os.setgid(65534); os.setuid(65534)
        Store.open(Path({str(folder)!r}))
    """
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == 0 and parent != parent.parent and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd="/")
    if "No module named" in done.stderr:
        pytest.skip("the installation is not readable by other users")
    assert "StoreError" in done.stderr and "cannot be written: Permission denied" in done.stderr


FILL = """
    import sys
    from pathlib import Path
    from evoltune.errors import StoreError
    from evoltune.run.store import Store, Usage
    {prepare}
    folder, done = Path(sys.argv[1]), 0
    try:
        with Store.open(folder) as store:
            for i in range(100_000):
                store.journal(f"{{i:032x}}", purpose="a", model="m", request={{}}, texts=["text " * 100], usage=Usage())
                done = i + 1
    except StoreError as error:
        print(done, error)
"""


def _survives(folder, run):
    """The error is clear, and every call that was acknowledged before it is there afterwards."""
    done, _, error = run.stdout.partition(" ")
    assert "store.sqlite" in error and "everything committed before is kept" in error, run.stderr
    with Store.open(folder) as store:
        found = list(store.calls())
    assert len(found) in (int(done), int(done) + 1)
    assert int(done) > 100


def test_a_file_that_may_not_grow_loses_nothing_that_was_committed(tmp_path):
    limit = 3 * 2**20
    prepare = f"import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FILL.format(prepare=prepare)), str(tmp_path)],
        capture_output=True,
        text=True,
    )
    _survives(tmp_path, run)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != limit


def test_a_full_disk_loses_nothing_that_was_committed(tmp_path):
    script = tmp_path / "fill.py"
    script.write_text(textwrap.dedent(FILL.format(prepare="")))
    disk, saved = tmp_path / "disk", tmp_path / "saved"
    disk.mkdir()
    command = f"mount -t tmpfs -o size=3m tmpfs {disk} || exit 77; {sys.executable} {script} {disk}/run; cp -a {disk}/run {saved}"
    run = subprocess.run(["unshare", "-m", "sh", "-c", command], capture_output=True, text=True)
    if run.returncode == 77 or "unshare" in run.stderr:
        pytest.skip(f"no mount namespace here: {run.stderr.strip()[:80]}")
    _survives(saved, run)
    assert "free some space there, or give --out on another disk" in run.stdout


def test_two_megabytes_of_log_are_folded_into_the_file_on_close(tmp_path):
    path = _filled(tmp_path)
    assert not path.with_name(STORE + "-wal").exists() or path.with_name(STORE + "-wal").stat().st_size == 0
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(path, copy / STORE)  # one file is the whole store
    assert sqlite3.connect(copy / STORE).execute("SELECT count(*) FROM calls").fetchone() == (3000,)


READ_ONLY = """
set -e
mount --bind "$1" "$1"
mount -o remount,ro,bind "$1"
cd "$2"
"$3" -m evoltune report "$1/run" && exit 3
"$3" -m evoltune report "$1/run" --out page.html
"$3" -m evoltune runs watch "$1/run" --json > figures.json
"""


def test_a_run_on_a_read_only_disk_is_read_and_its_page_goes_elsewhere(tmp_path):
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this host allows no mounts of one's own")
    disk, elsewhere = tmp_path / "disk", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with Store.open(disk / "run") as store:
        step = Step(name="evolve", version="1")
        store.decide(step, [Record(domain="toy", task=Task(instruction="Say hello.", name="1"))])
        store.plan(step, 1)
    (disk / "run" / "recipe.yaml").write_text("domain: math\n")
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", READ_ONLY, "bash", str(disk), str(elsewhere), sys.executable], capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "may not be written: name another place for the page with --out FILE" in done.stderr
    assert "<title>" in (elsewhere / "page.html").read_text()
    assert json.loads((elsewhere / "figures.json").read_text())["planned"] == 1


def test_a_reply_that_waits_for_its_commit_is_written_with_whatever_is_written_next(tmp_path):
    def kept():
        with Store.read(tmp_path) as reader:
            return [call["key"] for call in reader.calls()]

    held = {"purpose": "answer", "model": "m", "request": {}, "texts": ["t"], "usage": Usage(), "at_once": False}
    with Store.open(tmp_path) as store:
        store.journal("a", **held)
        assert kept() == []
        store.note("budget", 1)
        assert kept() == ["a"]
        store.journal("b", **held)
        with pytest.raises(ValueError, match="no reason"):
            store.decide(
                Step(name="evolve", version="1"),
                [Drop(record=Record(domain="d", task=Task(instruction="x")), reason="")],
            )
        assert kept() == ["a"]
        store.commit_held()
        store.commit_held()
        assert kept() == ["a", "b"]
    Store.open(tmp_path).close()  # and the sums are right


def test_what_an_earlier_version_planned_for_a_step_is_found(tmp_path):
    step = Step(name="evolve", version="1")
    with Store.open(tmp_path) as store:
        store.plan(step, 7)
        assert store.noted(f"planned:{step.key}:2147483648") == store.planned(step) == 7  # its key in every store
