"""Programs of every form through the sandbox: what passes, what fails, and why."""

import os
import time
from pathlib import Path

import pytest

from evoltune.domain import Job
from evoltune.errors import DomainError
from evoltune.record import Verdict
from evoltune.sandbox.pool import AHEAD, MAX_BATCH, Pool
from evoltune.sandbox.sharing import shareable
from evoltune.sandbox.values import encode
from evoltune.sandbox.worker_protocol import WorkerConfig

ADD = "def f(a, b):\n    return a + b\n"
CHECK = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(-1, 1) == 0\n"


@pytest.fixture(scope="module")
def run():
    pool = Pool(WorkerConfig(domain="", require="L0", program_s=1.0, memory_mb=512), workers=1)
    yield lambda *jobs: [
        Verdict(status=s, reason=r, seconds=t, evidence=e)
        for s, r, t, e in pool.submit("jobs", [list(jobs)]).result(120)[0]
    ]
    pool.close()


def job(program, tests, **more):
    return Job(program=program, tests=tests, entry_point="f", **more)


def one(run, program, tests, **more):
    return run(job(program, tests, **more))[0]


@pytest.mark.parametrize(
    "tests",
    [
        "assert f(1, 2) == 3",
        CHECK,
        CHECK + "check(f)\n",
        ["assert f(1, 2) == 3", "assert f(0, 0) == 0"],
        {"each": ["assert f(1, 2) == 3"]},
        {"cases": [[encode([1, 2]), encode(3)], [encode([(1,), (2,)]), encode((1, 2))]]},
        {"cases": [[encode([1, 2])], [encode(["a", "b"])]], "oracle": "def f(x, y):\n    return x + y"},
        "def test_it():\n    assert f('a', 'b') == 'ab'",
    ],
)
def test_a_right_program_passes_each_form_of_tests(run, tests):
    verdict = one(run, ADD, tests)
    assert verdict.status == "pass", verdict
    assert verdict.evidence["isolation"] in ("L0", "L1", "L2", "L3")
    assert verdict.evidence["calls"] >= 1


@pytest.mark.parametrize(
    "tests",
    [
        "assert f(1, 2) == 4",
        "def check(candidate):\n    assert candidate(1, 2) == 4",
        ["assert f(1, 2) == 3", "assert f(0, 0) == 1"],
        {"cases": [[encode([1, 2]), encode(4)]]},
        {"cases": [[encode([[1], [2]]), encode((1, 2))]]},
        {"cases": [[encode([1, 2])]], "oracle": "def f(x, y):\n    return x - y"},
    ],
)
def test_a_wrong_program_fails_each_form_of_tests(run, tests):
    assert one(run, ADD, tests).status == "fail"


def test_a_failing_assert_is_named_with_what_the_program_gave(run):
    verdict = one(run, ADD, CHECK.replace("3", "4"))
    assert "assert candidate(1, 2) == 4" in verdict.evidence["test"]
    assert "gave 3" in verdict.reason


def test_each_reports_every_case(run):
    verdict = one(run, ADD, {"each": ["assert f(1, 2) == 3", "assert f(1, 2) == 4", "assert f(0, 1) == 1"]})
    assert verdict.status == "fail"
    assert verdict.evidence["passed"] == [1, 0, 1]


def test_a_probe_reports_behaviour_and_compares_nothing(run):
    verdict = one(run, ADD, {"probe": [encode([1, 2]), encode([1, "a"]), encode([[1], [2]])]})
    assert verdict.evidence["results"] == ["3", "raise TypeError", "[1, 2]"]


# ---- programs that share a judge

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
# Ways to what `shareable` looks for by name.
SLY = "import sys\nmy = sys.modules['o' 's']\n"
ADDS = "\ndef f(a, b): return a + b"


def plain(verdict):
    """Without what was measured."""
    return (
        verdict.status,
        verdict.reason,
        {k: v for k, v in verdict.evidence.items() if k not in ("cpu_s", "memory_mb")},
    )


def test_verdicts_from_a_shared_judge_are_those_of_judges_of_their_own(run):
    jobs = [job(program, tests, cpu_s=0.5) for tests in TESTS for program in NEIGHBOURS]
    assert [plain(v) for v in run(*jobs)] == [plain(one(run, j.program, j.tests, cpu_s=0.5)) for j in jobs]


