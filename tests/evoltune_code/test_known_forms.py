"""Tests as known sets keep them come out as forms of the sandbox's, and judge right and wrong programs."""

import json

import pytest

from evoltune.verification.checker import open_checker
from evoltune.verification.rows import verify_rows
from evoltune_code.known_forms import UnreadableFormError, method_of, recognised

SQUARE = "n = int(input())\nprint(n * n)"
SQUARE_WRONG = "n = int(input())\nprint(n + n)"
TWO_SUM = (
    "class Solution:\n    def two_sum(self, nums, target):\n        for i, a in enumerate(nums):\n            for j in range(i):\n"
    "                if a + nums[j] == target:\n                    return (j, i)\n"
)
TWO_SUM_WRONG = TWO_SUM.replace("(j, i)", "(i, j)")
APPS = {"inputs": ["3\n", ["5"]], "outputs": ["9\n", ["25"]]}
CALLS = {"fn_name": "two_sum", "inputs": [[[2, 7, 11], 9], [[3, 3], 6]], "outputs": [[[0, 1]], [0, 1]]}
BENCH = [{"input": "[2, 7, 11]\n9", "output": "[0, 1]", "testtype": "functional"}]
BENCH_STDIN = [{"input": "3", "output": "9", "testtype": "stdin"}]
LEETCODE = "def check(candidate):\n    assert candidate([2, 7, 11], 9) == (0, 1)\n"
STARTED = (
    "class Solution:\n    def two_sum(self, nums: List[int], target: int) -> Optional[Tuple[int, int]]:\n"
    + TWO_SUM.partition(":\n")[2].partition(":\n")[2]
)
"""As LeetCode's starter code begins: the harness has imported the names of `typing`."""
FUTURE = "from __future__ import annotations\n" + TWO_SUM.replace("range(i)", "range(min(i, inf))")
BY_NAME = "def check(candidate):\n    assert candidate(nums=[2, 7, 11], target=9) == (0, 1)\n"
KODCODE = (
    "from solution import inc\n\ndef test_inc():\n    assert inc(1) == 2\n\ndef test_zero():\n    assert inc(-1) == 0\n"
)

ROWS = [
    (SQUARE, SQUARE_WRONG, {"tests": APPS}),
    (SQUARE, SQUARE_WRONG, {"tests": json.dumps(APPS)}),
    (SQUARE, SQUARE_WRONG, {"tests": {**APPS, "fn_name": None}}),
    (SQUARE, SQUARE_WRONG, {"tests": {"cases": None, "stdio": [["3", "9"]], "oracle": None, "atol": None}}),
    (SQUARE, SQUARE_WRONG, {"tests": json.dumps(BENCH_STDIN)}),
    (TWO_SUM, TWO_SUM_WRONG, {"tests": CALLS}),
    (TWO_SUM, TWO_SUM_WRONG, {"tests": json.dumps(CALLS)}),
    (TWO_SUM, TWO_SUM_WRONG, {"tests": {"fn_name": "two_sum", "inputs": ["[2, 7]\n9"], "outputs": ["[0, 1]"]}}),
    ("def inc(x):\n    return ''", "def inc(x):\n    raise ValueError", {"tests": {"fn_name": "inc", "inputs": ["1"], "outputs": [""]}}),
    (TWO_SUM, TWO_SUM_WRONG, {"tests": json.dumps(BENCH), "entry_point": "two_sum"}),
    (TWO_SUM, TWO_SUM_WRONG, {"tests": LEETCODE, "entry_point": "Solution().two_sum"}),
    (TWO_SUM, TWO_SUM_WRONG, {"tests": BY_NAME, "entry_point": "Solution().two_sum"}),
    (STARTED, STARTED.replace("(j, i)", "(i, j)"), {"tests": json.dumps(BENCH), "entry_point": "two_sum"}),
    (STARTED, STARTED.replace("Tuple[", "Pair["), {"tests": CALLS}),
    (FUTURE, FUTURE.replace("inf", "big"), {"tests": CALLS}),
    ("def inc(x):\n    return x + 1", "def inc(x):\n    return 2", {"tests": KODCODE, "entry_point": "inc"}),
    ("def inc(x):\n    return x + 1", "def inc(x):\n    return 2", {"tests": '["assert inc(1) == 2", "assert inc(-1) == 0"]'}),
]  # fmt: skip


@pytest.fixture(scope="module")
def checker():
    with open_checker("code", workers=1, require="L0") as checker:
        yield checker


def test_known_forms_judge_right_and_wrong_programs(checker):
    rows = [{"answer": program, **row} for right, wrong, row in ROWS for program in (right, wrong)]
    found = list(verify_rows(checker, rows))
    assert [v["status"] for v in found] == ["pass", "fail"] * len(ROWS), [v["reason"] for v in found]
    assert {v["evidence"].get("judge") for v in found} <= {"separate", None}


@pytest.mark.parametrize("tests", [{"inputs": ["1"], "outputs": []}, {"inputs": [[1]], "outputs": [2]}, BENCH])
def test_what_cannot_be_read_is_unverifiable(checker, tests):
    with pytest.raises(UnreadableFormError):
        recognised(tests, "")
    (row,) = verify_rows(checker, [{"answer": SQUARE, "tests": tests}])
    assert row["status"] == "unverifiable"


def test_a_method_of_solution_is_found_and_a_function_of_that_name_comes_first():
    assert method_of(TWO_SUM, "two_sum") == "Solution().two_sum"
    assert method_of(TWO_SUM + "\ndef two_sum(a, b): pass\n", "two_sum") == "two_sum"
    assert method_of("def f(): pass", "f") == "f"
