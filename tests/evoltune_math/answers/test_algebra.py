"""Parsing computes nothing; exact values and normal forms are computed only within the size limits."""

from __future__ import annotations

from fractions import Fraction

import pytest

from evoltune_math.answers.algebra.normal_form import equal_forms, normal_form
from evoltune_math.answers.algebra.rational import TooLarge, Undefined, known_rational, rational
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
     ("7!!", Fraction(105)), (r"(-8)^{1/3}", None), (r"\sqrt[3]{-8}", Fraction(-2)), (r"\gcd(12, 18)", Fraction(6)),
     (r"\sqrt[3]{\frac{27}{8}}", Fraction(3, 2)), (r"\sqrt[3]{-\frac18}", Fraction(-1, 2)), (r"\sqrt[4]{-16}", None), (r"\sqrt{-4}", None), (r"\sqrt[3]{2}", None),
     (r"\sqrt[1]{5}", Fraction(5)), (r"\sqrt[3]{0}", Fraction(0)), (r"\sqrt[5]{32}", Fraction(2)), (r"\sqrt[5]{33}", None),
     (r"\sqrt{10000000000000000000000000000000000000000}", Fraction(10**20)), (r"\sqrt[3]{10^{30}}", Fraction(10**10)),
     (r"\sqrt[\frac12]{3}", None), ("8^{2/3}", Fraction(4)), ("(4/9)^{-1/2}", Fraction(3, 2)), ("0^{1/2}", Fraction(0)),
     ("2^{1/2}", None), ("(-1)^{1000000007}", Fraction(-1)), ("0^{1000000007}", Fraction(0)), ("(-2)^{-3}", Fraction(-1, 8)),
     ("0!", Fraction(1)), ("6!!", Fraction(48)), ("(-1)!", None), ("(1/2)!", None), ("13!", Fraction(6227020800)),
     (r"(-7) \bmod 5", Fraction(3)), (r"7.5 \bmod 2", Fraction(3, 2)), ("1.1_2", Fraction(3, 2)), ("1010_2", Fraction(10)),
     (r"\binom{3}{5}", Fraction(0)), (r"\binom{-1}{2}", None), (r"\binom{5}{1/2}", None), (r"\operatorname{lcm}(4, 6)", Fraction(12)),
     (r"\gcd(1/2, 3)", None), (r"\lfloor -3.5 \rfloor", Fraction(-4)), (r"\lceil -3.5 \rceil", Fraction(-3)),
     (r"\max(2, 3)", Fraction(3)), (r"\min(2, 3)", Fraction(2)), ("|-5/2|", Fraction(5, 2)), (r"5\%", Fraction(1, 20)), ("x", None)],
)  # fmt: skip
def test_rational_values_are_exact(text: str, value: Fraction | None) -> None:
    assert rational(parse(text)) == value


def test_the_normal_form_proves_equality_of_radicals_without_sympy() -> None:
    assert equal_forms(normal_form(parse(r"\frac{1}{\sqrt{2}-1}")), normal_form(parse(r"\sqrt2+1")))
    assert not equal_forms(normal_form(parse("(x+1)^2")), normal_form(parse("x^2+1")))


@pytest.mark.parametrize("text", ["1/0", "0/0", "0^0", "0^{-1}", "0^{-1/2}", r"7 \bmod 0", "12_2", "1/(1-1)"])
def test_an_expression_without_a_value_is_undefined(text: str) -> None:
    with pytest.raises(Undefined):
        rational(parse(text))
    assert known_rational(parse(text)) is None


@pytest.mark.parametrize("text", ["9^{9^{9}}", "9^{-9^{9}}", "(10^{9})!", "(10^9)!!", r"\binom{10^{9}}{10^{8}}"])
def test_a_value_over_the_limit_is_not_computed(text: str) -> None:
    with pytest.raises(TooLarge):
        rational(parse(text))
    assert known_rational(parse(text)) is None


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [(r"\sqrt{12}", r"2\sqrt3", True), (r"\sqrt{12}", r"3\sqrt2", False), (r"\sqrt{\frac89}", r"\frac{2\sqrt2}{3}", True),
     (r"\sqrt{-12}", r"2i\sqrt3", True), (r"\sqrt{-12}", r"2\sqrt3", False), (r"\sqrt{72}", r"6\sqrt2", True),
     ("i^3", "-i", True), ("i^3", "i", False), ("i^4", "1", True), (r"(\sqrt2)^{-3}", r"\frac{\sqrt2}{4}", True),
     (r"\sqrt2\sqrt3", r"\sqrt6", True), (r"\sqrt{4000012}", r"2\sqrt{1000003}", True), (r"\sqrt{0}", "0", True),
     (r"(x+\sqrt2)^2", r"x^2+2\sqrt2 x+2", True), (r"(x+\sqrt2)^2", r"x^2+2\sqrt2 x+4", False), (r"2^{1/2}", r"\sqrt2", True),
     ("(2x)^{-3}", r"\frac{1}{8x^3}", True), (r"\left(\frac{x+1}{y}\right)^{-2}", r"\frac{y^2}{x^2+2x+1}", True),
     ("(x+1)^0", "1", True), ("x-x", "0", True), (r"x\%", r"\frac{x}{100}", True), ("x^{100}", "x^{50}x^{50}", True),
     (r"\sqrt{27}", r"3\sqrt3", True), (r"\sqrt{48}", r"4\sqrt3", True), (r"\sqrt{2250}", r"15\sqrt{10}", True), (r"x\sqrt2\sqrt3", r"\sqrt3\sqrt2 x", True),
     (r"\sqrt{\pi}\sqrt{x}", r"\sqrt{x}\sqrt{\pi}", True), ("f(x)f(y)", "f(y)f(x)", True), ("f(x)f(y)", "f(x)^2", False),
     ("x^{100}", "x^{99}", False), (r"\frac{x}{y}+\frac{z}{y}", r"\frac{x+z}{y}", True), ("2^{100}x", "4^{50}x", True)],
)  # fmt: skip
def test_normal_forms_are_equal_exactly_for_equal_values(left: str, right: str, equal: bool) -> None:
    assert equal_forms(normal_form(parse(left)), normal_form(parse(right))) is equal


@pytest.mark.parametrize("text", [r"\frac{x}{y-y}", "(x-x)^{-1}", "(x-x)^{-2}", r"\frac{1}{\sqrt4-2}"])
def test_division_by_a_vanishing_form_is_undefined(text: str) -> None:
    with pytest.raises(Undefined):
        normal_form(parse(text))


@pytest.mark.parametrize("text", ["(x+y)^{65}", "(a+b+c+d+e+f)^{9}", "x^{10001}", r"(\sqrt2)^{201}x"])
def test_a_power_over_the_limit_is_not_expanded(text: str) -> None:
    with pytest.raises(TooLarge):
        normal_form(parse(text))
