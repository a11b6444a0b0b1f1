"""Answers are read and compared as mathematicians would; each choice of policy can be switched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evoltune.errors import DomainError
from evoltune_math import check, domain
from evoltune_math.answers import kinds
from evoltune_math.answers.algebra.normal_form import equal_forms, normal_form
from evoltune_math.answers.algebra.rational import rational
from evoltune_math.answers.limits import TooLarge
from evoltune_math.answers.policy import Policy
from evoltune_math.answers.reading.reader import read
from evoltune_math.answers.syntax.parser import parse
from evoltune_math.answers.syntax.tokens import Unreadable

FORMS = [
    (*line.partition(" == ")[::2], True) if " == " in line else (*line.partition(" != ")[::2], False)
    for line in Path(__file__).with_name("forms.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("# ")
]
SAME = [(a, b) for a, _, b, same in [(f[0], "", f[1], f[2]) for f in FORMS] if same]
DIFFERENT = [(a, b) for a, b, same in FORMS if not same]


def passes(answer: str, reference: str, **policy: object) -> bool:
    return check(answer, reference, policy).status == "pass"


@pytest.mark.parametrize(("left", "right"), SAME)
def test_two_ways_to_write_one_answer_are_equal_in_both_directions(left: str, right: str) -> None:
    assert passes(left, right)
    assert passes(right, left)


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_different_answers_differ_in_both_directions(left: str, right: str) -> None:
    assert not passes(left, right)
    assert not passes(right, left)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (r"\frac{1}{2}", kinds.Value), ("7 cm", kinds.Value), ("no solution", kinds.Text), (r"\textbf{(A) } 12", kinds.Choice),
        ("1, 2", kinds.Group), (r"-1 < x \le 2", kinds.Region), (r"\begin{pmatrix}1\\2\end{pmatrix}", kinds.Matrix),
        ("x+y=1", kinds.Relation), ("x=5", kinds.Named), ("3:4", kinds.Ratio), (r"k\pi, k\in\mathbb{Z}", kinds.Family),
        (r"\frac13 \approx 0.33", kinds.Either),
    ],
)  # fmt: skip
def test_each_kind_of_answer_is_recognised(text: str, kind: type) -> None:
    assert isinstance(read(text), kind)


def test_the_unit_is_taken_off_and_kept() -> None:
    answer = read(r"9.8\ \mathrm{m/s^2}")
    assert isinstance(answer, kinds.Value)
    assert rational(answer.node) is not None
    assert answer.unit.replace(" ", "") == "m/s^2"


def test_parsing_computes_nothing() -> None:
    node = parse("9^{9^{9^{9}}}")
    assert node.op == "pow"
    with pytest.raises(TooLarge):
        rational(node)


def test_a_nest_deeper_than_the_budget_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="nested deeper"):
        parse("(" * 100 + "1" + ")" * 100)


def test_the_normal_form_proves_equality_of_radicals_without_sympy() -> None:
    assert equal_forms(normal_form(parse(r"\frac{1}{\sqrt{2}-1}")), normal_form(parse(r"\sqrt2+1")))
    assert not equal_forms(normal_form(parse("(x+1)^2")), normal_form(parse("x^2+1")))


@pytest.mark.parametrize(
    ("knob", "default", "other", "answer", "reference"),
    [
        ("percent", False, "either", "50", r"50\%"),
        ("units", False, "ignore", "5 km", "5 m"),
        ("units", True, "required", "5", "5 cm"),
        ("degrees", True, "required", "90", r"90^\circ"),
        ("lists", True, "ordered", "2, 1", "1, 2"),
        ("assignment", True, "required", "5", "x = 5"),
        ("variables", False, "ignore", "y > 3", "x > 3"),
        ("intervals", True, "strict", "1 < x < 2", "(1,2)"),
        ("vectors", True, "strict", "(1,2)", r"\begin{pmatrix}1\\2\end{pmatrix}"),
        ("constant", False, "optional", "x^2", "x^2 + C"),
        ("approximation", True, "exact", "0.33", r"\frac13 \approx 0.33"),
        ("choices", True, "letter", "12", "(A) 12"),
        ("text", True, "exact", "Even.", "even"),
        ("decimal_digits", True, 0, "0.333333333333", r"\frac13"),
        ("decimal_digits", False, 3, "0.333", r"\frac13"),
    ],
)
def test_a_policy_knob_switches_its_choice(
    knob: str, default: bool, other: object, answer: str, reference: str
) -> None:
    assert passes(answer, reference) is default
    assert passes(answer, reference, **{knob: other}) is not default


def test_every_knob_is_in_the_domain_with_its_default() -> None:
    assert Policy.of(domain.policy) == Policy()


def test_an_unknown_policy_value_names_the_allowed_ones() -> None:
    with pytest.raises(DomainError, match="value, either"):
        check("1", "1.0", {"percent": "sometimes"})


def test_importing_the_domain_loads_no_sympy() -> None:
    code = "import sys, evoltune_math; evoltune_math.check('1/2', '0.5'); sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_verdict_says_what_was_extracted_and_which_stage_decided() -> None:
    evidence = check(r"Hence \boxed{\frac{x^2-1}{x-1}}.", "x+1").evidence
    assert evidence["extracted"] == r"\frac{x^2-1}{x-1}"
    assert (evidence["extraction"], evidence["method"]) == ("boxed", "normal form")


def test_no_reference_is_unverifiable_and_no_answer_fails() -> None:
    assert check("5", None).status == "unverifiable"
    assert check("", "5").status == "fail"