@pytest.mark.parametrize(
    "attack",
    [
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
    ],
)
def test_what_a_program_does_to_a_shared_judge_is_its_own_loss(run, attack):
    """Neighbours before and after get their verdicts, the attacker none better than alone."""
    attacker = SLY + attack + ADDS
    alone = one(run, attacker, CHECK, cpu_s=0.3).status
    verdicts = run(*(job(p, CHECK, cpu_s=0.3) for p in (ADD, attacker, ADD + "#", "def f(a, b): return 1")))
    assert [v.status for v in verdicts[::2]] == ["pass", "pass"]
    assert verdicts[3].status == "fail"
    assert verdicts[1].status in (alone, "fail", "timeout")


def test_a_program_cannot_forge_its_neighbours_verdict(run):
    forger = (
        SLY + "import json, struct\nm = json.dumps(['ended', 0, 0.0, 0]).encode()\n"
        "for fd in range(3, 20):\n    try: my.write(fd, (struct.pack('>I', len(m)) + m) * 3)\n    except OSError: pass\n"
        "def f(a, b): return None"
    )
    verdicts = run(job(forger, CHECK), job("def f(a, b): return 1", CHECK), job(ADD, CHECK))
    assert [v.status for v in verdicts] == ["fail", "fail", "pass"]


def test_tests_cannot_reach_into_a_shared_judge_through_what_a_program_names(run):
    program = "gg = getattr\nss = setattr\n" + ADD
    tests = "g = (i for i in [1])\nb = gg(gg(g, 'gi_frame'), 'f_builtins')\nb['isinstance'] = lambda *a: True\nassert f(1, 2) == 3"
    assert shareable(job(program, tests))
    verdicts = run(job(ADD, CHECK), job(program, tests), job("def f(a, b): return 1", CHECK), job(ADD, CHECK))
    assert [v.status for v in verdicts] == ["pass", one(run, program, tests).status, "fail", "pass"]


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
def test_only_tests_that_leave_nothing_behind_share_a_judge(tests, shares):
    assert shareable(job("# an open question of os and io\n" + ADD, tests)) is shares
    for wanting in (
        "import os\n",
        "from os import path\n",
        "import math, threading\n",
        "open('x')\n",
        "__import__('os')\n",
    ):
        assert not shareable(job(wanting + ADD, tests))


@pytest.mark.parametrize(
    "given, expected, status",
    [("3\n", "6", "pass"), ("3\n", "6\n\n", "pass"), ("3\n", "7", "fail"), ("x", "6", "fail")],
)
def test_standard_input_to_standard_output(run, given, expected, status):
    verdict = one(run, "print(int(input()) * 2)", {"stdio": [[given, expected]]})
    assert verdict.status == status


def test_each_stdio_case_meets_a_fresh_process(run):
    program = "import sys, os\nn = int(os.environ.get('SEEN', 0)) + 1\nos.environ['SEEN'] = str(n)\nprint(n)"
    assert one(run, program, {"stdio": [["", "1"], ["", "1"]]}).status == "pass"


def test_a_program_without_tests_passes_when_it_exits_with_0(run):
    verdict = one(run, "print(input() + '!')", None, stdin="hello")
    assert (verdict.status, verdict.evidence["stdout"]) == ("pass", "hello!\n")
    assert one(run, "import sys\nprint('x')\nsys.exit(3)", None).status == "fail"
    failed = one(run, "1 / 0", None)
    assert "ZeroDivisionError" in failed.evidence["stdout"]


def test_main_guards_run_as_scripts_and_not_as_modules(run):
    program = "def f(a, b):\n    return a + b\nif __name__ == '__main__':\n    print('main')\n    raise SystemExit(0)"
    assert one(run, program, CHECK).status == "pass"
    assert one(run, program, None).evidence["stdout"] == "main\n"


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
def test_a_misdeed_has_its_status(run, program, status):
    cpu_s = (
        5.0 if status == "memory" else None
    )  # half a gigabyte of fresh pages takes its time on a busy machine
    assert one(run, program, CHECK, cpu_s=cpu_s).status == status


def test_tests_that_never_end_are_a_timeout_and_tests_that_do_not_compile_an_error(run):
    assert one(run, ADD, "while True: pass").status == "timeout"
    assert one(run, ADD, "assert (").status == "error"
    assert one(run, ADD, {"unknown": 1}).status == "error"


