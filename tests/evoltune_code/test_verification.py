"""verify: the six statuses, the forms of tests, other languages, and what the policy decides."""

import shutil

import pytest

from evoltune.domain import Context, to_task
from evoltune.record import Answer, Record, Task, Verdict
from evoltune.verification.checker import open_checker
from evoltune_code import ds1000, other_languages
from evoltune_code.verification import POLICY, verify

GOOD = "def twice(x):\n    return 2 * x\n"
TESTS = "assert twice(2) == 4\nassert twice(-1) == -2\n"


@pytest.fixture(scope="module")
def checker():
    with open_checker("code", workers=1, program_s=1.0) as opened:
        yield opened


def judge(checker, answer, tests=TESTS, *, reference=None, profile=None, **fields):
    fields = {"entry_point": "twice", **fields}
    task = Task(instruction="Double it.", tests=tests, reference=reference, fields=fields)
    record = Record(domain="code", task=task, answers=(Answer(text=answer, model="m"),))
    return next(iter(checker.verify([record]))).answers[0].verdict


@pytest.mark.parametrize(
    "tests",
    [
        TESTS,
        "def check(candidate):\n    assert candidate(2) == 4\n",
        ["assert twice(2) == 4", "assert twice(3) == 6"],
        {"cases": [[[2], 4], [["a"], "aa"]]},
        "from math import isclose\nassert isclose(twice(0.1), 0.2)",
    ],
)
def test_each_form_of_tests_tells_right_from_wrong(checker, tests):
    assert judge(checker, GOOD, tests).status == "pass"
    wrong = judge(checker, GOOD.replace("2 * x", "x"), tests)
    assert wrong.status == "fail" and wrong.reason


def test_cases_without_the_name_of_a_function_are_not_the_programs_fault(checker):
    cases = {"cases": [[[2], 4]]}
    verdict = judge(checker, GOOD, cases, entry_point="")
    assert verdict.status == "unverifiable" and "name it in the column entry_point" in verdict.reason
    assert judge(checker, GOOD, cases, entry_point="", reference=GOOD).status == "pass"
    with_oracle = {"cases": [[[2]]], "oracle": "import math\n" + GOOD}
    assert judge(checker, GOOD, with_oracle, entry_point="").status == "pass"
    assert judge(checker, "def twice(x): return 3", with_oracle, entry_point="").status == "fail"


def test_a_check_that_nobody_calls_needs_the_name_of_the_function(checker):
    tests = "def check(candidate):\n    assert candidate(2) == 4\n"
    verdict = judge(checker, GOOD, tests, entry_point="")
    assert verdict.status == "unverifiable" and "name it in the column entry_point" in verdict.reason
    assert judge(checker, GOOD, tests, entry_point="", reference=GOOD).status == "pass"
    assert judge(checker, GOOD, f"{tests}\ncheck(twice)", entry_point="").status == "pass"


def test_a_script_is_judged_by_what_it_prints(checker):
    tests = {"stdio": [["3\n", "6\n"], ["0\n", "0\n"]]}
    assert judge(checker, "```python\nprint(2 * int(input()))\n```", tests, entry_point="").status == "pass"
    assert judge(checker, "print(int(input()) + 3)", tests, entry_point="").status == "fail"


def test_a_syntax_error_is_a_fail_that_names_the_line(checker):
    verdict = judge(checker, "def twice(x):\n    return 2 * (x\n")
    assert verdict.status == "fail" and "line 2" in verdict.reason and verdict.evidence["line"] == 2


def test_a_task_without_tests_is_unverifiable(checker):
    assert judge(checker, GOOD, tests=None).status == "unverifiable"
    assert judge(checker, GOOD, tests=[]).status == "unverifiable"


def test_a_response_without_code_is_a_fail(checker):
    verdict = judge(checker, "I would rather not.")
    assert verdict.status == "fail" and verdict.reason == "no answer found"


def test_an_endless_loop_is_a_timeout_and_not_a_fail(checker):
    assert judge(checker, "def twice(x):\n    while True: pass\n").status == "timeout"


