"""Mutual verification: what distinct solutions agree on, which cases are kept, and how often agreed values are right."""

import importlib.util
import os
from pathlib import Path

import pytest

from evoltune.cluster.engine import open_pool
from evoltune.evolve.rewriting import context_of, run_jobs
from evoltune.record import Answer, Record, Task
from evoltune.sandbox.worker_protocol import WorkerConfig
from evoltune.verification.checker import open_checker
from evoltune_code.branches import branches_taken
from evoltune_code.mutual import agree, calls_in, cases_as_tests, doubt_about, examples_in, inputs_of
from evoltune_code.verification import POLICY, verify

RIGHT = "def clamp(x, low, high):\n    if x < low:\n        return low\n    if x > high:\n        return high\n    return x\n"
SAME = "def clamp(x, low, high):\n    return max(low, min(x, high))\n"
WRONG = "def clamp(x, low, high):\n    return max(low, x)\n"
THIRD = "def clamp(x, low, high):\n    return sorted((low, x, high))[1]\n"
OTHER = "def clamp(x, low, high):\n    return x\n"
INPUTS = [[5, 1, 10], [0, 1, 10], [11, 1, 10], [1, 1, 10], [10, 1, 10], [-3, -2, -1], [7, 1, 10]]


@pytest.fixture(scope="module")
def context():
    config = WorkerConfig(domain="", check_s=5.0, program_s=5.0, memory_mb=512, require="L0", policy={})
    pool = open_pool(config, 1)
    yield context_of(lambda jobs: run_jobs(pool, jobs), {**POLICY, "mutant_cpu_s": 0.5})
    pool.close()


def test_distinct_solutions_agree_and_their_values_become_tests(context):
    agreement = agree([RIGHT, WRONG, SAME, THIRD], "clamp", INPUTS, context)
    assert agreement.voters == 4 and agreement.agreeing == 3 and agreement.passing == {0, 2, 3}
    assert [(args, value) for args, value in agreement.cases] == [(a, sorted(a)[1]) for a in INPUTS]
    assert doubt_about(agreement, context) == ""
    assert 0 < len(agreement.kept) < len(INPUTS)  # [5, 1, 10] and [7, 1, 10] show the same
    assert agreement.killed >= 0.6 * agreement.mutants and agreement.taken == agreement.branches == 4
    task = Task(instruction="x", tests=cases_as_tests(agreement), fields={"entry_point": "clamp"})
    assert [verify(task, program, context).status for program in (RIGHT, THIRD, WRONG, OTHER)] == [
        "pass",
        "pass",
        "fail",
        "fail",
    ]


def test_copies_of_one_mistake_have_one_vote(context):
    copies = [WRONG.replace("high", name) for name in "abcdefg"]
    agreement = agree([*copies, RIGHT, SAME, THIRD], "clamp", INPUTS, context)
    assert agreement.voters == 4 and agreement.passing == {7, 8, 9}
    assert not agree([RIGHT.replace("high", name) for name in "abcdefg"], "clamp", INPUTS, context).cases


def test_the_order_of_a_set_is_no_value_that_solutions_agree_on(context):
    """Three of these return the order that a set happens to have in the sandbox; the fourth keeps that of the text, and is as right."""
    bodies = [
        "list(set(words))",
        "[word for word in set(words)]",
        "list({word for word in words})",
        "list(dict.fromkeys(words))",
    ]
    programs = [f"def uniq(words):\n    return {body}\n" for body in bodies]
    inputs = [[["a", "b", "a", "c"]], [["x", "y"]], [["q"]], [["a", "a"]], [[]]]
    agreement = agree(programs, "uniq", inputs, context)
    assert [value for _, value in agreement.cases] == [["q"], ["a"], []] and agreement.passing == {0, 1, 2, 3}


def test_solutions_that_contradict_the_tasks_own_example_do_not_vote(context):
    wrong = [
        WRONG,
        "def clamp(x, low, high):\n    return low if x < low else x\n",
        "def clamp(v, low, high):\n    return v if v >= low else low\n",
    ]
    programs = [*wrong, RIGHT, SAME, THIRD]
    assert 5 not in agree(programs, "clamp", [[11, 1, 10]], context).passing
    told = agree(programs, "clamp", INPUTS, context, examples=[([12, 1, 10], 10)])
    assert told.voters == 3 and told.passing == {3, 4, 5} and len(told.cases) == len(INPUTS)


@pytest.mark.parametrize(
    ("programs", "doubt"),
    [
        ([RIGHT, SAME], "2 distinct solutions that return something, 3 are needed"),
        (
            [RIGHT, SAME, OTHER, "def clamp(x, low, high):\n    return low\n"],
            "of 4 distinct solutions return all agreed values",
        ),
        (
            [f"def clamp(x, low, high):\n    return 1{tail}\n" for tail in ("", " + 0", " * 1")],
            "one value for all inputs",
        ),
        ([RIGHT, SAME, THIRD], "distinct solutions agree on 2 of 2 inputs"),
    ],
)
def test_what_agreement_does_not_verify(context, programs, doubt):
    inputs = INPUTS[:2] if "2 of 2" in doubt else INPUTS
    assert doubt in doubt_about(agree(programs, "clamp", inputs, context), context)


