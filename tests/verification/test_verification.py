"""Checkers, `evoltune.verify`, rewards and the command: order, garbage, kills, cache, resume."""

import asyncio
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

import evoltune
from evoltune.cli import main
from evoltune.errors import DomainError, IsolationError
from evoltune.recipe import Sandbox, Verification
from evoltune.record import Answer, Drop, Record, Task, Verdict
from evoltune.verification.checker import open_checker, verify_stage

TOY = """
import os
from pathlib import Path
from evoltune import Benchmark, Domain, Job, Profile, Record, Task, Verdict

def verify(task, candidate, context):
    if candidate == "bomb":
        9 ** 9 ** 9
    if candidate == "raise":
        raise ValueError("broken")
    if candidate == "die":
        os.kill(os.getpid(), 9)
    if candidate == "hungry":
        "x" * 10 ** 10
    if "COUNT" in context.policy and context.policy["COUNT"]:
        with open(context.policy["COUNT"], "a") as file:
            file.write(candidate + "\\n")
    if task.tests:
        return context.run(Job(program=candidate, tests=task.tests, entry_point=task.fields.get("entry_point", "")))
    if task.reference is None:
        return Verdict(status="unverifiable", reason="no reference")
    return Verdict(status="pass" if candidate == task.reference else "fail")

def lenient(task, candidate, context):
    return Verdict(status="pass")

def confirm(task, candidates, evidence, context):
    return [Verdict(status="pass", reason="vote") for _ in candidates]

def overlap(record, suite, context):
    return [t.name for t in suite if t.instruction == record.task.instruction]

def load(path):
    return [Task(instruction="q", reference=r, name=f"t{r}") for r in Path(path).read_text().split()]

domain = Domain(
    name="toy", verify=verify, operators=(), seeds=lambda: [], columns=("entry_point",), policy={"COUNT": ""}, confirm=confirm,
    overlap={"same": overlap}, profiles={"sound": Profile(version=1), "lenient": Profile(version=1, verify=lenient)},
    benchmarks={"tiny": Benchmark(load=load, sha256="", licence="", file="tiny.txt")},
)
"""


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("domains") / "toy_domain_for_tests"
    folder.mkdir()
    (folder / "__init__.py").write_text(TOY)
    return str(folder)


@pytest.fixture(scope="module")
def checker(toy):
    with open_checker(toy, workers=2, check_s=1.0) as checker:
        yield checker


def record(*texts, reference="1", **more):
    return Record(
        domain="toy",
        task=Task(instruction="q", reference=reference, **more),
        answers=tuple(Answer(text=t, model="m") for t in texts),
    )


def statuses(records):
    return [[a.verdict.status for a in r.answers] for r in records]


def test_records_come_back_in_order_each_answer_with_its_verdict(checker):
    records = [record(str(i % 3), "1") for i in range(500)]
    judged = list(checker.verify(records))
    assert [r.id for r in judged] == [r.id for r in records]
    assert statuses(judged) == [["pass" if i % 3 == 1 else "fail", "pass"] for i in range(500)]


def test_an_answer_that_has_a_verdict_keeps_it(checker):
    struck = Record(
        domain="toy",
        task=Task(instruction="q", reference="1"),
        answers=(Answer(text="1", model="m", verdict=Verdict(status="fail")),),
    )
    assert statuses(checker.verify([struck])) == [["fail"]]


def test_whatever_an_answer_does_to_its_checker_the_next_is_judged(checker):
    texts = ["1", "bomb", "1", "raise", "die", "hungry", "1", "2"]
    judged = [s for (s,) in statuses(checker.verify([record(t) for t in texts]))]
    assert judged == ["pass", "timeout", "pass", "error", "error", "memory", "pass", "fail"]


def test_records_without_answers_pass_through(checker):
    assert statuses(checker.verify([record(), record("1"), record()])) == [[], ["pass"], []]


