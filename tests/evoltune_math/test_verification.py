"""The verdict on an answer, and what it says about how it was reached."""

from __future__ import annotations

import subprocess
import sys

import pytest

from evoltune.domain import Context
from evoltune.record import Task, Verdict
from evoltune_math import check, domain


def test_the_verdict_says_what_was_extracted_and_which_stage_decided() -> None:
    evidence = check(r"Hence \boxed{\frac{x^2-1}{x-1}}.", "x+1").evidence
    assert evidence["extracted"] == r"\frac{x^2-1}{x-1}"
    assert (evidence["extraction"], evidence["method"]) == ("boxed", "normal form")


def test_without_a_reference_an_answer_is_unverifiable_and_without_an_answer_it_fails() -> None:
    assert check("5", None).status == check("5", "  ").status == "unverifiable"
    assert check("", "5").status == "fail"


def test_check_gives_the_verdict_of_the_domains_extract_and_verify() -> None:
    context = Context(run=lambda job: Verdict(status="error"), policy=domain.policy)
    for response, reference in (("so $x = 5$.", "5"), (r"\boxed{7}", "8"), ("1/0", "1/0"), ("$=$", "$=$")):
        task = Task(instruction="", reference=reference)
        candidate = domain.extract(task, response)
        assert candidate is not None
        assert check(response, reference).status == domain.verify(task, candidate, context).status


def test_an_answer_restated_as_a_tower_of_powers_is_compared_without_computing_it() -> None:
    assert check("5 (9^{9^{9^{9}}})", "5").status == "fail"


def test_importing_the_domain_and_checking_a_fraction_loads_no_sympy() -> None:
    code = "import sys, evoltune_math; evoltune_math.check('1/2', '0.5'); sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "reference",
    [
        "Answers may vary.", "Student answers will vary.", "because it rains", "See the graph", "see figure above",
        "Check student work", "It depends on x", "Graph shown below", "Proof.", "No answer provided", "\\text{Answers vary}", "N/A",
    ],
)  # fmt: skip
def test_a_short_reference_without_a_value_judges_nothing(reference):
    assert check("12", reference).status == check("blue", reference).status == "unverifiable"
    assert check(reference, reference).status == "pass"


@pytest.mark.parametrize(
    "reference",
    [
        "blue",
        "Tuesday",
        "Yes",
        "parallelogram",
        "not enough information",
        "no solution",
        "graph",
        "odd",
        "the red ball",
    ],
)
def test_short_words_are_answers(reference):
    assert check("12", reference).status == check("green", reference).status == "fail"
    assert check(f"The answer is {reference}.", reference).status == "pass"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (r"2 \boxed{8}", "fail"),
        (r"2\boxed{8}", "fail"),
        (r"Then $x = \boxed{8}$", "pass"),
        ("She needs a minimum of 8", "fail"),
        ("a maximum of 8", "fail"),
        ("The function has a minimum of 8", "pass"),
        ("The minimum is 8", "pass"),
    ],
)
def test_what_stands_before_a_number_counts(answer, status):
    assert check(answer, "8").status == status