def test_values_cross_with_their_types(run):
    program = (
        "from collections import *\nimport datetime, decimal, fractions\nP = namedtuple('P', 'x y')\n"
        "def f(k):\n    return {'t': (1, [2]), 's': {1, 2}, 'c': 1 + 2j, 'b': b'\\xff', 'n': None, 'big': 10**5000, 'd': {1: 'a', (1, 2): 'b'},"
        "'counter': Counter('aab'), 'deque': deque([1]), 'range': range(3), 'p': P(1, 2), 'inf': float('inf'), 'u': '\\ud800',"
        "'day': datetime.date(2020, 1, 2), 'dec': decimal.Decimal('1.50'), 'frac': fractions.Fraction(1, 3), 'keys': {1: 2}.keys()}[k]"
    )
    tests = (
        "import datetime, decimal, fractions, collections\n"
        "assert f('t') == (1, [2]) and type(f('t')) is tuple\nassert f('s') == {1, 2}\nassert f('c') == 1 + 2j\nassert f('b') == b'\\xff'\n"
        "assert f('n') is None\nassert f('big') == 10**5000\nassert f('d') == {1: 'a', (1, 2): 'b'}\nassert f('counter') == {'a': 2, 'b': 1}\n"
        "assert f('deque') == collections.deque([1])\nassert f('range') == range(3)\nassert f('p') == (1, 2) and f('p').x == 1\n"
        "assert f('inf') == float('inf')\nassert f('u') == '\\ud800'\nassert f('day') == datetime.date(2020, 1, 2)\n"
        "assert f('dec') == decimal.Decimal('1.5')\nassert f('frac') == fractions.Fraction(1, 3)\nassert f('keys') == {1}\n"
    )
    verdict = one(run, program, tests)
    assert verdict.status == "pass", verdict


@pytest.mark.parametrize(
    "program, tests",
    [
        ("def f(x):\n    x.append(3)", "x = [1]\nf(x)\nassert x == [1, 3]"),
        ("def f(m):\n    m[0][0] = 9", "m = [[1], [2]]\nrow = m[0]\nf(m)\nassert m == [[9], [2]] and row == [9]"),
        ("def f(d):\n    d['b'] = 2\n    del d['a']", "d = {'a': 1}\nf(d)\nassert d == {'b': 2}"),
        ("def f(g, x):\n    return g(g(x))", "assert f(lambda v: v + 1, 3) == 5"),
        ("def f(x):\n    raise ValueError('bad')", "try:\n    f(1)\n    assert False\nexcept ValueError as e:\n    assert 'bad' in str(e)"),
        ("class Odd(Exception): pass\ndef f(x):\n    raise Odd('x')", "try:\n    f(1)\n    assert False\nexcept Odd:\n    pass"),
        ("def f(n):\n    for i in range(n): yield i", "assert list(f(3)) == [0, 1, 2]"),
        ("async def f(x):\n    return x", "import asyncio\nassert asyncio.run(f(3)) == 3"),
        ("import math\ndef f(x):\n    return math.sqrt(x)", "assert math.isclose(f(4), 2)"),
        ("def f(n):\n    return [f] * n", "assert len(f(2)) == 2"),
        (
            "class V:\n    def __init__(s, x): s.x = x\n    def __add__(s, o): return V(s.x + o.x)\n    def __eq__(s, o): return s.x == o.x\n"
            "    def __mul__(s, k): return V(s.x * k)\n    def __repr__(s): return f'V({s.x})'\n    def __len__(s): return s.x",
            "v = V(1) + V(2)\nassert v.x == 3\nassert v == V(3)\nassert (v * 2).x == 6\nassert isinstance(v, V)\nassert repr(v) == 'V(3)'\nassert len(v) == 3",
        ),
        (
            "class Stack:\n    def __init__(s): s.items = []\n    def push(s, x): s.items.append(x)\n    def pop(s): return s.items.pop()",
            "s = Stack()\ns.push(1)\ns.push(2)\nassert s.pop() == 2\nassert s.items == [1]",
        ),
    ],
)  # fmt: skip
def test_tests_see_what_they_would_see_in_one_process(run, program, tests):
    verdict = one(run, program, tests)
    assert verdict.status == "pass", verdict


LIAR = (
    "class A:\n    def __eq__(s, o): return True\n    def __ne__(s, o): return False\n    def __hash__(s): return 0\n    def __sub__(s, o): return 0\n"
    "    __rsub__ = __sub__\n    def __abs__(s): return 0\n    def __float__(s): return 0.0\n    def __lt__(s, o): return True\n"
    "    __le__ = __gt__ = __ge__ = __lt__\n    def __contains__(s, o): return True\n    def __getattr__(s, n): return lambda *a, **k: True\n"
    "    def __bool__(s): return True\n    def __round__(s, *a): return s\n"
)


