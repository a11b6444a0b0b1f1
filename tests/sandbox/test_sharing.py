"""Programs that share a test runner: which may, and that nobody can tell."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from evoltune.domain import Job
from evoltune.sandbox.job_checks import shareable
from evoltune.sandbox.values import encode

ADD = "def f(a, b):\n    return a + b\n"


CHECK = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(-1, 1) == 0\n"


def job(program, tests, **more):
    return Job(program=program, tests=tests, entry_point="f", **more)


NEIGHBOURS = [
    ADD,
    "def f(a, b): return 0",
    "while True: pass",
    "raise SystemExit",
    "def f(a, b) return",
    "import math\nmath.pi = 3\nint = float\ndef f(a, b): return a + b",
    "def f(a, b): return f(a, b)",
    "def f(a, b): return [0] * 10**12",
    "class E:\n    def __eq__(self, other): return True\ndef f(a, b): return E()",
    "def f(a, b): print('x' * 10**5); return a + b",
    ADD + "#",
]


TESTS = [
    CHECK,
    "assert f(1, 2) == 3",
    ["assert f(1, 2) == 3", "assert f(0, 0) == 0"],
    {"each": ["assert f(1, 2) == 3", "assert f(1, 1) == 3"]},
    {"cases": [[encode([1, 2]), encode(3)]]},
    {"probe": [encode([1, 2])]},
    "import math\nassert math.isclose(f(1, 2), 3)",
    "seen = []\ndef check(candidate):\n    seen.append(candidate(1, 2))\n    assert seen == [3]",
    "assert f(1, 2) ==",
]


SLY = "import sys\nmy = sys.modules['o' 's']\n"


ADDS = "\ndef f(a, b): return a + b"


def plain(verdict):
    """Without what was measured, addresses, and whether the machine was so busy that a timeout was tried again."""
    return (
        verdict.status,
        re.sub("0x[0-9a-f]+", "0x", verdict.reason),
        {k: v for k, v in verdict.evidence.items() if k not in ("cpu_s", "memory_mb", "retried")},
    )


IN_PROCESS = [
    "class Own:\n    pass\nassert isinstance(Own(), Own) and f(1, 2) == 3",
    "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(f(1, 2), 3)",
    "import pytest\n@pytest.mark.parametrize('a', [1, 2])\ndef test(a):\n    assert f(a, 2) == a + 2",
    "assert f.__name__ == 'f'\nassert f(1, 2) == 3",
]
"""Tests that run in the program's own process."""


# each program and each kind of test once; all pairs of them take a minute
PAIRS = [(NEIGHBOURS[i % len(NEIGHBOURS)], TESTS[i % len(TESTS)]) for i in range(len(NEIGHBOURS))]
PAIRS += [(program, IN_PROCESS[i % len(IN_PROCESS)]) for i, program in enumerate(NEIGHBOURS)]


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param(PAIRS, id="one_of_each"),
        pytest.param(
            [(p, t) for t in (*TESTS, *IN_PROCESS) for p in NEIGHBOURS], id="all_pairs", marks=pytest.mark.slow
        ),
    ],
)
def test_verdicts_from_a_shared_test_runner_are_those_of_test_runners_of_their_own(run, one, pairs):
    jobs = [job(program, tests, cpu_s=0.5) for program, tests in pairs]
    assert [plain(v) for v in run(*jobs)] == [plain(one(j.program, j.tests, cpu_s=0.5)) for j in jobs]


ATTACKS = [
    "my.kill(my.getppid(), 9)",
    "my.kill(my.getppid(), 19)",  # stopped for good
    "[my.kill(p, 9) for p in range(2, 50) if p != my.getpid()]",
    "my.write(3, b'\\xff' * 1000)",
    "my.write(3, b'\\0\\0\\1\\0')",  # the head of a message that never ends
    "my.close(3)",
    "my._exit(0)",
    "while my.fork(): pass",
    "open = my.open\nfor n in range(200): my.write(my.open(f'{n}.py', 65), b'1')",
    "import time\ntime.sleep(30)",
]


@pytest.mark.parametrize("tests", [CHECK, IN_PROCESS[0]], ids=["separate", "same process"])
def test_what_a_program_does_to_a_shared_test_runner_is_its_own_loss(run, one, tests):
    """Neighbours before and after get their verdicts, the attacker none better than alone."""

    def alone(attack):
        return one(SLY + attack + ADDS, tests, cpu_s=0.3).status

    def beside(attack):
        programs = (ADD, SLY + attack + ADDS, ADD + "#", "def f(a, b): return 1")
        return [v.status for v in run(*(job(p, tests, cpu_s=0.3) for p in programs))]

    with ThreadPoolExecutor(8) as threads:  # some of them only wait
        for attack, status, got in zip(ATTACKS, threads.map(alone, ATTACKS), threads.map(beside, ATTACKS), strict=True):
            assert got[::2] == ["pass", "pass"], attack
            assert got[3] == "fail", attack
            assert got[1] in (status, "fail", "timeout"), attack


