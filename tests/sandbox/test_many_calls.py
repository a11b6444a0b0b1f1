"""Many calls of a function in one request: judged as if each had been made alone, however the program behaves between them."""

import pytest

from evoltune.sandbox.values import encode

MANY = 1500


def cases(expected, count=MANY):
    return {"cases": [[encode([n]), encode(expected(n))] for n in range(count)]}


@pytest.mark.parametrize(
    ("program", "status", "case"),
    [
        ("def f(n):\n    return n * n\n", "pass", None),
        ("def f(n):\n    return float(n * n)\n", "pass", None),
        ("def f(n):\n    return n * n + (n == 1499)\n", "fail", 1499),
        ("def f(n):\n    if n == 700: raise KeyError(n)\n    return n * n\n", "fail", 700),
        ("def f(n):\n    global f\n    f = lambda n: -1\n    return n * n\n", "fail", 1),  # looked up for each call
        ("import sys\ndef f(n):\n    print('x' * 300)\n    return n * n\n", "pass", None),
    ],
)
def test_the_first_wrong_call_is_named(one, program, status, case):
    verdict = one(program, cases(lambda n: n * n))
    assert (verdict.status, verdict.evidence.get("case")) == (status, case), verdict
    assert verdict.evidence["calls"] == (MANY if case is None else case + 1)


@pytest.mark.parametrize("end", ["while True: pass", "import os; os._exit(0)", "import os; os.kill(os.getpid(), 11)"])
def test_a_wrong_result_before_the_program_hangs_or_ends_is_what_counts(one, end):
    program = f"def f(n):\n    if n == 20:\n        {end}\n    return n + (n == 11)\n"
    verdict = one(program, cases(lambda n: n), cpu_s=1.0)
    assert (verdict.status, verdict.evidence["case"]) == ("fail", 11), verdict


def test_a_program_that_ends_after_right_results_has_not_passed(one):
    program = "import os\ndef f(n):\n    return n if n < 1499 else os._exit(0)\n"
    assert one(program, cases(lambda n: n)).status == "fail"


def test_arguments_of_one_call_are_not_those_of_another(one):
    program = "seen = []\ndef f(xs):\n    seen.append(xs)\n    xs.append(1)\n    return [len(x) for x in seen[-2:]]\n"
    tests = {"cases": [[encode([[]]), encode([1] if n == 0 else [1, 1])] for n in range(100)]}
    assert one(program, tests).status == "pass"


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("def f(n):\n    return (i for i in range(n))\n", "pass"),  # consumed before the next call
        ("x = 0\ndef f(n):\n    global x\n    x += 1\n    return (i + x - n for i in range(n))\n", "fail"),
        ("def f(n):\n    return iter([*range(n - 1), -1]) if n == 9 else iter(range(n))\n", "fail"),
    ],
)
def test_a_result_that_stays_with_the_program_is_asked_before_the_next_call(one, program, status):
    tests = {
        "cases": [[encode([n])] for n in range(12)],
        "oracle": "def f(n):\n    return range(n)\n",
        "compare": "set",
    }
    assert one(program, tests).status == status


def test_long_results_arrive_whole_where_no_oracle_is_asked(one):
    tests = cases(lambda n: "x" * n * 1000, count=40)
    assert one("def f(n):\n    return 'x' * n * 1000\n", tests).status == "pass"
    assert one("def f(n):\n    return 'x' * n * 1000 + 'y' * (n == 39)\n", tests).evidence["case"] == 39


FORGERIES = {
    "lines of its own": "import os\ndef f(n):\n    os.write(4, b'[\"ok\", 1]\\n' * 50)\n    return n\n",
    "a count of its own": "import os, struct\ndef f(n):\n    os.write(3, struct.pack('>I', 2) + b'40')\n    return n\n",
    "no count": "import os\ndef f(n):\n    os.write(3, b'\\0\\0\\0\\2{}')\n    return n\n",
    "a line without an end": "import os\ndef f(n):\n    os.write(4, b'[\"ok\", ' * 9)\n    return n\n",
    "a handle that is none": 'import os\ndef f(n):\n    os.write(4, b\'["ok", {"h": 7}]\\n\')\n    return n\n',
    "no pipe": "import os\ndef f(n):\n    os.close(4)\n    return n\n",
    "a digest": "import os\ndef f(n):\n    os.write(4, b'[\"digest\", 7]\\n')\n    return n\n",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_a_program_writes_between_its_results_gains_nothing(one, forgery):
    tests = {"cases": [[encode([n])] for n in range(40)], "oracle": "def f(n):\n    return n + 1\n"}
    assert one(FORGERIES[forgery], tests).status == "fail"
    assert one(FORGERIES[forgery], cases(lambda n: n + 1, count=40)).status == "fail"
