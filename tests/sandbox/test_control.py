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


def emptied(program, tests, entry="f"):
    spaces = []
    for source in control.emptied(program, [tests], entry):
        spaces.append({})
        exec(source, spaces[-1])
    return spaces


def test_only_what_the_tests_use_is_emptied():
    program = "async def later(): return 1\ndef a(): return 1\ndef f(): return a() and z()\ndef z(): return 1\nX = 1\n"
    for space in emptied(program, "assert a() == 1 and X"):
        assert space["z"]() == space["X"] == 1 and space["a"]() != 1 != space["f"]()
    first, second = emptied(program, "assert later")
    assert first["f"]() is None and type(second["f"]()) is object, "one control gives None, the other an object"
    assert first["later"]() is None and first["a"]() == 1


def test_a_class_is_made_of_anything_and_its_methods_give_nothing():
    for space in emptied(POINT + "class Other:\n    def own(self): return 1\n", "assert P(1) == P(1)"):
        point = space["P"]("any", number="of arguments")
        assert point.twice(1, 2) != 2 and not hasattr(point, "x") and space["Other"]().own() == 1
        assert type(point).__eq__(point, 3) is False, "comparisons stay the program's own"


def test_a_program_in_which_nothing_can_be_emptied_is_no_control():
    with pytest.raises(LookupError, match="no function to empty"):
        emptied("class f:\n    x = 1\n", "assert f")
