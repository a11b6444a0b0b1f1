"""Each form that tests take: what passes, what fails, and why."""

import pytest

from evoltune.sandbox.values import encode

ADD = "def f(a, b):\n    return a + b\n"


CHECK = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(-1, 1) == 0\n"


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
def test_a_right_program_passes_each_form_of_tests(one, tests):
    verdict = one(ADD, tests)
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
def test_a_wrong_program_fails_each_form_of_tests(one, tests):
    assert one(ADD, tests).status == "fail"


def test_a_failing_assert_is_named_with_what_the_program_gave(one):
    verdict = one(ADD, CHECK.replace("3", "4"))
    assert "assert candidate(1, 2) == 4" in verdict.evidence["test"]
    assert "gave 3" in verdict.reason


def test_each_reports_every_case(one):
    verdict = one(ADD, {"each": ["assert f(1, 2) == 3", "assert f(1, 2) == 4", "assert f(0, 1) == 1"]})
    assert verdict.status == "fail"
    assert verdict.evidence["passed"] == [1, 0, 1]


def test_a_probe_reports_behaviour_and_compares_nothing(one):
    verdict = one(ADD, {"probe": [encode([1, 2]), encode([1, "a"]), encode([[1], [2]])]})
    assert verdict.evidence["results"] == ["3", "raise TypeError", "[1, 2]"]


def test_tests_that_never_end_are_a_timeout_and_tests_that_do_not_compile_an_error(one):
    assert one(ADD, "while True: pass").status == "timeout"
    assert one(ADD, "assert (").status == "error"
    assert one(ADD, {"unknown": 1}).status == "error"
    assert one(ADD, ["assert f(1, 2) == 3", 1]).status == "error"


def test_an_oracle_beside_a_probe_is_not_asked(one):
    assert one(ADD, {"probe": [encode([1, 2])], "oracle": ADD}).evidence["results"] == ["3"]


def test_main_guards_run_as_scripts_and_not_as_modules(one):
    program = "def f(a, b):\n    return a + b\nif __name__ == '__main__':\n    print('main')\n    raise SystemExit(0)"
    assert one(program, CHECK).status == "pass"
    assert one(program, None).evidence["stdout"] == "main\n"
