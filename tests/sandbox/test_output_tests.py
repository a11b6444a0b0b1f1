"""Whole programs: standard input to standard output, in Python and other languages."""

import pytest

from evoltune.domain import Job


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
    assert "ZeroDivisionError" in failed.evidence["stdout"]


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