@pytest.mark.parametrize(
    "tests",
    [
        "assert f(1, 2) == 3",
        "assert 3 == f(1, 2)",
        "assert abs(f(1, 2) - 3) < 1e-6",
        "assert abs(3 - f(1, 2)) < 1e-6",
        "assert f(1, 2) in [3]",
        "assert 3 in f(1, 2)",
        "assert f(1, 2).startswith('abc')",
        "assert {3: 1}[f(1, 2)]",
        "assert f(1, 2) >= 3",
        "assert round(f(1, 2), 2) == 3",
        "import math\nassert math.isclose(f(1, 2), 3)",
        "assert not f(1, 2) != 3",
        "assert [f(1, 2)] == [3]",
        "assert sorted([f(1, 2), 3])[0] == 3 and f(1, 2) == 3",
        "import unittest\nunittest.TestCase().assertEqual(f(1, 2), 3)",
        {"cases": [[encode([1, 2]), encode(3)]]},
    ],
)
@pytest.mark.parametrize(
    "form", ["def f(a, b):\n    return A()", "class f(A):\n    def __init__(s, *a): pass"]
)
def test_an_object_that_equals_everything_wins_nothing(run, tests, form):
    assert one(run, LIAR + form, tests).status == "fail"


def test_a_comparison_that_the_program_defines_is_not_asked(run):
    program = "def isclose(a, b): return True\nclass math:\n    isclose = staticmethod(isclose)\ndef f(a, b): return 0"
    assert one(run, program, "assert math.isclose(f(1, 2), 3)").status == "fail"
    assert one(run, program, "assert isclose(f(1, 2), 3)").status == "fail"
    assert (
        one(run, "def abs(x): return 0\ndef f(a, b): return 9.0", "assert abs(f(1, 2) - 3) < 1e-6").status
        == "fail"
    )


@pytest.mark.parametrize(
    "language, program",
    [
        ("javascript", "console.log(2 * Number(require('fs').readFileSync(0, 'utf8')))"),
        ("c", '#include <stdio.h>\nint main(){int x; scanf("%d", &x); printf("%d\\n", 2 * x);}'),
        ("cpp", "#include <iostream>\nint main(){int x; std::cin >> x; std::cout << 2 * x;}"),
        ("bash", "read x; echo $((2 * x))"),
    ],
)
def test_other_languages_are_built_and_run(run, language, program):
    right, wrong = run(
        job(program, {"stdio": [["4", "8"]]}, language=language),
        job(program, {"stdio": [["4", "9"]]}, language=language),
    )
    if right.status == "unverifiable":
        pytest.skip(right.reason)
    assert (right.status, wrong.status) == ("pass", "fail"), (right, wrong)


def test_a_compiler_error_is_a_fail_with_its_message(run):
    verdict = one(run, "int main(", None, language="c")
    if verdict.status == "unverifiable":
        pytest.skip(verdict.reason)
    assert verdict.status == "fail" and "error" in verdict.reason


def test_an_unknown_language_is_unverifiable(run):
    verdict = one(run, "x", None, language="cobol")
    assert verdict.status == "unverifiable" and "cobol" in verdict.reason


def test_output_of_any_size_and_bytes_is_bounded(run):
    assert one(run, ADD + "import sys\nsys.stdout.write('x' * 10_000_000)", CHECK).status == "pass"
    assert one(run, ADD + "import os\nos.write(1, b'\\xff\\x00')", CHECK).status == "pass"
    assert len(one(run, "print('x' * 10**6)", None).evidence["stdout"]) <= 1 << 16


@pytest.mark.parametrize(("last", "status"), [(9, "pass"), (8, "fail")])
def test_expected_values_of_an_oracle_may_be_longer_than_a_message(run, last, status):
    """Nine results of 2 MB; a program that is wrong in one of them, wherever that part begins, fails."""
    program = f"def f(a, b):\n    return 'x' * 2_000_000 + str(a if a <= {last} else -1)\n"
    oracle = "def f(a, b):\n    return 'x' * 2_000_000 + str(a)\n"
    verdict = one(run, program, {"cases": [[encode([a, 0])] for a in range(1, 10)], "oracle": oracle})
    assert verdict.status == status, verdict.reason


def test_a_huge_program_is_refused(run):
    assert one(run, ADD + "x = 1\n" * 1_000_000, CHECK).status == "fail"


