"""Checkers: order, answers that crash or exhaust their process, cache, settings, overlap, and no process left behind."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

import evoltune
from evoltune.cluster.engine import pools_kept
from evoltune.errors import DomainError, IsolationError
from evoltune.recipe import Sandbox, Verification
from evoltune.record import Answer, Drop, Record, Task, Verdict
from evoltune.verification.checker import open_checker, verify_stage


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
    verified = list(checker.verify(records))
    assert [r.id for r in verified] == [r.id for r in records]
    assert statuses(verified) == [["pass" if i % 3 == 1 else "fail", "pass"] for i in range(500)]


def test_an_answer_that_has_a_verdict_keeps_it(checker):
    rejected = Record(
        domain="toy",
        task=Task(instruction="q", reference="1"),
        answers=(Answer(text="1", model="m", verdict=Verdict(status="fail")),),
    )
    assert statuses(checker.verify([rejected])) == [["fail"]]


def test_whatever_an_answer_does_to_its_checker_the_next_is_verified(checker):
    texts = ["1", "bomb", "1", "raise", "die", "hungry", "1", "2"]
    verified = [s for (s,) in statuses(checker.verify([record(t) for t in texts]))]
    assert verified == ["pass", "error", "pass", "error", "error", "memory", "pass", "fail"]


def test_what_a_verifier_does_instead_of_a_verdict_is_told_in_its_name_and_no_row_is_lost(checker):
    texts = ["exit", "1", "leave", "2", "wander", "1", "seven", "2", "stop", "1", "fork", *("1", "2") * 20]
    verdicts = [r.answers[0].verdict for r in checker.verify([record(t) for t in texts])]
    assert [v.status for v in verdicts[1:11:2]] == ["pass", "fail", "pass", "fail", "pass"]
    did = [
        "called sys.exit(0)",
        "called os._exit(0)",
        "changed the working",
        "verify gave int",
        "raised KeyboardInterrupt",
        "forked",
    ]
    for verdict, told in zip(verdicts[:11:2], did, strict=True):
        assert (
            verdict.status == "error" and verdict.reason.startswith("the code of the domain") and told in verdict.reason
        )
    assert [v.status for v in verdicts[11:]] == ["pass", "fail"] * 20, "the child that it forked answers nobody"


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


def test_equal_answers_to_equal_tasks_are_verified_once(toy, tmp_path):
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


def test_the_verify_stage_keeps_by_status_and_drops_with_the_reason(checker, capsys):
    records = [record("1"), record("2"), record("2", "1"), record(), record("leave"), record("die")]
    results = list(verify_stage(checker, ["pass"])(records))
    reasons = [r.reason if isinstance(r, Drop) else "kept" for r in results]
    assert reasons == ["kept", "fail", "kept", "no answer", "error", "error"]
    said = capsys.readouterr().err
    assert "1 answers could not be judged: the code of the domain called os._exit(0) (verify, __init__.py:" in said
    assert "1 answers could not be judged: the code of the domain died with its process (9)" in said


def test_overlap_names_the_tasks_that_a_record_gives_away(checker):
    suite = [Task(instruction="q", name="q1"), Task(instruction="other", name="q2")]
    assert [list(names) for names in checker.overlap([record("1")] * 3, suite, "same")] == [["q1"]] * 3
    with pytest.raises(DomainError, match="same"):
        list(checker.overlap([], suite, "sam"))


def test_every_setting_of_a_recipe_reaches_the_workers(toy):
    settings = Verification(
        workers=1, check_s=7.0, program_s=6.0, memory_mb=999, sandbox=Sandbox(require="L0"), policy={"COUNT": ""}
    )
    assert settings.keep == Verification().keep  # the only field that is not for workers
    changed = {f for f in settings.__struct_fields__ if getattr(settings, f) != getattr(Verification(), f)}
    assert changed == {*settings.__struct_fields__} - {"keep"}
    with open_checker(toy, settings) as checker:
        config = checker.pool.config
        assert (checker.pool.size, config.check_s, config.program_s, config.memory_mb) == (1, 7.0, 6.0, 999)
        assert (config.require, config.policy) == ("L0", {"COUNT": ""})


def test_an_unknown_option_is_refused_with_the_nearest(toy):
    with pytest.raises(TypeError, match="did you mean 'program_s'"):
        open_checker(toy, programs=3)


def test_unknown_names_are_refused_with_what_is_allowed(toy):
    with pytest.raises(DomainError, match="lenient"):
        open_checker(toy, profile="lenien")
    with pytest.raises(DomainError, match="COUNT"):
        open_checker(toy, policy={"COUNTS": 1})


def test_a_weaker_sandbox_than_required_is_refused_with_the_remedy(toy):
    with pytest.raises(IsolationError, match=r"L3 is required, this host gives L[012].*lacks"):
        open_checker(toy, require="L3", at_most="L1")


def test_closing_leaves_no_process(toy):
    before = set(_children())
    with open_checker(toy, workers=2) as checker:
        list(checker.verify([record("1"), record("die"), record("1")]))
    assert set(_children()) <= before


def test_checkers_of_one_kind_share_the_workers_of_a_block_that_keeps_them(toy):
    before = set(_children())
    with pools_kept() as end_idle:
        seen = []
        for changes in ({}, {}, {"check_s": 3.0}):
            with open_checker(toy, workers=1, **changes) as checker:
                seen.append((statuses(checker.verify([record("1"), record("2")])), set(_children()) - before))
            with pytest.raises(RuntimeError, match="closed"):
                list(checker.verify([record("1")]))
        assert [judged for judged, _ in seen] == [[["pass"], ["fail"]]] * 3
        assert seen[0][1] == seen[1][1] < seen[2][1]
        with suppress(ZeroDivisionError), open_checker(toy, workers=1):
            raise ZeroDivisionError  # what may still hold work is not kept
        end_idle()
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


def test_routes_are_noted_where_several_answers_pass_and_only_for_the_verify_stage():
    task = Task(instruction="Three boxes of 4 and 5 more?", reference="17")
    texts = [
        "3 * 4 = 12, 12 + 5 = 17\n#### 17",
        "4 * 3 = 12 and 5 + 12 = 17\n#### 17",
        "3 * 4 + 5 = 17\n#### 17",
        "#### 15",
    ]
    several = Record(domain="math", task=task, answers=tuple(Answer(text=t, model="m") for t in texts))
    alone = Record(domain="math", task=task, answers=several.answers[2:])

    def routes(record):
        return [a.verdict.evidence.get("route") for a in record.answers]

    with open_checker("math", workers=1, confirm=True) as stage:
        first, second = stage.verify([several, alone])
    one, same, other, failed = routes(first)
    assert one == same != other and failed is None and one and other and routes(second) == [None, None]
    with open_checker("math", workers=1) as scores:
        (plain,) = scores.verify([several])
    assert routes(plain) == [None] * 4
