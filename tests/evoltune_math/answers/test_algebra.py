"""Parsing computes nothing; exact values and normal forms are computed only within the size limits."""

from __future__ import annotations

from fractions import Fraction

import pytest

from evoltune_math.answers.algebra.normal_form import equal_forms, normal_form
from evoltune_math.answers.algebra.rational import TooLarge, rational
from evoltune_math.answers.syntax.grammar import Unreadable
from evoltune_math.answers.syntax.parser import parse


def test_parsing_computes_nothing() -> None:
    node = parse("9^{9^{9^{9}}}")
    assert node.op == "pow"
    with pytest.raises(TooLarge, match="bits, the limit is"):
        rational(node)


def test_deeper_nesting_than_the_limit_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="nested deeper"):
        parse("(" * 100 + "1" + ")" * 100)


@pytest.mark.parametrize(
    ("text", "value"),
    [("2 1/2", Fraction(5, 2)), (r"\sqrt{\frac{9}{4}}", Fraction(3, 2)), ("1A_{16}", None), (r"\binom{5}{2}", Fraction(10)),
     ("7!!", Fraction(105)), (r"(-8)^{1/3}", None), (r"\sqrt[3]{-8}", Fraction(-2)), (r"\gcd(12, 18)", Fraction(6))],
)  # fmt: skip
def test_rational_values_are_exact(text: str, value: Fraction | None) -> None:
    assert rational(parse(text)) == value


def test_the_normal_form_proves_equality_of_radicals_without_sympy() -> None:
    assert equal_forms(normal_form(parse(r"\frac{1}{\sqrt{2}-1}")), normal_form(parse(r"\sqrt2+1")))
    assert not equal_forms(normal_form(parse("(x+1)^2")), normal_form(parse("x^2+1")))