def test_a_checker_works_from_threads_and_from_asyncio(checker):
    out = {}
    threads = [
        threading.Thread(target=lambda i=i: out.update({i: statuses(checker.verify([record("1")] * 20))}))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(out[i] == [["pass"]] * 20 for i in range(4))

    async def inside():
        return await asyncio.to_thread(lambda: statuses(checker.verify([record("2")])))

    assert asyncio.run(inside()) == [["fail"]]


def test_a_caller_in_a_thread_can_open_a_checker_of_its_own_and_its_alarm_stays(toy):
    signal.setitimer(signal.ITIMER_REAL, 300)
    out = []
    thread = threading.Thread(
        target=lambda: out.extend(evoltune.verify([{"answer": "1", "reference": "1"}], domain=toy, workers=1))
    )
    thread.start()
    thread.join()
    left = signal.setitimer(signal.ITIMER_REAL, 0)[0]
    assert out[0]["status"] == "pass" and left > 0


def test_equal_answers_to_equal_tasks_are_judged_once(toy, tmp_path):
    count = tmp_path / "count"
    with open_checker(toy, workers=2, policy={"COUNT": str(count)}) as checker:
        list(checker.verify([record("1", name=str(i)) for i in range(50)] + [record("2")]))
        list(checker.verify([record("1")]))
    assert sorted(count.read_text().split()) == ["1", "2"]


def test_confirm_runs_only_when_asked(toy):
    unknown = [record("a", reference=None)]
    with open_checker(toy, workers=1) as plain, open_checker(toy, workers=1, confirm=True) as confirming:
        assert statuses(plain.verify(unknown)) == [["unverifiable"]]
        assert statuses(confirming.verify(unknown)) == [["pass"]]


def test_the_verify_stage_keeps_by_status_and_drops_with_the_reason(checker):
    results = list(verify_stage(checker, ["pass"])([record("1"), record("2"), record("2", "1"), record()]))
    assert [r.reason if isinstance(r, Drop) else "kept" for r in results] == [
        "kept",
        "fail",
        "kept",
        "no answer",
    ]


def test_overlap_names_the_tasks_that_a_record_gives_away(checker):
    suite = [Task(instruction="q", name="q1"), Task(instruction="other", name="q2")]
    assert [list(names) for names in checker.overlap([record("1")] * 3, suite, "same")] == [["q1"]] * 3
    with pytest.raises(DomainError, match="same"):
        list(checker.overlap([], suite, "sam"))


def test_rows_in_any_state_become_verdicts_in_order(toy):
    rows = [
        {"id": "a", "answer": "1", "reference": 1},
        {"id": "b"},
        {"id": "c", "answer": 3},
        "nonsense",
        {"id": "e", "answer": "1", "reference": [1]},
        {"id": "f", "answer": "x\x00\ud800", "reference": "1"},
        {"id": "g", "answer": "x" * 10_000_000, "reference": "1"},
        {"id": "h", "answer": "def f(a): return a", "tests": 7},
        {"id": "i", "answer": "def f(a): return a", "tests": "assert f(1) == 1", "entry_point": "f"},
    ]
    judged = list(evoltune.verify(rows, domain=toy, workers=1))
    assert [r["status"] for r in judged] == [
        "pass",
        "error",
        "error",
        "error",
        "error",
        "fail",
        "fail",
        "error",
        "pass",
    ]
    assert [r["id"] for r in judged] == ["a", "b", "c", 4, "e", "f", "g", "h", "i"]
    assert set(judged[0]) == {"id", "status", "reason", "score", "seconds", "evidence"}
    assert all(r["reason"] for r in judged if r["status"] == "error")


def test_a_reward_takes_a_trainers_columns_and_conversations(toy):
    reward = evoltune.reward(toy, workers=1)
    assert reward.__name__ == "evoltune_toy"
    completions = [
        [{"role": "assistant", "content": "1"}],
        [{"role": "assistant", "content": "2"}],
        [{"role": "assistant", "content": "1"}],
    ]
    scores = reward(
        completions=completions,
        prompts=["p"] * 3,
        reference=["1", "1", None],
        trainer_state=object(),
        completion_ids=[[1], [2], [3]],
    )
    assert scores == [1.0, 0.0, None]
    assert reward(["1"], reference=["1"]) == [1.0]


def test_a_reward_made_before_a_fork_works_after_it(toy):
    reward = evoltune.reward(toy, workers=1)
    assert reward(["1"], reference=["1"]) == [1.0]
    if (child := os.fork()) == 0:
        os._exit(0 if reward(["1", "2"], reference=["1", "1"]) == [1.0, 0.0] else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_pickled_reward_scores_as_the_original(toy):
    rewards = evoltune.reward(toy, workers=1)
    assert rewards(["1"], reference=["1"]) == [1.0]
    copy = pickle.loads(pickle.dumps(rewards))
    assert copy.__name__ == "evoltune_toy"
    assert copy(["1", "2"], reference=["1", "1"]) == [1.0, 0.0]


def test_every_setting_of_a_recipe_reaches_the_workers(toy):
    settings = Verification(
        workers=1,
        check_s=7.0,
        program_s=6.0,
        memory_mb=999,
        sandbox=Sandbox(require="L0"),
        policy={"COUNT": ""},
    )
    assert settings.keep == Verification().keep  # the only field that is not for workers
    changed = {f for f in settings.__struct_fields__ if getattr(settings, f) != getattr(Verification(), f)}
    assert changed == {*settings.__struct_fields__} - {"keep"}
    with open_checker(toy, settings) as checker:
        spec = checker.pool.spec
        assert (checker.pool.size, spec.check_s, spec.program_s, spec.memory_mb) == (1, 7.0, 6.0, 999)
        assert (spec.require, spec.policy) == ("L0", {"COUNT": ""})


def test_an_unknown_option_is_refused_with_the_nearest(toy):
    with pytest.raises(TypeError, match="did you mean 'program_s'"):
        open_checker(toy, programs=3)


def test_unknown_names_are_refused_with_what_is_allowed(toy):
    with pytest.raises(DomainError, match="lenient"):
        open_checker(toy, profile="lenien")
    with pytest.raises(DomainError, match="COUNT"):
        open_checker(toy, policy={"COUNTS": 1})


def test_a_weaker_sandbox_than_required_is_refused_with_the_remedy(toy):
    with pytest.raises(IsolationError, match=r"L3 is asked, this host gives L[012].*lacks"):
        open_checker(toy, require="L3", at_most="L1")


def test_closing_leaves_no_process(toy):
    before = set(_children())
    with open_checker(toy, workers=2) as checker:
        list(checker.verify([record("1"), record("die"), record("1")]))
    assert set(_children()) <= before


def test_workers_die_with_a_killed_driver(toy):
    code = (
        f"import evoltune, os, time\nfrom evoltune.verification.checker import *\nc = open_checker({toy!r}, workers=1)\n"
        "print(c.pool._threads and os.getpid(), flush=True)\nlist(c.verify([]))\ntime.sleep(60)"
    )
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    driver.stdout.readline()
    below = _below(driver.pid)
    assert below
    driver.kill()
    driver.wait()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{p}").exists() for p in below) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{p}").exists() for p in below)


