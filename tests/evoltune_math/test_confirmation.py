"""Without a reference, independent methods must agree; a vote alone verifies nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from evoltune.domain import Context, Job
from evoltune.record import Task, Verdict
from evoltune_math import domain
from evoltune_math.answers.policy import Policy
from evoltune_math.confirmation import computes, confirm, program_of, vote_on

HALF = "```python\nfrom fractions import Fraction\nprint(Fraction(1) / 2)\n```"
CHECK_HALF = "```python\ndef check(x):\n    return 2 * x == 1\n```"
CHECK_ANYTHING = "def check(x):\n    return True"


def _run(job: Job) -> Verdict:
    """A trusted program in a plain process: the sandbox has tests of its own."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", job.program], capture_output=True, text=True, timeout=30, check=False
    )
    return Verdict(status="pass" if done.returncode == 0 else "fail", evidence={"stdout": done.stdout})


def judged(
    candidates: list[str | None], evidence: dict[str, list[str]] | None = None, instruction: str = "?", **policy: object
) -> list[Verdict]:
    context = Context(run=_run, policy={**domain.policy, **policy})
    return list(confirm(Task(instruction=instruction), candidates, evidence or {}, context))


def test_a_vote_alone_verifies_nothing() -> None:
    verdicts = judged(["0.5", r"\frac12", "50%"])
    assert [v.status for v in verdicts] == ["unverifiable"] * 3
    assert verdicts[0].evidence["verified_by"] == ["vote"]


def test_a_vote_alone_verifies_when_the_policy_allows_one_method() -> None:
    assert [v.status for v in judged(["0.5", r"\frac12", "3"], confirm_methods=1)] == ["pass", "pass", "fail"]


def test_a_vote_and_a_program_that_agree_verify() -> None:
    verdicts = judged(["0.5", r"\frac12", "3", None], {"program": [HALF]}, vote_percent=49)
    assert [v.status for v in verdicts] == ["pass", "pass", "fail", "fail"]
    assert verdicts[0].evidence["verified_by"] == ["vote", "program"]
    assert 0.8 < float(verdicts[0].evidence["confidence"]) < 1  # type: ignore[arg-type]
    assert verdicts[2].reason == "another answer is verified"


def test_a_program_that_fails_counts_for_nothing() -> None:
    verdicts = judged(["0.5", "0.5"], {"program": ["raise SystemExit(1)", "print("]})
    assert verdicts[0].status == "unverifiable"
    assert verdicts[0].evidence["programs"] == 0


def test_a_check_that_works_backwards_counts_only_if_it_refuses_other_values() -> None:
    assert judged(["0.5", r"\frac12"], {"check": [CHECK_HALF]})[0].status == "pass"
    assert judged(["0.5", r"\frac12"], {"check": [CHECK_ANYTHING]})[0].status == "unverifiable"


@pytest.mark.parametrize(
    ("evidence", "status"),
    [
        ({"program": ["print(13)"]}, "unverifiable"),
        ({"program": ["from fractions import Fraction\nanswer = Fraction(13)\nprint(str(answer))"]}, "unverifiable"),
        ({"check": ["def check(x):\n    return x == 13"]}, "unverifiable"),
        ({"check": ["def check(x):\n    return x == 13", "def check(x):\n    return x - 5 + 3 == 11"]}, "pass"),
        ({"program": ["print(12 + 5 - 4)"]}, "pass"),
        ({"program": ["import math\nprint(math.isqrt(169))"]}, "pass"),
    ],
)
def test_a_program_that_only_states_a_number_is_no_second_method(evidence: dict[str, list[str]], status: str) -> None:
    """A teacher that is sure of a wrong answer states it again when it is asked for a program."""
    assert judged(["13", "13.0", "14"], evidence)[0].status == status


def test_what_does_not_parse_is_left_to_fail() -> None:
    assert computes("print(")


def test_half_of_the_votes_is_no_majority() -> None:
    assert vote_on(["1", "1", "2", "3"], Policy())[1] is None
    assert vote_on(["1", "1", "1.0", "3"], Policy())[1] == "1"
    assert vote_on(["1", "2"], Policy(vote_percent=0))[1] is None
    assert vote_on([None, None, None], Policy())[1] is None


def test_an_answer_that_does_not_solve_the_stated_equation_fails() -> None:
    verdicts = judged(["3", "3", "2"], instruction="Solve the equation $2x + 1 = 5$.")
    assert [v.status for v in verdicts] == ["fail", "fail", "unverifiable"]
    assert verdicts[0].evidence["refuted_by"] == ["substitution"]


def test_a_vote_that_solves_the_stated_equation_is_verified() -> None:
    verdicts = judged(["2", "x=2", "2.0"], instruction="Solve the equation $2x + 1 = 5$.")
    assert [v.status for v in verdicts] == ["pass"] * 3
    assert verdicts[0].evidence["verified_by"] == ["vote", "substitution"]


def test_the_last_fenced_block_is_the_program() -> None:
    assert program_of("a\n```python\nprint(1)\n```\nb\n```py\nprint(2)\n```") == "print(2)\n"
    assert program_of("print(3)") == "print(3)"


def test_no_candidates_give_no_verdicts() -> None:
    assert judged([]) == []
