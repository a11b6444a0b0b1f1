"""The tests of a task one by one: every form, and what stays with each case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.record import Task
from evoltune_code.cases import cases


def split(tests):
    return list(cases(Task(instruction="", tests=tests)))


@pytest.mark.parametrize(
    ("tests", "parts"),
    [
        ("assert f(1) == 1", ["assert f(1) == 1"]),
        ("import math\nx = 2\nassert f(1) == 1\nassert f(x) == 4",
         ["import math\nx = 2\nassert f(1) == 1", "import math\nx = 2\nassert f(x) == 4"]),
        ("def check(c):\n    x = 1\n    assert c(1)\n    for i in [1, 2]:\n        assert c(i)\ncheck(f)",
         ["def check(c):\n    x = 1\n    assert c(1)\ncheck(f)",
          "def check(c):\n    x = 1\n    for i in [1, 2]:\n        assert c(i)\ncheck(f)"]),
        ("def test_a():\n    assert f(1)\ndef test_b():\n    assert f(2)",
         ["def test_a():\n    assert f(1)", "def test_b():\n    assert f(2)"]),
        ("class T(Case):\n\n    def setUp(self):\n        self.x = 1\n\n    def test_a(self):\n        pass\n\n    def test_b(self):\n        pass",
         ["class T(Case):\n\n    def setUp(self):\n        self.x = 1\n\n    def test_a(self):\n        pass",
          "class T(Case):\n\n    def setUp(self):\n        self.x = 1\n\n    def test_b(self):\n        pass"]),
        (["assert a", "assert b"], ["assert a", "assert b"]),
        ('["assert a", "assert b"]', ["assert a", "assert b"]),
        ({"stdio": [["1", "2"], ["3", "4"]]}, [{"stdio": [["1", "2"]]}, {"stdio": [["3", "4"]]}]),
        ({"cases": [[[1], 1], [[2], 2]], "atol": 0.1}, [{"cases": [[[1], 1]], "atol": 0.1}, {"cases": [[[2], 2]], "atol": 0.1}]),
        ('{"inputs": ["1", "2"], "outputs": ["3", "4"]}', [{"inputs": ["1"], "outputs": ["3"]}, {"inputs": ["2"], "outputs": ["4"]}]),
        ([{"input": "1", "output": "2"}, {"input": "3", "output": "4"}],
         [[{"input": "1", "output": "2"}], [{"input": "3", "output": "4"}]]),
        ({"harness": "x"}, [{"harness": "x"}]),
        ("{not json", ["{not json"]),
        ("assert (", ["assert ("]),
    ],
)  # fmt: skip
def test_tests_are_split_into_their_cases(tests, parts):
    assert [
        part if not isinstance(part, str) else part.replace("\n\n\n", "\n").strip() for part in split(tests)
    ] == parts


@given(st.lists(st.integers(0, 99), min_size=2, max_size=6, unique=True))
def test_each_assert_is_in_one_case_and_the_rest_in_all(numbers):
    parts = split("y = 7\n" + "\n".join(f"assert f({n}) == y" for n in numbers))
    assert parts == [f"y = 7\nassert f({n}) == y" for n in numbers]