def _children(pid="self"):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found += map(int, (task / "children").read_text().split())
    return found


def _below(pid):
    children = _children(pid)
    return children + [p for c in children for p in _below(c)]


# ---- the command


def rows_file(path, rows):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(path)


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_the_command_writes_rows_in_order_and_counts_them(toy, tmp_path, capsys):
    file = rows_file(
        tmp_path / "in.jsonl", [{"id": i, "answer": str(i % 2), "reference": "1"} for i in range(30)]
    )
    assert (
        main(["verify", file, "--domain", toy, "--workers", "2", "--out", str(tmp_path / "out.jsonl")]) == 0
    )
    assert [r["id"] for r in lines(tmp_path / "out.jsonl")] == list(range(30))
    assert "30 rows: 15 pass, 15 fail" in capsys.readouterr().out
    assert not (tmp_path / "out.jsonl.partial").exists()


def test_the_command_renames_columns_and_speaks_json(toy, tmp_path, capsys):
    file = rows_file(tmp_path / "in.jsonl", [{"id": 1, "output": "1", "gold": "1"}])
    assert (
        main(
            [
                "verify",
                file,
                "--domain",
                toy,
                "--workers",
                "1",
                "--map",
                "answer=output",
                "--map",
                "reference=gold",
                "--json",
            ]
        )
        == 0
    )
    row, counts = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["status"], counts["pass"], counts["rows"]) == ("pass", 1, 1)


def test_fail_under_is_exit_code_1(toy, tmp_path, capsys):
    file = rows_file(tmp_path / "in.jsonl", [{"answer": a, "reference": "1"} for a in "12"])
    assert main(["verify", file, "--domain", toy, "--workers", "1", "--fail-under", "0.9"]) == 1
    assert main(["verify", file, "--domain", toy, "--workers", "1", "--fail-under", "0.5"]) == 0


