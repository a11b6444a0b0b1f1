"""Tests that are Python source, judged from another process: what runs, what the names mean, and what a failure says."""

import pytest

from evoltune.domain import Job
from evoltune.sandbox import source_tests

INC = "def f(x):\n    return x + 1\n"
CHECK = "def check(candidate):\n    assert candidate(1) == 2\n"
PASSES = {
    "a function that the tests call is not called again": (INC, CHECK + "check(f)\n", 1),
    "nor where its result is printed": (INC, CHECK + "print(check(f))\n", 1),
    "nor a test": (INC, "def test_it():\n    assert f(1) == 2\ntest_it()\n", 1),
    "one that is only named twice is called": (INC, CHECK.replace("== 2", "== 2, 'check(f)'"), 1),
    "every test that takes nothing": (INC, "def test_a():\n    assert f(1) == 2\ndef test_b():\n    assert f(2) == 3\n", 2),
    "sources share their names": (INC, ["x = 5\ny = 6", "assert f(x) == y"], 1),
    "map and filter": ("def f(x):\n    return x > 1", "def check(candidate):\n    assert list(map(candidate, [1, 2])) == [False, True]\n    assert list(filter(candidate, [1, 2])) == [2]\n", 4),
    "map and filter of built-in functions": (INC, "assert list(map(abs, [-f(0)])) == [1] and list(filter(None, [0, f(0)])) == [1]", 2),
    "a map of several": ("def f(x, y):\n    return x + y", "def check(candidate):\n    assert list(map(candidate, [1, 2], [3, 4])) == [4, 6]\n", 2),
    "a name of the program that is a built-in's": (INC + "def sum(x):\n    return 99\n", "assert f(sum([1, 2])) == 100", 2),
    "a built-in by which the tests judge": (INC + "def abs(x):\n    return 0\n", "assert abs(f(1) - 4) == 2", 1),
    "math without an import": (INC + "def isclose(a, b):\n    return False\n", "assert isclose(f(1), 2) and math.isclose(f(1), 2)", 2),
    "the function under test under the name of a judge": ("def isclose(a, b):\n    return 'own'\n", "assert isclose(1, 1) == 'own'", 1),
    "sources without calls beside others": (INC, ["x = 1", "assert f(x) == 2"], 1),
}  # fmt: skip


@pytest.mark.parametrize("name", PASSES)
def test_a_right_program_passes_after_so_many_calls(run, name):
    program, tests, calls = PASSES[name]
    entry = "isclose" if "under the name" in name else "f"
    (verdict,) = run(Job(program=program, tests=tests, entry_point=entry))
    assert (verdict.status, verdict.evidence["judge"]) == ("pass", "separate"), verdict
    assert verdict.evidence["calls"] == calls


def test_what_a_function_raises_is_no_end_of_what_map_and_filter_give(one):
    for call in ("map(candidate, [1, 2])", "filter(candidate, [1, 2])"):
        verdict = one("def f(x):\n    raise StopIteration\n", f"def check(candidate):\n    assert list({call}) == []\n")
        assert (verdict.status, verdict.evidence["judge"]) == ("fail", "separate"), verdict
        assert verdict.evidence["exception"] == "RuntimeError"


FAILS = {
    "x = 1\nassert f(x) == 5\ny = 2": (2, "assert f(x) == 5", "failed: assert f(x) == 5 (last call gave 2)"),
    "assert f(1) == 2\nassert f(1) == 5": (2, "assert f(1) == 5", "failed: assert f(1) == 5 (last call gave 2)"),
    "assert f(1) == 5\nassert f(1) == 2": (1, "assert f(1) == 5", "failed: assert f(1) == 5 (last call gave 2)"),
    "assert f(1) == 3, 'no'": (1, "assert f(1) == 3, 'no'", "failed: assert f(1) == 3, 'no': no (last call gave 2)"),
    "def ok(x):\n    assert x > 5\nok(f(1))": (2, "assert x > 5", "failed: assert x > 5 (last call gave 2)"),
    "\n\n\nassert f('x')": (4, "assert f('x')", 'TypeError: can only concatenate str (not "int") to str in: assert f(\'x\')'),
    f"assert f(0) == 3, 'm' * 400  # {'c' * 500}": (1, f"assert f(0) == 3, 'm' * 400  # {'c' * 500}"[:500], f"{'m' * 300} (last call gave 1)"),
    "assert f(9 ** 250) == 3": (1, "assert f(9 ** 250) == 3", f"(last call gave {str(9**250 + 1)[:200]})"),
    "raise ValueError('v' * 400 + str(f(1)))": (1, "raise ValueError('v' * 400 + str(f(1)))", f"ValueError: {'v' * 300} in: raise"),
}  # fmt: skip