def test_a_slow_program_passes_when_the_reference_is_slow_too(checker):
    # as many seconds of CPU on any machine
    slow = (
        "from time import process_time\ndef twice(x):\n    end = process_time() + 0.25\n"
        "    while process_time() < end: pass\n    return 2 * x\n"
    )
    tests = "\n".join(["assert twice(2) == 4"] * 8)
    assert judge(checker, slow, tests).status == "timeout"
    # Times on a busy machine vary by more than the factor, and a reference is measured once: three tries with new references.
    tries = (judge(checker, slow, tests, reference=f"{slow}# {n}\n") for n in range(3))
    assert any(verdict.status == "pass" and verdict.evidence["limit_s"] > 1 for verdict in tries)


@pytest.mark.parametrize(
    ("first", "kept"),
    [
        (Verdict(status="error", reason="the test runner ended without a verdict"), False),
        (Verdict(status="timeout", reason="not done after 92.0 s", evidence={"cpu_s": 3.0}), False),
        (Verdict(status="timeout", reason="more than 60 s of CPU", evidence={"cpu_s": 60.0}), True),
        (Verdict(status="fail", reason="case 0: got 1, expected 2"), True),
        (Verdict(status="pass", seconds=4.0), True),
    ],
)
def test_a_reference_that_could_not_be_measured_is_measured_anew_for_the_next_program(first, kept):
    """Context.run is a function that anyone may give: this one replays verdicts of a busy machine."""
    measured = []

    def run(job):
        if "reference" not in job.program:
            return Verdict(status="pass" if (job.cpu_s or 0) > 5 else "timeout", seconds=5.0)
        measured.append(job)
        return first if len(measured) == 1 else Verdict(status="pass", seconds=4.0)

    reference = f"def twice(x):\n    return 2 * x  # reference {first.reason}\n"
    task = Task(instruction="", reference=reference, tests="assert twice(2) == 4", fields={"entry_point": "twice"})
    statuses = [
        verify(task, GOOD, Context(run=run, many=lambda jobs: [*map(run, jobs)], policy=POLICY)).status for _ in "ab"
    ]
    assert len(measured) == (1 if kept else 2)
    expected = "pass" if first.status == "pass" else "timeout"
    assert statuses == ([expected] * 2 if kept else ["timeout", "pass"])


def test_helpers_of_the_prompt_answer_in_the_tests_and_not_the_candidates(checker):
    prompt = "def encode(s):\n    return s[::-1]\n\ndef decode(s):\n    '''Takes back encode.'''\n"
    tests = "def check(candidate):\n    assert candidate(encode('abc')) == 'abc'\n"
    cheat = "def encode(s):\n    return s\n\ndef decode(s):\n    return s\n"
    assert judge(checker, "    return s[::-1]", tests, entry_point="decode", prompt=prompt).status == "pass"
    assert judge(checker, cheat, tests, entry_point="decode", prompt=prompt).status == "fail"


def test_tests_may_pass_objects_of_their_own_classes(checker):
    tests = (
        "class Node:\n    def __init__(self, value, next=None):\n        self.value, self.next = value, next\n\n"
        "assert twice(Node(1, Node(5))) == 12\n"
    )
    code = "def twice(node):\n    return 2 * (node.value + node.next.value)"
    assert judge(checker, code, tests).status == "pass"
    assert judge(checker, code.replace("2 *", "3 *"), tests).status == "fail"


def test_packages_that_the_policy_does_not_name_are_refused_wherever_they_are_installed():
    code = "import hypothesis\n" + GOOD
    with open_checker("code", workers=1) as strict:
        verdict = judge(strict, code)
        assert verdict.status == "fail" and "'hypothesis'" in verdict.reason
        assert judge(strict, f'"""\nimport hypothesis\n"""\n{GOOD}').status == "pass"
    with open_checker("code", workers=1, policy={"packages": ["hypothesis"]}) as open_:
        assert judge(open_, code).status == "pass"


@pytest.mark.parametrize(
    ("listed", "status"), [("['add', 'halve']", "pass"), ("['add']", "fail"), ("['add'] + MORE", "pass")]
)
def test_a_star_import_gives_the_tests_what_the_program_lists(checker, listed, status):
    answer = f"MORE = ['halve']\n__all__ = {listed}\ndef add(a, b):\n    return a + b\ndef halve(x):\n    return x / 2"
    tests = "from solution import *\n\ndef test_both():\n    assert add(1, 2) == 3\n    assert halve(6) == 3"
    assert judge(checker, answer, tests, entry_point="add").status == status


def test_an_object_that_equals_everything_wins_nothing(checker):
    cheat = "class Any:\n    def __eq__(self, other): return True\n    def __hash__(self): return 0\ndef twice(x):\n    return Any()\n"
    assert judge(checker, cheat).status == "fail"