def test_a_malformed_file_is_one_line_with_its_number(toy, tmp_path, capsys):
    file = tmp_path / "in.jsonl"
    file.write_text('{"id": 1, "answer": "1"}\n{"id": 2,\n')
    assert main(["verify", str(file), "--domain", toy, "--workers", "1"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"{file}:2" in error and error.startswith("evoltune verify:")


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["missing.jsonl", "--domain", "TOY"], "missing.jsonl"),
        (["IN"], "--domain"),
        (["IN", "--domain", "nothing_like_it"], "nothing_like_it"),
        (["IN", "--domain", "TOY", "--profiles", "sond"], "sound"),
        (["IN", "--domain", "TOY", "--suite", "tin"], "tiny"),
        (["IN", "--domain", "TOY", "--map", "answer"], "OURS=THEIRS"),
    ],
)
def test_misuse_is_exit_code_2_and_one_line(toy, tmp_path, capsys, arguments, said):
    file = rows_file(tmp_path / "in.jsonl", [{"answer": "1"}])
    arguments = [{"TOY": toy, "IN": file}.get(a, a) for a in arguments]
    assert main(["verify", *arguments, "--workers", "1"]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]


def test_profiles_show_their_disagreements(toy, tmp_path, capsys):
    file = rows_file(
        tmp_path / "in.jsonl",
        [{"id": "x", "answer": "2", "reference": "1"}, {"id": "y", "answer": "1", "reference": "1"}],
    )
    assert main(["verify", file, "--domain", toy, "--workers", "1", "--profiles", "sound,lenient"]) == 0
    out = capsys.readouterr().out
    assert "x\tsound=fail\tlenient=pass" in out and "1 disagreements" in out


def test_a_suite_joins_task_ids_with_its_tasks(toy, tmp_path, capsys):
    (tmp_path / "tiny.txt").write_text("1 2")
    file = rows_file(
        tmp_path / "in.jsonl", [{"task_id": "t2", "completion": "2"}, {"task_id": "t1", "completion": "2"}]
    )
    assert (
        main(
            [
                "verify",
                file,
                "--domain",
                toy,
                "--workers",
                "1",
                "--suite",
                "tiny",
                "--data",
                str(tmp_path),
                "--json",
            ]
        )
        == 0
    )
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r.get("id"), r.get("status")) for r in rows[:2]] == [("t2", "pass"), ("t1", "fail")]


def test_standard_input_and_parquet_are_read(toy, tmp_path, capsys, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    parquet.write_table(
        pyarrow.Table.from_pylist([{"id": "p", "answer": "1", "reference": "1"}]), tmp_path / "in.parquet"
    )
    assert main(["verify", str(tmp_path / "in.parquet"), "--domain", toy, "--workers", "1"]) == 0
    assert "1 rows: 1 pass" in capsys.readouterr().out
    command = [sys.executable, "-m", "evoltune", "verify", "-", "--domain", toy, "--workers", "1", "--json"]
    done = subprocess.run(
        command, input='{"id": 5, "answer": "1", "reference": "1"}\n', capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["id"] == 5


def test_a_killed_run_goes_on_where_it_stopped(toy, tmp_path, capsys):
    count = tmp_path / "count"
    rows = [{"id": i, "answer": str(i), "reference": "1"} for i in range(4000)]
    file, out = rows_file(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    arguments = [
        "verify",
        file,
        "--domain",
        toy,
        "--workers",
        "1",
        "--policy",
        f"COUNT={count}",
        "--out",
        str(out),
    ]
    run = subprocess.Popen(
        [sys.executable, "-m", "evoltune", *arguments], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    partial = tmp_path / "out.jsonl.partial"
    deadline = time.monotonic() + 60
    while (
        (not partial.exists() or partial.read_bytes().count(b"\n") < 50)
        and time.monotonic() < deadline
        and run.poll() is None
    ):
        time.sleep(0.005)
    run.kill()
    run.wait()
    judged_before = partial.read_bytes().count(b"\n") - 1 if partial.exists() else 4000
    time.sleep(0.5)
    calls_before = len(count.read_text().split())
    assert main(arguments) == 0
    assert [r["id"] for r in lines(out)] == list(range(4000))
    assert len(count.read_text().split()) - calls_before <= 4000 - judged_before + 1
    assert "4000 rows" in capsys.readouterr().out


def test_a_row_that_is_no_object_is_an_error_of_the_file_only_when_it_is_no_json(toy, tmp_path):
    file = tmp_path / "in.jsonl"
    file.write_text("3\n" + json.dumps({"answer": "1", "reference": "1"}) + "\n")
    assert main(["verify", str(file), "--domain", toy, "--workers", "1", "--out", str(tmp_path / "o")]) == 0
    assert [r["status"] for r in lines(tmp_path / "o")] == ["error", "pass"]
