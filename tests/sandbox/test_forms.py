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


def test_a_probe_tells_long_results_apart_by_a_hash(one):
    program = "class A: pass\ndef f(n, last):\n    return 'y' * n + last if n else A()\n"
    cases = [[197, "a"], [198, "a"], [198, "b"], [9000, "a"], [9000, "b"], [9000, "a"], [0, "a"]]
    *texts, nothing = one(program, {"probe": list(map(encode, cases))}).evidence["results"]
    assert texts[0] == f'"{"y" * 197}a"' and len({*texts}) == 5 and texts[3] == texts[5]
    assert all(len(t) == 164 and t.startswith(texts[0][:100]) for t in texts[1:]) and nothing.startswith("object ")


LOADING = {
    "raise SystemExit(3)": ("the program exited before the tests", "SystemExit"),
    "import sys\nsys.exit()": ("the program exited before the tests", "SystemExit"),
    "\nraise ValueError('v' * 400)": (f"loading raised ValueError on line 2: {'v' * 300}", "ValueError"),
    "class Zero(Exception): pass\nraise Zero('x')": ("loading raised Zero on line 2: x", "Zero"),
    "class Big(Exception): pass\nraise Big('x')": ("loading raised Big on line 2: x", "Big"),
    "x = (": ("syntax error on line 1: '(' was never closed (<candidate>, line 1)", "SyntaxError"),
}


@pytest.mark.parametrize("program", LOADING)
def test_why_a_program_could_not_be_loaded_is_told_alike_in_every_form(one, program):
    for tests in ("assert f(1) == 1", {"cases": [[[1], 1]]}, {"each": ["assert f(1) == 1"]}, {"probe": [[1]]}):
        verdict = one(program, tests)
        assert (verdict.status, verdict.reason, verdict.evidence["exception"]) == ("fail", *LOADING[program])


RESULTS = {
    "object()": "got an object, expected 3",
    "7 ** 9000": "got a int, expected 3",
    "{}[x * 300]": f"KeyError: \"'{'k' * 198}",
    "[0] * 300": f"got {repr([0] * 300)[:200]}, expected 3",
}


@pytest.mark.parametrize("gives", RESULTS)
def test_what_a_function_gave_is_told_in_few_words(one, gives):
    verdict = one(f"def f(x):\n    return {gives}", {"cases": [[["k"], 3]]})
    assert (verdict.status, verdict.reason) == ("fail", f"case 0: {RESULTS[gives]}")
    assert verdict.evidence.get("exception") == ("KeyError" if "{}" in gives else None)
    assert verdict.evidence["test"] == "f(*['k'])"


@pytest.mark.parametrize(
    ("compare", "gives", "wanted", "status"),
    [
        ("found", "None", False, "pass"), ("found", "3", True, "pass"), ("found", "3", False, "fail"), ("found", "0", True, "pass"), ("found", "False", False, "pass"),
        ("found", "True", True, "pass"), ("set", "[3, 2, 2]", {2, 3}, "pass"), ("set", "[3, 2, 2]", {2}, "fail"), ("", "[3, 2]", {2, 3}, "fail"), (None, "[2]", [2], "pass"),
        ("set", "3", {3}, "fail"),
    ],
)  # fmt: skip
def test_what_is_compared_of_a_result_is_what_the_tests_say(one, compare, gives, wanted, status):
    tests = {"cases": [[[], encode(wanted)]], "compare": compare}
    assert one(f"def f():\n    return {gives}", tests).status == status


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
