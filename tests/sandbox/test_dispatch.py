"""Limits, statuses and oracles: what a verdict says, whatever the program does."""

import os

import pytest

from evoltune.domain import Job
from evoltune.sandbox.values import encode

ADD = "def f(a, b):\n    return a + b\n"


CHECK = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(-1, 1) == 0\n"


@pytest.mark.parametrize(
    "program, status",
    [
        ("while True: pass", "timeout"),
        ("import time\ntime.sleep(60)", "timeout"),
        ("def f(a, b):\n    while True: pass", "timeout"),
        ("x = ' ' * 10**11", "memory"),
        ("x = []\nwhile True: x.append(' ' * 10**7)", "memory"),
        ("import os\nos._exit(0)", "fail"),
        ("raise SystemExit(0)", "fail"),
        ("def f(a, b) return a", "fail"),
        ("import os\nos.abort()", "fail"),
        ("", "fail"),
        ("f = 3", "fail"),
        ("def g(n): return g(n + 1)\ng(0)", "fail"),
    ],
)
def test_a_misdeed_has_its_status(one, program, status):
    cpu_s = 5.0 if status == "memory" else None  # half a gigabyte of fresh pages takes its time on a busy machine
    assert one(program, CHECK, cpu_s=cpu_s).status == status


def test_output_of_any_size_and_bytes_is_bounded(one):
    assert one(ADD + "import sys\nsys.stdout.write('x' * 10_000_000)", CHECK).status == "pass"
    assert one(ADD + "import os\nos.write(1, b'\\xff\\x00')", CHECK).status == "pass"
    assert len(one("print('x' * 10**6)", None).evidence["stdout"]) <= 1 << 16


@pytest.mark.parametrize(("last", "status"), [(9, "pass"), (8, "fail")])
def test_expected_values_of_an_oracle_may_be_longer_than_a_message(one, last, status):
    """Nine results of 2 MB; a program that is wrong in one of them, wherever that part begins, fails."""
    program = f"def f(a, b):\n    return 'x' * 2_000_000 + str(a if a <= {last} else -1)\n"
    oracle = "def f(a, b):\n    return 'x' * 2_000_000 + str(a)\n"
    verdict = one(program, {"cases": [[encode([a, 0])] for a in range(1, 10)], "oracle": oracle})
    assert verdict.status == status, verdict.reason


def test_a_huge_program_is_refused(one):
    assert one(ADD + "x = 1\n" * 1_000_000, CHECK).status == "fail"


def test_nothing_of_the_driver_is_in_the_programs_environment(one):
    verdict = one("import os\nprint(sorted(os.environ))", None)
    allowed = "PATH LANG HOME PYTHONHASHSEED LC_CTYPE LD_LIBRARY_PATH MALLOC_ARENA_MAX TMPDIR EVOLTUNE_DATA"
    assert set(eval(verdict.evidence["stdout"])) <= set(allowed.split())


def test_a_job_may_use_every_core_after_a_tick_and_chooses_none_for_others(run):
    program = (
        "import os, time\n"
        "def later():\n    time.sleep(0.3)\n    return len(os.sched_getaffinity(0))\n"
        "def others():\n    try:\n        os.sched_setaffinity(1, {0})\n    except PermissionError:\n        return 'refused'\n"
    )
    tests = f"assert later() == {len(os.sched_getaffinity(0))}\nassert others() == 'refused'"
    verdict = run(Job(program=program, tests=tests, entry_point="later"))[0]
    assert verdict.status == ("pass" if verdict.evidence["isolation"] >= "L1" else "fail"), verdict


def test_memory_of_all_processes_of_a_job_is_added_up(one):
    program = (
        "import os, time\n"
        "def f():\n"
        "    for _ in range(4):\n"
        "        if os.fork() == 0:\n"
        "            held = bytearray(os.urandom(1)) * (300 << 20)\n            time.sleep(20)\n"
        "    time.sleep(20)\n"
    )
    verdict = one(program, "assert f() is None", cpu_s=10.0)  # so long that memory is used up before the time is
    assert verdict.status == ("memory" if verdict.evidence["isolation"] >= "L1" else "timeout"), verdict


def test_a_slow_job_is_not_killed_at_the_limit_of_a_quick_one_before_it(run):
    limit = "from resource import RLIMIT_CPU, getrlimit\ndef f():\n    return getrlimit(RLIMIT_CPU)[1]"
    limits = [(1.0, 2), (9.0, 10), (1.0, 2), (1.0, 2)]
    jobs = [Job(program=limit, tests=f"assert f() == {n}", entry_point="f", cpu_s=cpu_s) for cpu_s, n in limits]
    assert [(v.status, v.reason) for v in run(*jobs)] == [("pass", "")] * 4
