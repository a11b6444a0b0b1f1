"""Equality of two expressions, cheap to dear: structure, exact rational, exact normal form, numeric probes, SymPy.

`Values(policy).equal(a, b)` -> bool; `.method` names the stage that decided. Nothing over the budget is ever computed.
"""

from __future__ import annotations

from fractions import Fraction

from evoltune_math.answers.algebra import numeric
from evoltune_math.answers.algebra.normal_form import equal_forms, normal_form
from evoltune_math.answers.algebra.rational import Undefined, rational
from evoltune_math.answers.limits import TooLarge
from evoltune_math.answers.nodes import Node, walk
from evoltune_math.answers.policy import Policy

_NOISE_DIGITS = 15
"""A double prints 15 to 17 digits; `0.30000000000000004` is 0.3."""


class Values:
    """One comparison's expressions under one policy."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.method = "text"

    def equal(self, a: Node, b: Node) -> bool:
        if a == b:
            self.method = "structure"
            return _defined(a)
        try:
            return self._decide(a, b)
        except (Undefined, TooLarge, RecursionError) as refused:
            self.method = "budget" if isinstance(refused, TooLarge) else "undefined"
            return False

    def _decide(self, a: Node, b: Node) -> bool:
        x, y = rational(a), rational(b)
        if x is not None and y is not None:
            self.method = "rational"
            return x == y or self._rounds(a, b, x, y)
        if (x is None) != (y is None) and self.policy.decimal_digits:
            rounded = self._rounds_to(a, b) if x is not None else self._rounds_to(b, a)
            if rounded:
                self.method = "decimal"
                return True
        if _inexact(a) or _inexact(b):
            self.method = "structure"
            return _same_shape(a, b)
        try:
            form, other = normal_form(a), normal_form(b)
            self.method = "normal form"
            if equal_forms(form, other):
                return True
            if form.is_free and other.is_free:
                return False
        except TooLarge:
            pass
        self.method = "numeric"
        verdict = numeric.agree(a, b)
        if verdict is None:
            from evoltune_math.answers.algebra import symbolic

            self.method = "sympy"
            verdict = symbolic.equal(a, b)
        return verdict

    def _rounds(self, a: Node, b: Node, x: Fraction, y: Fraction) -> bool:
        """A long decimal against an exact number that it is the rounding of."""
        if not self.policy.decimal_digits:
            return False
        digits_a, digits_b = _decimal_digits(a), _decimal_digits(b)
        if digits_a and digits_b:  # two decimals: only the noise of binary floats
            long, short = max(digits_a, digits_b), min(digits_a, digits_b)
            return long >= _NOISE_DIGITS and short < _NOISE_DIGITS and abs(x - y) <= abs(x) / 10**15
        if digits_a:
            return self._within(a, digits_a, x, y)
        return bool(digits_b) and self._within(b, digits_b, y, x)

    def _within(self, written: Node, digits: int, decimal: Fraction, exact: Fraction) -> bool:
        return digits >= self.policy.decimal_digits and abs(decimal - exact) < _slack(written, digits, exact)

    def _rounds_to(self, decimal: Node, irrational: Node) -> bool:
        digits = _decimal_digits(decimal)
        if digits < self.policy.decimal_digits or not digits:
            return False
        value = numeric.real_value(irrational)
        exact = rational(decimal)
        if value is None or exact is None:
            return False
        mp = value.context
        slack = _slack(decimal, digits, exact)
        return bool(
            abs(value - mp.mpf(exact.numerator) / exact.denominator)
            < mp.mpf(slack.numerator) / slack.denominator
        )


def _slack(written: Node, digits: int, value: Fraction) -> Fraction:
    """One unit in the last place; for a printed double what it may be off."""
    unit = _unit_in_last_place(written)
    return max(unit, abs(value) * Fraction(23, 10**17)) if digits > _NOISE_DIGITS else unit


def apart(a: Node, b: Node) -> bool | None:
    """For two decimals: whether they may be roundings of one number; None for anything else."""
    if not _decimal_digits(a) or not _decimal_digits(b):
        return None
    x, y = rational(a), rational(b)
    assert x is not None and y is not None
    return abs(x - y) <= max(_unit_in_last_place(a), _unit_in_last_place(b)) and (
        _unit_in_last_place(a) != _unit_in_last_place(b) or x == y
    )


def _defined(node: Node) -> bool:
    """`0/0` and `1/0` are equal to nothing, themselves included."""
    return not any(n.op == "div" and n.args[1].op == "num" and n.args[1].value == 0 for n in walk(node))


def _inexact(node: Node) -> bool:
    """Parts that have no value at all: text, infinity, sets, tuples."""
    return any(n.op in ("text", "seq", "rel", "union", "inter", "minus", "builder", "cases", "ratio", "pmod", "row") or (n.op == "const" and n.value not in ("pi", "e", "i")) for n in walk(node) if n.op != "bigop") and not any(n.op in ("bigop",) or (n.op == "matrix" and n.note == "det") or n.op == "norm" for n in walk(node))  # fmt: skip


def _same_shape(a: Node, b: Node) -> bool:
    """Structural equality that reads through notes, `+x`, and the order of sums and products."""
    if a.op != b.op:
        return False
    if a.op in ("add", "mul") and len(a.args) == len(b.args):
        left = list(b.args)
        for item in a.args:
            at = next((i for i, other in enumerate(left) if _same_shape(item, other)), None)
            if at is None:
                return False
            left.pop(at)
        return True
    if (
        a.value != b.value
        or len(a.args) != len(b.args)
        or (not a.args and a.op in ("base",) and a.note != b.note)
    ):
        return False
    return all(_same_shape(x, y) for x, y in zip(a.args, b.args, strict=True))


def _decimal(node: Node) -> Node | None:
    while node.op in ("neg", "pct", "unit"):
        node = node.args[0]
    return node if node.op == "dec" else None


def _decimal_digits(node: Node) -> int:
    """Significant digits of a literal decimal; 0 for anything else."""
    found = _decimal(node)
    if found is None:
        return 0
    mantissa = found.note.lower().partition("e")[0]
    if "." not in mantissa:
        return 0
    return (
        sum(c.isdigit() for c in mantissa.replace(".", "").lstrip("0"))
        if not set(found.note) & set("\\(")
        else 0
    )


def _unit_in_last_place(node: Node) -> Fraction:
    found = _decimal(node)
    assert found is not None
    mantissa, _, exponent = found.note.lower().partition("e")
    places = len("".join(c for c in mantissa.partition(".")[2] if c.isdigit()))
    unit = Fraction(1, 10**places) * Fraction(10) ** int(exponent or 0)
    return unit / 100 if node.op == "pct" or (node.op == "neg" and node.args[0].op == "pct") else unit
