"""Each form that tests take: what passes, what fails, and why."""

import pytest

from evoltune.domain import Job
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


@pytest.mark.parametrize(
    ("program", "named"), [("y = 'a' + 1\n", "loading raised TypeError"), ("def f(:\n", "syntax error")]
)
def test_what_ends_the_loading_of_a_program_is_named(one, program, named):
    verdict = one("x = 1\n" + program, CHECK)
    assert verdict.status == "fail" and verdict.reason.startswith(f"{named} on line 2: ")


def test_a_failing_assert_is_named_with_what_the_program_gave(one):
    verdict = one(ADD, CHECK.replace("3", "4"))
    assert "assert candidate(1, 2) == 4" in verdict.evidence["test"]
    assert "gave 3" in verdict.reason


def test_the_reason_of_a_wrong_result_names_it_and_the_first_accepted_one(one):
    verdict = one(ADD, {"cases": [[encode([1, 2]), encode(3)], [encode([1, 1]), encode(5)]]})
    assert verdict.reason == "case 1: got 2, expected 5"
    assert one(ADD, {"cases": [[encode([1, 2]), encode(4), encode(3)]]}).status == "pass"


def test_the_first_wrong_result_decides_and_the_cases_after_it_are_not_compared(one):
    cases = [
        [encode([1, 2]), encode(3)],
        [encode([1, 1]), encode(5)],
        [encode([2, 2]), encode(4)],
        [encode([0, 1]), encode(7)],
    ]
    verdict = one(ADD, {"cases": cases})
    assert (verdict.reason, verdict.evidence["case"]) == ("case 1: got 2, expected 5", 1)
    assert verdict.evidence["test"] == "f(*[1, 1])"


@pytest.mark.parametrize(
    "gives, expected, status",
    [
        ("(1, [2, (3,)])", [1, [2, [3]]], "pass"),
        ("{'a': (1, 2)}", {"a": [1, 2]}, "pass"),
        ("(1, 2)", [2, 1], "fail"),
        ("{1, 2}", [1, 2], "fail"),
        ("'12'", ["1", "2"], "fail"),
    ],
)
def test_tuples_count_as_lists_where_the_tests_say_so(one, gives, expected, status):
    cases = {"cases": [[[], encode(expected)]]}
    program = f"def f():\n    return {gives}"
    assert one(program, {**cases, "lists": True}).status == status
    assert one(program, cases).status == "fail"


def test_each_reports_every_case(one):
    verdict = one(ADD, {"each": ["assert f(1, 2) == 3", "assert f(1, 2) == 4", "assert f(0, 1) == 1"]})
    assert verdict.status == "fail"
    assert verdict.evidence["passed"] == [1, 0, 1]


def test_a_case_may_only_set_up_for_others_where_these_assert(one):
    cases = ["import math\ntotal = f(1, 2)", "assert total is total and total == 3"]
    assert one(ADD, cases).status == "pass"
    assert one("def f(a, b):\n    return 4", cases).status == "fail"
    assert one(ADD, ["total = f(1, 2)", "print(id(total))"]).status == "unverifiable"
    assert one(ADD, ["assert f is f", "for total in ():\n    assert f(1, 2) == 3"]).status == "unverifiable"


def test_a_probe_reports_behaviour_and_compares_nothing(one):
    verdict = one(ADD, {"probe": [encode([1, 2]), encode([1, "a"]), encode([[1], [2]])]})
    assert verdict.evidence["results"] == ["3", "raise TypeError", "[1, 2]"]


def test_tests_that_never_end_are_a_timeout_and_tests_that_do_not_compile_an_error(one):
    assert one(ADD, "assert f(1, 2) == 3\nwhile True: pass").status == "timeout"
    assert one(ADD, "assert (").status == "error"
    assert one(ADD, {"unknown": 1}).status == "error"
    assert one(ADD, ["assert f(1, 2) == 3", 1]).status == "error"


def test_an_oracle_beside_a_probe_is_not_asked(one):
    assert one(ADD, {"probe": [encode([1, 2])], "oracle": ADD}).evidence["results"] == ["3"]


def test_main_guards_run_as_scripts_and_not_as_modules(one):
    program = "def f(a, b):\n    return a + b\nif __name__ == '__main__':\n    print('main')\n    raise SystemExit(0)"
    assert one(program, CHECK).status == "pass"
    assert one(program, None).evidence["stdout"] == "main\n"


# ---- whole programs


def job(program, tests, **more):
    return Job(program=program, tests=tests, entry_point="f", **more)


@pytest.mark.parametrize(
    "given, expected, status",
    [("3\n", "6", "pass"), ("3\n", "6\n\n", "pass"), ("3\n", "7", "fail"), ("x", "6", "fail")],
)
def test_standard_input_to_standard_output(one, given, expected, status):
    verdict = one("print(int(input()) * 2)", {"stdio": [[given, expected]]})
    assert verdict.status == status


def test_each_stdio_case_meets_a_fresh_process(one):
    program = "import sys, os\nn = int(os.environ.get('SEEN', 0)) + 1\nos.environ['SEEN'] = str(n)\nprint(n)"
    assert one(program, {"stdio": [["", "1"], ["", "1"]]}).status == "pass"


def test_a_program_without_tests_passes_when_it_exits_with_0(one):
    verdict = one("print(input() + '!')", None, stdin="hello")
    assert (verdict.status, verdict.evidence["stdout"]) == ("pass", "hello!\n")
    assert one("import sys\nprint('x')\nsys.exit(3)", None).status == "fail"
    failed = one("1 / 0", None)
    assert "ZeroDivisionError" in failed.evidence["stderr"] and failed.evidence["stdout"] == ""


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


def test_a_compiler_error_is_a_fail_with_its_message(one):
    verdict = one("int main(", None, language="c")
    if verdict.status == "unverifiable":
        pytest.skip(verdict.reason)
    assert verdict.status == "fail" and "error" in verdict.reason


def test_an_unknown_language_is_unverifiable(one):
    verdict = one("x", None, language="cobol")
    assert verdict.status == "unverifiable" and "cobol" in verdict.reason


SLOW_TO_COMPILE = """#include <cstdio>
constexpr long f() { long s = 0; for (long i = 0; i < 1300; i++) for (long j = 0; j < 1300; j++) s += i ^ j; return s; }
constexpr long value = f();
int main() { printf("%d", value > 0); }
"""


def test_a_compiler_may_take_longer_than_the_program(one):
    verdict = one(SLOW_TO_COMPILE, {"stdio": [["", "1"]]}, language="cpp", cpu_s=0.5)
    if verdict.status == "unverifiable":
        pytest.skip(verdict.reason)
    assert verdict.status == "pass", verdict
