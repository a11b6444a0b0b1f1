"""The negative control: tests that pass with the functions under test emptied prove nothing."""

import pytest

from evoltune.sandbox import control

POINT = (
    "class P:\n    def __init__(self, x): self.x = x\n    def twice(self): return P(2 * self.x)\n"
    "    def __eq__(self, o): return isinstance(o, P) and self.x == o.x\n"
)
ANY = "class P:\n    def __init__(self, x): pass\n    def twice(self): return self\n    def __eq__(self, o): return type(o) is P\n"
WATCHED = "import inspect\ndef f(x):\n    return x + 1\n"


@pytest.mark.parametrize(
    "program, tests, status",
    [
        (POINT, "p = P(1)\nassert p.twice() == P(2)\nassert p != P(3)", "pass"),
        (ANY, "p = P(1)\nassert p == P(2)", "unverifiable"),
        (WATCHED, "import inspect\nassert f(1) == 2 and inspect.isfunction(f)", "pass"),
        (WATCHED, "def test_it():\n    assert f is not None", "unverifiable"),
    ],
)
def test_tests_must_fail_without_what_they_test(one, program, tests, status):
    verdict = one(program, tests)
    assert (verdict.status, verdict.evidence["judge"]) == (status, "same process"), verdict


def test_only_programs_that_could_judge_themselves_are_controlled():
    assert not control.may_judge_itself("def f(x):\n    return sorted(x)")
    assert control.may_judge_itself(POINT)
    assert control.emptied("X = 1", ["assert X == 1"], "X") == []