def test_nothing_of_the_driver_is_in_the_programs_environment(run, monkeypatch):
    assert "HF_TOKEN" not in os.environ
    verdict = one(run, "import os\nprint(sorted(os.environ))", None)
    assert set(eval(verdict.evidence["stdout"])) <= {
        "PATH",
        "LANG",
        "HOME",
        "PYTHONHASHSEED",
        "LC_CTYPE",
        "LD_LIBRARY_PATH",
        "MALLOC_ARENA_MAX",
        "TMPDIR",
        "EVOLTUNE_DATA",
    }


MIX = (
    ADD,
    "def f(a, b): return 0",
    "import os\nos._exit(0)",
    "def f(a, b) return",
    "import tempfile\nopen(tempfile.mkstemp()[1], 'w').write('x')\n" + ADD,
    "import subprocess\nsubprocess.Popen(['sleep', '60'], start_new_session=True)\n" + ADD,
    "raise MemoryError",
    "print('x' * 100000)\n" + ADD,
)


def _state():
    """Descriptors of this process, mounts, and its resident KiB."""
    resident = next(
        int(line.split()[1])
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmRSS")
    )
    return len(os.listdir("/proc/self/fd")), len(Path("/proc/self/mounts").read_text().splitlines()), resident


def _sleepers():
    return [p for p in os.listdir("/proc") if p.isdigit() and _command(p) == "sleep\x0060\x00"]


def _command(pid):
    try:
        return open(f"/proc/{pid}/cmdline").read()
    except OSError:
        return ""


@pytest.mark.parametrize("programs", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_long_mixed_run_leaks_nothing(programs):
    sleeping = set(_sleepers())
    pool = Pool(WorkerConfig(domain="", require="L0", program_s=2.0, memory_mb=512), workers=2)

    def run(count):
        jobs = [[job(MIX[i % len(MIX)] + f"\n# {i}", CHECK)] for i in range(count)]
        return [rows[0][0] for rows in pool.map("jobs", jobs)]

    expected = ["pass", "fail", "fail", "fail", "pass", "pass", "memory", "pass"]
    run(40)
    descriptors, mounts, resident = _state()
    assert run(programs) == [expected[i % len(MIX)] for i in range(programs)]
    after = _state()
    assert after[:2] == (descriptors, mounts)
    assert after[2] <= 1.1 * resident
    until = time.monotonic() + 10  # a verdict may be a moment ahead of the last sweep
    while set(_sleepers()) - sleeping and time.monotonic() < until:
        time.sleep(0.01)
    assert set(_sleepers()) <= sleeping
    pool.close()


def test_the_others_have_work_while_one_item_is_slow():
    pool, read = Pool(WorkerConfig(domain="", require="L0", program_s=2.0, memory_mb=512), workers=2), []

    def jobs():
        for i in range(600):
            read.append(i)
            yield [job("import time\ntime.sleep(0.7)\n" + ADD if i == 0 else ADD, CHECK)]

    results = pool.map("jobs", jobs())
    assert next(results)[0][0] == "pass"
    assert 4 * pool.size * 2 < len(read) <= AHEAD * pool.size + MAX_BATCH
    results.close()
    pool.close()


def test_a_pool_that_cannot_open_leaves_no_process():
    before = set(_children())
    with pytest.raises(DomainError):
        Pool(WorkerConfig(domain="nowhere_to_be_found", require="L0"), workers=3)
    assert set(_children()) <= before


def _children():
    return Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()


def test_a_job_may_use_every_core_after_a_tick_and_chooses_none_for_others(run):
    program = (
        "import os, time\n"
        "def later():\n    time.sleep(0.3)\n    return len(os.sched_getaffinity(0))\n"
        "def others():\n    try:\n        os.sched_setaffinity(1, {0})\n    except PermissionError:\n        return 'refused'\n"
    )
    tests = f"assert later() == {len(os.sched_getaffinity(0))}\nassert others() == 'refused'"
    verdict = run(Job(program=program, tests=tests, entry_point="later"))[0]
    assert verdict.status == "pass" or verdict.evidence["isolation"] < "L1", verdict


def test_memory_of_all_processes_of_a_job_is_added_up(run):
    program = (
        "import os, time\n"
        "def f():\n"
        "    for _ in range(4):\n"
        "        if os.fork() == 0:\n"
        "            held = bytearray(os.urandom(1)) * (300 << 20)\n            time.sleep(20)\n"
        "    time.sleep(20)\n"
    )
    verdict = run(Job(program=program, tests="f()", entry_point="f"))[0]
    assert verdict.status in ("memory", "timeout", "fail")
    assert verdict.status == "memory" or verdict.evidence["isolation"] < "L3", verdict