def test_programs_that_fail_loop_or_give_no_plain_value_spoil_nothing(context):
    bad = [
        "def clamp(x, low, high):\n    while True: pass\n", "def clamp(x, low, high):\n    raise ValueError\n",
        "import os\nos._exit(0)\n", "def clamp(x, low, high):\n    return object()\n", "def clamp(:",
    ]  # fmt: skip
    agreement = agree([*bad, RIGHT, SAME, THIRD], "clamp", INPUTS, context)
    assert agreement.voters == 3 and agreement.passing == {5, 6, 7}


def test_branches_are_those_that_each_call_takes(context):
    program = (
        "def f(a):\n    if a > 0 and a < 9:\n        return [x for x in range(a) if x % 2]\n    return 1 if a else 2\n"
    )
    taken, total = branches_taken(program, "f", [[3], [9], [0]], context)
    assert total == 6 and taken == [
        {(0, False), (0, True), (1, True)},
        {(1, False), (2, True)},
        {(1, False), (2, False)},
    ]
    assert branches_taken("def f(a):\n    return a\n", "f", [[1]], context) == ([frozenset()], 0)
    assert branches_taken("def f(a:", "f", [[1]], context) == ([frozenset()], 0)


@pytest.mark.parametrize(
    ("text", "args"),
    [
        (">>> f([1, 2], 'a)b')\n3", [[[1, 2], "a)b"]]), ("f(2) should be 3, f((1,)) too", [[2], [(1,)]]), ("assert candidate(-1) == 2", [[-1]]),
        ("def f(a, b=(1, 2)):", []), ("f(x), g(1), off(2), a.f(3), f()", []), ("f(" * 50, []),
    ],
)  # fmt: skip
def test_calls_are_found_in_any_text(text, args):
    assert list(calls_in(text, "f")) == args


@pytest.mark.parametrize(
    ("text", "examples"),
    [
        (">>> f(2)\n4\n>>> f([])\n[1, 'a']\n", [([2], 4), ([[]], [1, "a"])]), ("f(2) == 4 # four", [([2], 4)]), ("f(2) ➞ (1, 2)", [([2], (1, 2))]),
        ("`f(2)` should return `[1]`.", [([2], [1])]), ("f(2) returns True, f(3) returns False.", [([2], True), ([3], False)]),
        ("assert f('a') == 'b)'", [(["a"], "b)")]), ("f(2) is prime", []), ("f(2) and f(3)", []),
    ],
)  # fmt: skip
def test_stated_values_are_read_and_words_are_not(text, examples):
    assert examples_in(text, "f") == examples


def test_varied_texts_keep_to_the_letters_that_the_task_shows(context):
    inputs = inputs_of(Task(instruction="f('(())') is True, f(')(') is False"), "f", (), context)
    assert len(inputs) > 12 and {letter for (text,) in inputs for letter in text} == {"(", ")"}


def test_confirm_falls_back_on_agreement_where_the_teachers_tests_are_no_good():
    loop = "def gains(numbers):\n    total = 0\n    for n in numbers:\n        if n > 0:\n            total += n * n\n    return total\n"
    answers = [
        loop,
        "def gains(xs):\n    return sum(x * x for x in xs if x > 0)\n",
        "def gains(xs):\n    return sum(x * x for x in xs)\n",
        "def gains(xs):\n    return sum(max(x, 0) ** 2 for x in xs)\n",
    ]
    weak = (
        "assert gains([1, 2, -3]) == 9\nassert gains([]) == 7\nassert gains([-4, 2, 5]) == 12\nassert gains([6]) == 4\n"
    )
    given = {"domain": "code", "task": Task(instruction="Write gains(numbers)."), "evidence": {"tests": (weak,)}}
    with open_checker("code", workers=1, confirm=True, check_s=10) as checker:
        several, two = (Record(**given, answers=tuple(Answer(text=a, model="m") for a in answers[:n])) for n in (4, 2))
        verdicts, doubted = ([a.verdict for a in record.answers] for record in checker.verify([several, two]))
    assert [v.status for v in verdicts] == ["pass", "pass", "fail", "pass"]
    assert (
        verdicts[0].evidence["verified_by"] == "agreement+mutants" and verdicts[0].evidence["mutual"]["solutions"] == 4
    )
    assert {v.status for v in doubted} == {"unverifiable"}


DATA = Path(os.environ.get("EVOLTUNE_DATA", "no such folder"))


@pytest.mark.skipif(not (DATA / "humaneval_model_solutions").is_dir(), reason="needs EVOLTUNE_DATA")
def test_agreed_values_are_right_on_labelled_solutions(context, monkeypatch):
    folder = Path(__file__).parents[2] / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))  # it imports its neighbours
    spec = importlib.util.spec_from_file_location("mutual_verification", folder / "mutual_verification.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    counts = benchmark.measured(list(benchmark.humaneval())[5::20], context).counts
    assert counts["right"] >= 0.96 * (counts["right"] + counts["wrong"]) > 10
