"""When a decimal stands for an exact value: how many digits it was written with, and how far it may be off."""

from fractions import Fraction

from evoltune_math.answers.algebra.numeric import real_value
from evoltune_math.answers.algebra.rational import rational
from evoltune_math.answers.nodes import Node

FLOAT_DIGITS = 15
"""A binary double prints 15 to 17 digits; `0.30000000000000004` is 0.3."""
_FLOAT_ERROR = Fraction(23, 10**17)


def _literal(node: Node) -> str:
    """The decimal as written, or "" for anything else."""
    while node.op in ("neg", "pct", "unit"):
        node = node.args[0]
    return node.note.lower() if node.op == "dec" else ""


def significant_digits(node: Node) -> int:
    """Of a literal decimal; 0 for anything else, and for a repeating decimal, which is exact."""
    literal = _literal(node)
    mantissa = literal.partition("e")[0]
    if "." not in mantissa or "\\" in literal or "(" in literal:
        return 0
    return sum(c.isdigit() for c in mantissa.replace(".", "").lstrip("0"))


def _last_place(node: Node) -> Fraction:
    """The value of one unit in the last place of a literal decimal."""
    mantissa, _, exponent = _literal(node).partition("e")
    places = sum(c.isdigit() for c in mantissa.partition(".")[2])
    unit = Fraction(1, 10**places) * Fraction(10) ** int(exponent or 0)
    return unit / 100 if node.op == "pct" or (node.op == "neg" and node.args[0].op == "pct") else unit


def _tolerance(decimal: Node, digits: int, value: Fraction) -> Fraction:
    """One unit in the last place; for a printed double at least its rounding error."""
    unit = _last_place(decimal)
    return max(unit, abs(value) * _FLOAT_ERROR) if digits > FLOAT_DIGITS else unit


def rounds(a: Node, b: Node, x: Fraction, y: Fraction, least_digits: int) -> bool:
    """Whether one of `a` = x and `b` = y is a decimal that rounds or truncates the other.

    Args:
        least_digits: A decimal with fewer significant digits stands for nothing but itself. 0: every decimal does.
    """
    if not least_digits:
        return False
    digits_a, digits_b = significant_digits(a), significant_digits(b)
    if digits_a and digits_b:  # two decimals: only the noise of binary floats is forgiven
        long, short = max(digits_a, digits_b), min(digits_a, digits_b)
        return long >= FLOAT_DIGITS > short and abs(x - y) <= abs(x) / 10**FLOAT_DIGITS
    if digits_b:
        a, x, digits_a, y = b, y, digits_b, x
    return digits_a > 0 and digits_a >= least_digits and abs(x - y) < _tolerance(a, digits_a, y)


def rounds_irrational(decimal: Node, irrational: Node, least_digits: int) -> bool:
    """Whether a rational tree is a decimal that rounds or truncates an irrational one."""
    digits = significant_digits(decimal)
    if not digits or digits < least_digits:
        return False
    value, exact = real_value(irrational), rational(decimal)
    if value is None or exact is None:
        return False
    mp = value.context
    tolerance = _tolerance(decimal, digits, exact)
    gap = abs(value - mp.mpf(exact.numerator) / exact.denominator)
    return bool(gap < mp.mpf(tolerance.numerator) / tolerance.denominator)


def both_round_one_value(a: Node, b: Node) -> bool | None:
    """Whether two decimals may be roundings of one number; None if one is no decimal."""
    if not significant_digits(a) or not significant_digits(b):
        return None
    x, y, unit_a, unit_b = rational(a), rational(b), _last_place(a), _last_place(b)
    assert x is not None and y is not None
    return x == y or (unit_a != unit_b and abs(x - y) <= max(unit_a, unit_b))
