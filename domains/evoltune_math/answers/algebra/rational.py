"""Exact values of trees without symbols and irrational roots: `rational(parse("2 1/2"))` -> 5/2.

Invariant: the size of a result is estimated by logarithms before it is computed. `9^{9^{9}}` is five nodes, but its value
has 1.2e9 bits: `check_power` refuses it. An answer over a limit is still compared as text and by structure.
"""

import math
import operator
from collections.abc import Callable
from fractions import Fraction

from evoltune_math.answers.nodes import Node

MAX_BITS = 100_000
MAX_ROOT = 64
MAX_FLOAT_BITS = 900


class TooLarge(Exception):
    """The value would exceed a limit, so it is not computed."""


def bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def check_power(base: Fraction, exponent: int) -> None:
    """Raises `TooLarge` if `base ** exponent` exceeds MAX_BITS; 0, 1 and -1 may have any exponent."""
    if abs(base) != 1 and base != 0 and bits(base) * abs(exponent) > MAX_BITS:
        raise TooLarge(f"a power of {bits(base) * abs(exponent)} bits, the limit is {MAX_BITS}")


class Undefined(Exception):
    """Division by zero and the like: the expression has no value."""


def rational(node: Node) -> Fraction | None:
    """The exact value, or None if it is not known to be rational. Raises `TooLarge`, `Undefined`."""
    if node.op in ("num", "dec"):
        assert isinstance(node.value, Fraction)
        return node.value
    if node.op == "base":
        return _in_base(node)
    operation = _FUNCTIONS.get(str(node.value)) if node.op == "fn" else _OPERATIONS.get(node.op)
    if operation is None:
        return None
    values = []
    for arg in node.args:
        value = rational(arg)
        if value is None:
            return None
        values.append(value)
    try:
        result = operation(*values) if node.op != "fact" else _factorial(values[0], str(node.value))
    except ZeroDivisionError as error:
        raise Undefined(str(error)) from None
    if result is not None and bits(result) > 2 * MAX_BITS:
        raise TooLarge(f"a number of {bits(result)} bits, the limit is {2 * MAX_BITS}")
    return result


def known_rational(node: Node) -> Fraction | None:
    """The exact value; None also if it is too large or undefined."""
    try:
        return rational(node)
    except (TooLarge, Undefined, OverflowError):
        return None


def _product(*factors: Fraction) -> Fraction:
    total = Fraction(1)
    for factor in factors:
        total *= factor
        if bits(total) > 2 * MAX_BITS:
            raise TooLarge(f"a product of {bits(total)} bits, the limit is {2 * MAX_BITS}")
    return total


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1:
        root = _perfect_root(base, exponent.denominator)
        if root is None:
            return None
        base = root
    if base == 0 and exponent <= 0:
        raise Undefined("zero to a power that is not positive")
    check_power(base, exponent.numerator)
    return base**exponent.numerator


def _root(value: Fraction, degree: Fraction) -> Fraction | None:
    if degree.denominator != 1 or not 1 <= degree <= MAX_ROOT:
        return None
    root = _perfect_root(abs(value) if degree % 2 == 1 else value, int(degree))
    return -root if root is not None and value < 0 else root


def _perfect_root(value: Fraction, degree: int) -> Fraction | None:
    """The rational root of a non-negative fraction, if it has one."""
    if value < 0 or degree > MAX_ROOT:
        return None
    top, bottom = _integer_root(value.numerator, degree), _integer_root(value.denominator, degree)
    return None if top is None or bottom is None else Fraction(top, bottom)


def _integer_root(n: int, degree: int) -> int | None:
    near = math.isqrt(n) if degree == 2 else 0
    if degree != 2 and n.bit_length() < MAX_FLOAT_BITS:
        near = round(n ** (1 / degree))
    return next((r for r in (near - 1, near, near + 1) if r >= 0 and r**degree == n), None)


def _factorial(n: Fraction, sign: str) -> Fraction | None:
    if n.denominator != 1 or n < 0:
        return None
    if n > 12 and n * math.log2(n / math.e) > MAX_BITS:  # about the bits of n!
        raise TooLarge(f"the factorial of {n} has more than {MAX_BITS} bits")
    return Fraction(math.prod(range(int(n), 0, -2)) if sign == "!!" else math.factorial(int(n)))


def _in_base(node: Node) -> Fraction | None:
    base = node.args[0].value
    assert isinstance(base, Fraction)
    whole, _, tail = node.note.partition(".")
    if base.denominator != 1 or not 2 <= base <= 36:
        return None
    try:
        return Fraction(int(whole + tail, int(base)), int(base) ** len(tail))
    except ValueError:
        raise Undefined(f"{node.note} has a digit that base {base} lacks") from None


_Operation = Callable[..., Fraction | None]


def _of_integers(compute: Callable[..., int], *, counting: bool = False) -> _Operation:
    """The function for integers only. `counting`: a binomial or permutation, of two natural numbers of bounded size."""

    def apply(*values: Fraction) -> Fraction | None:
        if not values or any(v.denominator != 1 for v in values):
            return None
        if counting:
            if len(values) != 2 or min(values) < 0:
                return None
            n, k = map(int, values)
            if n > 1 and min(k, abs(n - k)) * math.log2(n) > MAX_BITS:  # C(n, k) < n^min(k, n-k)
                raise TooLarge(f"the binomial of {n} and {k} may have more than {MAX_BITS} bits")
        return Fraction(compute(*map(int, values)))

    return apply


_OPERATIONS: dict[str, _Operation] = {
    "add": lambda *terms: sum(terms, Fraction(0)),
    "neg": operator.neg,
    "mul": _product,
    "div": operator.truediv,
    "pow": _power,
    "root": _root,
    "abs": lambda x, *_: abs(x),
    "fact": _factorial,
    "pct": lambda x: x / 100,
    "mod": operator.mod,
    "unit": lambda x: x,
}
_FUNCTIONS: dict[str, _Operation] = {
    "sqrt": lambda x, *_: _perfect_root(x, 2),
    "max": lambda *values: max(values),
    "min": lambda *values: min(values),
    "floor": lambda x, *_: Fraction(math.floor(x)),
    "ceil": lambda x, *_: Fraction(math.ceil(x)),
    "conj": lambda x, *_: x,
    "Re": lambda x, *_: x,
    "sgn": lambda x, *_: Fraction((x > 0) - (x < 0)),
    "gcd": _of_integers(math.gcd),
    "lcm": _of_integers(math.lcm),
    "binom": _of_integers(math.comb, counting=True),
    "perm": _of_integers(math.perm, counting=True),
}