def test_a_program_cannot_forge_its_neighbours_verdict(run):
    forger = (
        SLY + "import json, struct\nm = json.dumps(['ended', 0, 0.0, 0]).encode()\n"
        "for fd in range(3, 20):\n    try: my.write(fd, (struct.pack('>I', len(m)) + m) * 3)\n    except OSError: pass\n"
        "def f(a, b): return None"
    )
    verdicts = run(job(forger, CHECK), job("def f(a, b): return 1", CHECK), job(ADD, CHECK))
    assert [v.status for v in verdicts] == ["fail", "fail", "pass"]
    verdicts = run(*(job(p, IN_PROCESS[0]) for p in (forger, "def f(a, b): return 1", ADD)))
    assert [v.status for v in verdicts][1:] == ["fail", "pass"] and verdicts[0].status != "pass"


@pytest.mark.parametrize(
    ("program", "tests", "shares"),
    [
        (ADD, IN_PROCESS[0], True),
        (ADD, IN_PROCESS[1], True),
        (ADD, "import os\nassert f(1, 2) == 3 and os.sep", False),
        (ADD, "def test(tmp_path):\n    assert f(1, 2) == 3", False),
        (ADD, "import numpy\nnumpy.savetxt('x', [1])\nassert f(1, 2) == 3", False),
        ("import threading\n" + ADD, IN_PROCESS[0], False),
    ],
)
def test_tests_in_the_programs_process_share_where_they_leave_no_file_and_need_no_process(program, tests, shares):
    assert shareable(job(program, tests), "same process") is shares


def test_tests_cannot_reach_into_a_shared_test_runner_through_what_a_program_names(run, one):
    program = "gg = getattr\nss = setattr\n" + ADD
    tests = "g = (i for i in [1])\nb = gg(gg(g, 'gi_frame'), 'f_builtins')\nb['isinstance'] = lambda *a: True\nassert f(1, 2) == 3"
    assert shareable(job(program, tests))
    verdicts = run(job(ADD, CHECK), job(program, tests), job("def f(a, b): return 1", CHECK), job(ADD, CHECK))
    assert [v.status for v in verdicts] == ["pass", one(program, tests).status, "fail", "pass"]


def test_processes_threads_and_files_work_beside_programs_that_want_none(run):
    with_file = "def f(a, b):\n    open('x', 'w').write(str(a + b))\n    return int(open('x').read())"
    with_thread = (
        "import threading\ndef f(a, b):\n    out = []\n    t = threading.Thread(target=lambda: out.append(a + b))\n"
        "    t.start(); t.join()\n    return out[0]"
    )
    left = "def f(a, b):\n    open('x').read()\n    return a + b"
    verdicts = run(*(job(p, CHECK) for p in (ADD, with_file, with_thread, left, ADD)))
    assert [v.status for v in verdicts] == ["pass", "pass", "pass", "fail", "pass"]


@pytest.mark.parametrize(
    "tests, shares",
    [
        (CHECK, True),
        ("assert f('a.b', 1.5) == 'No.'\nx = []\nx.append(f(1))\nassert x.count(2) == 1", True),
        ("# this is. random\nassert f('open. this', \"it's math.pi\") == 1  # don't copy. it", True),
        ("import math\nfrom typing import List, Tuple\nassert math.isclose(f(1), 2)", True),
        ("from typing import get_type_hints\nassert f(1)", False),
        ("import math\nx = math", False),
        ("import math\nmath.pi = 3", False),
        ("import math\n(math.isclose)", False),
        ("import math as m\nassert m.isclose(f(1), 2)", False),
        ("g = (i for i in [1])\n(g.\nmath.isclose(1))", False),
        ("assert f(f'{g.gi_frame}')", False),
        ("'\\\\' + g.gi_frame + '\\\\'", False),
        ('x = """\n# """; g.gi_frame', False),
        ("x = f'a ' + g.gi_frame + 'b'", False),
        ("x = ' # ' + g.gi_frame", False),
        ("math.isclose = max\nassert f(1)", False),
        ("from typing import sys\nassert f(1)", False),
        ("g = (i for i in [1])\ng.gi_frame.f_builtins['isinstance'] = f", False),
        ("g = (i for i in [1])\n(g.  # x\n gi_frame)", False),
        ("g = (i for i in [1])\n(g.\\\n gi_frame)", False),
        ("x = f\nx.count = 3", False),
        ("x = f\nx .pi = 3", False),
        ("\uff47etattr(f, 'x')", False),
        ("match f:\n    case list(count=x):\n        pass", False),
        ({"cases": [[[1], 2]]}, True),
        ("import random\nrandom.seed(1)\nassert f(1)", False),
        ("assert f.__name__", False),
        (["assert f(1)", "import sys"], False),
        ({"stdio": [["", ""]]}, False),
        (None, False),
    ],
)
def test_only_tests_that_leave_nothing_behind_share_a_test_runner(tests, shares):
    assert shareable(job("# an open question of os and io\n" + ADD, tests)) is shares
    for wanting in (
        "import os\n",
        "from os import path\n",
        "import math, threading\n",
        "open('x')\n",
        "__import__('os')\n",
    ):
        assert not shareable(job(wanting + ADD, tests))
