"""The published scorers are reproduced with their defects; ours disagrees where they are wrong."""

from __future__ import annotations

import pytest

from evoltune.domain import Context
from evoltune.record import Task, Verdict
from evoltune_math import domain
from evoltune_math.scorers import minerva
from evoltune_math.scorers.hendrycks import NormaliserFault, normal_string
from evoltune_math.scorers.wizardmath import math_equal

CONTEXT = Context(run=lambda job: Verdict(status="error"), policy=domain.policy)


def scored(profile: str, response: str, reference: str) -> str | None:
    """The status, or None when the scorer finds no answer."""
    how, task = domain.profiles[profile], Task(instruction="", reference=reference)
    candidate = (how.extract or domain.extract)(task, response)
    return None if candidate is None else (how.verify or domain.verify)(task, candidate, CONTEXT).status


@pytest.mark.parametrize(
    ("profile", "response", "reference", "status"),
    [
        ("hendrycks", r"\boxed{\dfrac12}", r"\frac{1}{2}", "pass"),
        ("hendrycks", r"\boxed{x=5}", "5", "pass"),
        ("hendrycks", r"\boxed{0.5}", r"\frac{1}{2}", "pass"),
        ("hendrycks", r"\boxed{0.50}", r"\frac{1}{2}", "fail"),
        ("hendrycks", r"\boxed{2,1}", "1,2", "fail"),
        ("hendrycks", "the answer is 5", "5", None),
        ("minerva", "Final Answer: The final answer is $2x+1$. I hope it is correct.", "y=1+2x", "pass"),
        ("minerva", r"\boxed{5 \text{ dollars}}", "5", "pass"),
        ("minerva", r"\boxed{1/3}", "0.3333", "fail"),
        ("wizardmath", "The answer is: 0.33333", "0.33334", "pass"),
        ("wizardmath", r"The answer is: 25\%", "0.25", "pass"),
        ("wizardmath", "The answer is: 10000", "10001", "pass"),
        ("wizardmath", r"The answer is: 5\text{ a}\text{ b}", "7", "pass"),
        ("wizardmath", "The answer is 5", "5", None),
        ("wizardmath-gsm8k", "The answer is: 1,234,567", "1234", "pass"),
        ("wizardmath-gsm8k", "The answer is: 1 1/2", "1", "pass"),
        ("wizardmath-gsm8k", "The answer is: 7.4 apples", "7", "pass"),
        ("wizardmath-gsm8k", "The answer is: 7/0", "7", "pass"),
        ("gsm8k-strict", "#### 1,234.", "#### 1234", "pass"),
        ("gsm8k-strict", "The answer is 5", "5", None),
        ("gsm8k-strict", "#### 5 or #### 6", "6", "fail"),
        ("gsm8k-flexible", "it costs $18 in all", "#### 18", "pass"),
        ("gsm8k-flexible", "18 dollars for 3", "18", "fail"),
        ("openai-A", "work\nA: 57,500", "so 57,500\nA: 57500", "pass"),
        ("openai-A", "work\n#### 5", "A: 5", None),
    ],
)
def test_a_profile_scores_as_published(profile: str, response: str, reference: str, status: str | None) -> None:
    assert scored(profile, response, reference) == status


def test_ours_rejects_what_the_wizardmath_defect_accepts() -> None:
    response = r"The answer is: 5\text{ a}\text{ b}"
    assert scored("wizardmath", response, "7") == "pass"
    assert scored("sound", response, "7") == "fail"


def test_every_profile_is_versioned_and_a_missing_reference_is_unverifiable() -> None:
    for name, profile in domain.profiles.items():
        assert profile.version >= 1, name
        verify = profile.verify or domain.verify
        assert verify(Task(instruction=""), "5", CONTEXT).status == "unverifiable"


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        (r"\frac12", r"\frac{1}{2}"), (r"\tfrac1{72}", r"\frac{1}{72}"), (r"\sqrt3", r"\sqrt{3}"), ("3/4", r"\frac{3}{4}"), (".5", r"\frac{1}{2}"),
        (r"90^\circ", "90"), (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})"), (r"7\text{ cm}", "7"), (r"\$5", "5"), ("k=7", "7"), ("abc=7", "abc=7"),
    ],
)  # fmt: skip
def test_the_normaliser_of_the_math_benchmark(raw: str, normal: str) -> None:
    assert normal_string(raw) == normal


@pytest.mark.parametrize("raw", [r"\text{ a}\text{ b}", r"2\sqrt", r"1\frac"])
def test_the_normaliser_faults_where_the_published_one_does(raw: str) -> None:
    with pytest.raises(NormaliserFault):
        normal_string(raw)


def test_the_tolerant_comparison_takes_percentages_and_ignores_brackets() -> None:
    assert math_equal("0.5", "50")
    assert math_equal("[1,2)", "(1,2)") is False
    assert math_equal("{1}", "(1)")
    assert not math_equal("1", "2")


def test_the_minerva_normaliser_drops_units_and_keeps_the_last_side() -> None:
    assert minerva.normal_string(r"x = 5\text{ dollars}") == "5"
    assert minerva.normal_string("1,234") == "1234"