@pytest.mark.parametrize("tests", FAILS)
def test_a_failure_says_where_and_what(one, tests):
    line, text, reason = FAILS[tests]
    verdict = one(INC, tests)
    assert (verdict.status, verdict.evidence["judge"]) == ("fail", "separate"), verdict
    assert (verdict.evidence["line"], verdict.evidence["test"]) == (line, text)
    assert reason in verdict.reason and "case" not in verdict.evidence
    assert ("exception" in verdict.evidence) is (not verdict.reason.startswith("failed: "))


def test_the_first_failure_decides_and_ends_the_sources_unless_each_is_asked_for(one):
    sources = ["assert f(1) == 2", "assert f(1) == 3", "assert f(1) == 4", "assert f(1) == 2"]
    verdict = one(INC, sources)
    assert (verdict.evidence["case"], verdict.evidence["calls"], "passed" in verdict.evidence) == (1, 2, False)
    verdict = one(INC, {"each": sources})
    assert (verdict.evidence["case"], verdict.evidence["calls"]) == (1, 4) and "== 3" in verdict.reason
    assert verdict.evidence["passed"] == [1, 0, 0, 1]
    verdict = one(INC, {"each": ["assert f(1) == 2", "assert f(1) == 3", "assert (", "assert f(1) == 2"]})
    assert verdict.status == "fail" and verdict.evidence["passed"] == [1, 0, 0], "what does not compile ends all"
    assert one(INC, {"each": sources[:1]}).evidence["passed"] == [1]
    unasked = one(INC, {"each": ["assert 1 == 1"]})
    assert (unasked.status, unasked.evidence["passed"]) == ("unverifiable", [1])


def test_what_does_not_compile_is_an_error_that_is_cut(one):
    for source in ("assert f(1) == 2\nassert (", f"assert f({'1 ' * 400}", "assert f('\x00')"):
        verdict = one(INC, source)
        assert verdict.status == "error" and verdict.reason.startswith("the tests do not compile: ")
        assert "Error: " in verdict.reason and len(verdict.reason) <= 300


@pytest.mark.parametrize("program", ["def g(x):\n    return x\nb = 1\na = 2\n", "f = 3\n"])
def test_a_program_without_the_function_under_test_fails_and_its_names_are_told(one, program):
    for tests in (CHECK, {"cases": [[[1], 2]]}, {"probe": [[1]]}):
        verdict = one(program, tests)
        assert (verdict.status, verdict.reason) == ("fail", "no function 'f' in the program")
        assert verdict.evidence["defined"] == (["f"] if "f =" in program else ["a", "b", "g"])
    many = one("\n".join(f"n{i:02} = {i}" for i in range(30)), CHECK)
    assert many.evidence["defined"] == [f"n{i:02}" for i in range(20)]
    assert one(program, "def test_it():\n    assert f(1) == 2").status == "fail"


def test_functions_to_call_are_those_that_the_source_leaves_uncalled():
    def called(source):
        return source_tests._compiled(source)[1]

    assert called("def check(c): pass\ndef test_a(): pass\ndef test_b(x): pass\ndef other(): pass") == (
        "check",
        "test_a",
    )
    assert called("def check(): pass\ndef check_all(c): pass\ndef tested(): pass") == ("tested",)
    assert called("def check(c, d): pass") == ()
    assert called("def check(c): pass\nx = check(1)") == ("check",), "only statements count"
    assert called("def check(c): pass\ndef test_a(): check(1)\ntest_a()\nprint([check(2)])") == ()
    assert called("def check(c): pass\ndef test_a(): check(1)\ntest_a()") == ("check",)