def test_the_raw_completion_profile_joins_to_the_letter():
    with open_checker("code", workers=1, profile="humaneval") as checker:
        prompt = "def twice(x):\n    '''Doubles.'''\n"
        assert judge(checker, "    return 2 * x\n\ndef other(): pass", prompt=prompt).status == "pass"
        assert judge(checker, "return 2 * x", prompt=prompt).status == "fail"  # no repair here, unlike in `sound`
        assert judge(checker, "", prompt=prompt).status == "fail"


@pytest.mark.skipif(not shutil.which("node"), reason="no node on this machine")
def test_javascript_completions_and_whole_functions_are_run_with_their_tests(checker):
    row = {
        "name": "HumanEval_0_twice", "language": "js", "prompt": "//Doubles.\nfunction twice(x){\n",
        "tests": "const assert = require('node:assert');\nassert.deepEqual(twice(2), 4);\n",
    }  # fmt: skip
    task = other_languages.task(row)
    answers = {
        "  return 2 * x;\n}\n": "pass",
        "```js\nfunction twice(x) { return 2 * x; }\n```": "pass",
        "  return x;\n}\n": "fail",
        "  return 2 * x;\n}\nprocess.exit(0);\n": "fail",
    }
    records = [Record(domain="code", task=task, answers=(Answer(text=a, model="m"),)) for a in answers]
    assert [r.answers[0].verdict.status for r in checker.verify(records)] == list(answers.values())


@pytest.mark.skipif(not shutil.which("c++"), reason="no c++ on this machine")
def test_cpp_tests_that_close_the_function_take_a_body_or_a_whole_function(checker):
    row = {
        "name": "HumanEval_0_twice", "language": "cpp", "prompt": "#include<assert.h>\nlong twice(long x) {\n",
        "tests": "}\nint main() {\n    auto candidate = twice;\n    assert(candidate(2) == 4);\n}\n",
    }  # fmt: skip
    task = other_languages.task(row)
    answers = {
        "    return 2 * x;\n": "pass",
        "```cpp\nlong twice(long x) {\n    return 2 * x;\n}\n```": "pass",
        "    return x;\n": "fail",
    }
    records = [Record(domain="code", task=task, answers=(Answer(text=a, model="m"),)) for a in answers]
    assert [r.answers[0].verdict.status for r in checker.verify(records)] == list(answers.values())


DS1000 = {
    "prompt": "double it\n[insert]\n",
    "reference_code": "result = x * 2",
    "metadata": {"problem_id": 7, "library": "Numpy"},
    "code_context": "exec_context = 'x = test_input\\n[insert]\\n'\n"
    "def test_execution(solution):\n    env = {'test_input': 3}\n    exec(exec_context.replace('[insert]', solution), env)\n"
    "    assert env['result'] == 6\n"
    "def test_string(solution):\n    assert 'for' not in solution\n",
}


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("```python\nresult = x * 2\n```", "pass"),
        ("result = x * 2\n</code>", "pass"),
        ("result = x", "fail"),
        ("result = sum(x for _ in range(2))", "fail"),
        ("import os; os._exit(0)", "fail"),
    ],
)
def test_ds1000_solutions_are_executed_in_their_harness(answer, status):
    with open_checker("code", workers=1, profile="ds1000") as checker:
        record = Record(domain="code", task=ds1000.task(DS1000), answers=(Answer(text=answer, model="m"),))
        assert next(iter(checker.verify([record]))).answers[0].verdict.status == status


def test_a_ds1000_problem_whose_library_is_missing_is_our_error():
    row = {**DS1000, "code_context": "import nosuchlibrary\n" + DS1000["code_context"]}
    with open_checker("code", workers=1, profile="ds1000") as checker:
        record = Record(domain="code", task=ds1000.task(row), answers=(Answer(text="result = x * 2", model="m"),))
        verdict = next(iter(checker.verify([record]))).answers[0].verdict
    assert verdict.status == "error" and "nosuchlibrary" in verdict.reason


def test_a_row_of_a_file_becomes_a_task():
    from evoltune_code import domain

    task = to_task(
        domain, {"id": 1, "answer": GOOD, "tests": TESTS, "entry_point": "twice", "prompt": "def twice(x):\n"}
    )
    assert task.fields == {"entry_point": "twice", "prompt": "def twice(x):\n"} and task.tests == TESTS
