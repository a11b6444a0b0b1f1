"""Model-written tests: they count only when they work."""

import pytest

from evoltune.record import Answer, Record, Task
from evoltune.verification.checker import open_checker
from evoltune_code.confirmation import _calling, asserts_of, inferred_entry_point

RIGHT = "def clamp(x, low, high):\n    if x < low:\n        return low\n    if x > high:\n        return high\n    return x\n"
SAME = "def clamp(x, low, high):\n    return max(low, min(x, high))\n"
WRONG = "def clamp(x, low, high):\n    return max(low, x)\n"
BROKEN = "def clamp(x, low, high):\n    return max(low, x\n"
STRONG = """Here are the tests:
```python
assert clamp(5, 1, 10) == 5
assert clamp(0, 1, 10) == 1
assert clamp(11, 1, 10) == 10
assert clamp(1, 1, 10) == 1
assert clamp(10, 1, 10) == 10
assert clamp(-3, -2, -1) == -2
```"""
WEAK = "assert clamp(5, 1, 10) == 5\nassert clamp(6, 1, 10) == 6\nassert clamp(7, 1, 10) == 7\nassert clamp(8, 1, 10) == 8\n"
EMPTY = "assert clamp(1, 1, 1) is not print\nassert 1 + 1 == 2\nassert True\nassert clamp(2, 1, 3) == clamp(2, 1, 3)\n"


@pytest.fixture(scope="module")
def checker():
    with open_checker("code", workers=1, confirm=True, check_s=10) as opened:
        yield opened


def confirmed(checker, answers, tests, **fields):
    task = Task(instruction="Write clamp(x, low, high).", fields=fields)
    record = Record(
        domain="code",
        task=task,
        answers=tuple(Answer(text=a, model="m") for a in answers),
        evidence={"tests": tuple(tests)},
    )
    return [a.verdict for a in next(iter(checker.verify([record]))).answers]


def test_tests_that_kill_the_mutants_verify_the_group_that_agrees(checker):
    verdicts = confirmed(checker, [RIGHT, WRONG, f"```python\n{SAME}```", BROKEN, "no code"], [STRONG])
    assert [v.status for v in verdicts] == ["pass", "fail", "pass", "fail", "fail"]
    evidence = verdicts[0].evidence
    assert evidence["verified_by"] == "tests+mutants"
    assert evidence["killed"] >= 0.6 * evidence["mutants"] > 0
    assert evidence["agreement"] == {"solutions": 2, "of": 3, "tests": 6, "score": 12}
    assert "line" in verdicts[3].reason


def test_weak_tests_verify_nothing(checker):
    (verdict,) = confirmed(checker, [RIGHT], [WEAK])
    assert verdict.status == "unverifiable"
    assert "mutants" in verdict.reason and verdict.evidence["killed"] < 0.6 * verdict.evidence["mutants"]


def test_tests_that_never_call_the_function_or_pass_for_any_are_flagged(checker):
    (verdict,) = confirmed(checker, [RIGHT], [EMPTY])
    assert verdict.status == "unverifiable"
    assert verdict.evidence["flagged"] == {"never_calls": 2, "passes_anything": 2}
    assert verdict.evidence["tests_usable"] == 0


def test_a_few_wrong_asserts_of_the_teacher_do_not_spoil_the_rest(checker):
    spoiled = STRONG.replace("```python\n", "```python\nassert clamp(4, 1, 10) == 44\n")
    (verdict,) = confirmed(checker, [RIGHT], [spoiled])
    assert verdict.status == "pass" and verdict.evidence["tests_passed"] == 6 and verdict.evidence["tests_usable"] == 7


def test_a_teacher_whose_tests_contradict_the_solutions_verifies_nothing(checker):
    wrong = "\n".join(f"assert clamp({i}, 1, 10) == {i + 1}" for i in range(2, 9))
    (verdict,) = confirmed(checker, [RIGHT], [wrong])
    assert verdict.status == "unverifiable" and "0 of 7" in verdict.reason


@pytest.mark.parametrize(
    "tests", [[], ["I cannot write tests."], ["assert clamp(5, 1, 10) == 5"], ["assert other(1) == 1\n" * 5]]
)
def test_without_enough_tests_an_answer_stays_unverifiable(checker, tests):
    (verdict,) = confirmed(checker, [RIGHT], tests)
    assert verdict.status == "unverifiable" and verdict.reason


def test_hostile_tests_of_a_teacher_neither_pass_nor_harm(checker):
    hostile = (
        "assert clamp(5, 1, 10) == 5 or __import__('os')._exit(0)\nassert clamp(__import__('os').kill(-1, 9) or 1, 0, 2) == 1\n"
        * 3
    )
    (verdict,) = confirmed(checker, [WRONG], [hostile])
    assert verdict.status == "unverifiable"
    assert confirmed(checker, [RIGHT], [STRONG])[0].status == "pass"


def test_the_knobs_of_the_policy_decide():
    with open_checker(
        "code", workers=1, confirm=True, check_s=10, policy={"mutation_score": 0.0, "min_tests": 1}
    ) as lenient:
        assert confirmed(lenient, [RIGHT], [WEAK])[0].status == "pass"


# ---- reading a teacher's asserts: no program runs here


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("assert f(1) == 2\nassert f(2) == 3", ["assert f(1) == 2", "assert f(2) == 3"]),
        ("Here:\n```python\nassert f(1) == 2\n```\nDone.", ["assert f(1) == 2"]),
        (
            "```\ndef test_f():\n    assert f(1) == 2\n    assert f(0) == 1\n```",
            ["assert f(1) == 2", "assert f(0) == 1"],
        ),
        ("def check(candidate):\n    assert candidate(1) == 2", ["assert candidate(1) == 2"]),
        ("1. assert f(1) == 2\n2. assert f(2) == 3\nassert f(", ["assert f(1) == 2", "assert f(2) == 3"]),
        ("- `assert f([1, 2]) == 3`\n* assert f([]) == 0", ["assert f([1, 2]) == 3", "assert f([]) == 0"]),
        ("Tests:\nassert f([\n    1,\n    2,\n]) == 3\nbroken (", ["assert f([1, 2]) == 3"]),
        ("I cannot write tests.", []),
        ("", []),
        ("print(f(1))", []),
    ],
)
def test_asserts_are_read_one_by_one_from_a_teachers_text(text, expected):
    assert list(asserts_of(text)) == expected


def test_the_function_is_inferred_from_the_calls_in_the_asserts():
    programs = ["def helper(x): return x\ndef solve(x): return helper(x)"]
    assert inferred_entry_point(["assert solve(1) == 1", "assert solve(2) == len('ab')"], programs) == "solve"
    assert inferred_entry_point(["assert other(1)"], programs) == ""


def test_an_assert_that_does_not_call_the_function_or_uses_unknown_names_is_put_aside():
    assert _calling("assert f(1) == 2", "f")
    assert _calling("assert candidate(1) == 2", "f") == "assert f(1) == 2"
    assert _calling("assert all(f(i) == i + 1 for i in range(3))", "f")
    assert not _calling("assert 1 + 1 == 2", "f")
    assert not _calling("assert f(x) == 2", "f")
    assert not _calling("assert np.allclose(f(1), 2)", "f")
