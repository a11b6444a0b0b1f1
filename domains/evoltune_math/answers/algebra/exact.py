"""Exact arithmetic without SymPy: rational values, and the normal form of polynomials and rational functions.

`rational(node)` is the number of a tree of whole numbers, or None. `normal(node)` is (numerator, denominator) over atoms:
symbols, pi, e, i, square roots of primes, and any other subtree as it stands. Equal normal forms prove equality; different
ones prove inequality only when every atom is a plain symbol (`Form.free`). About 30 to 100 microseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from evoltune_math.answers.limits import (
    MAX_TERMS,
    TooLarge,
    bits,
    check_binomial,
    check_factorial,
    check_power,
)
from evoltune_math.answers.nodes import Node, num

Atom: TypeAlias = Node
Monomial: TypeAlias = tuple[tuple[Atom, int], ...]
Polynomial: TypeAlias = dict[Monomial, Fraction]


class Undefined(Exception):
    """Division by zero and the like: the expression has no value."""


def rational(node: Node) -> Fraction | None:
    """The exact value of a tree without symbols and roots. Raises `TooLarge`, `Undefined`."""
    op, args = node.op, node.args
    if op in ("num", "dec"):
        assert isinstance(node.value, Fraction)
        return node.value
    if op == "base":
        return _in_base(node)
    if op == "fn" and node.value not in _INTEGER_FUNCTIONS and node.value != "sqrt":
        return None
    if op not in _RATIONAL and op != "fn":
        return None
    values = []
    for arg in args:
        value = rational(arg)
        if value is None:
            return None
        values.append(value)
    result = _integer_function(str(node.value), values) if op == "fn" else _RATIONAL[op](node, values)
    if result is not None and bits(result) > 2 * 100_000:
        raise TooLarge("a number over the budget")
    return result


def _divide(_: Node, v: list[Fraction]) -> Fraction:
    if v[1] == 0:
        raise Undefined("division by zero")
    return v[0] / v[1]


def _product(_: Node, v: list[Fraction]) -> Fraction:
    total = Fraction(1)
    for value in v:
        total *= value
        if bits(total) > 200_000:
            raise TooLarge("a product over the budget")
    return total


def _power(_: Node, v: list[Fraction]) -> Fraction | None:
    base, exponent = v
    if exponent.denominator != 1:
        root = _perfect_root(base, exponent.denominator)
        if root is None:
            return None
        base = root
    if base == 0 and exponent <= 0:
        raise Undefined("zero to a power that is not positive")
    check_power(base, exponent.numerator)
    return base**exponent.numerator


def _perfect_root(value: Fraction, degree: int) -> Fraction | None:
    """The exact root of a non-negative fraction, when it has one."""
    if value < 0 or degree > 64:
        return None
    top, bottom = _integer_root(value.numerator, degree), _integer_root(value.denominator, degree)
    return None if top is None or bottom is None else Fraction(top, bottom)


def _integer_root(n: int, degree: int) -> int | None:
    approximate = round(n ** (1 / degree)) if n.bit_length() < 900 else 0
    root = math.isqrt(n) if degree == 2 else approximate
    for near in (root - 1, root, root + 1):
        if near >= 0 and near**degree == n:
            return near
    return None


def _factorial(node: Node, v: list[Fraction]) -> Fraction | None:
    n = v[0]
    if n.denominator != 1 or n < 0:
        return None
    check_factorial(int(n))
    if node.note == "!!":
        return Fraction(math.prod(range(int(n), 0, -2)))
    return Fraction(math.factorial(int(n)))


def _root(_: Node, v: list[Fraction]) -> Fraction | None:
    if v[1].denominator != 1 or not 1 <= v[1] <= 64:
        return None
    if v[0] < 0 and v[1] % 2 == 1:
        root = _perfect_root(-v[0], int(v[1]))
        return None if root is None else -root
    return _perfect_root(v[0], int(v[1]))


def _modulo(_: Node, v: list[Fraction]) -> Fraction:
    if v[1] == 0:
        raise Undefined("modulo zero")
    return v[0] % v[1]


_RATIONAL: dict[str, Callable[[Node, list[Fraction]], Fraction | None]] = {
    "add": lambda _, v: sum(v, Fraction(0)),
    "neg": lambda _, v: -v[0],
    "mul": _product,
    "div": _divide,
    "pow": _power,
    "root": _root,
    "abs": lambda _, v: abs(v[0]),
    "fact": _factorial,
    "pct": lambda _, v: v[0] / 100,
    "mod": _modulo,
    "unit": lambda _, v: v[0],
}


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


_INTEGER_FUNCTIONS = frozenset(
    ["binom", "perm", "gcd", "lcm", "floor", "ceil", "max", "min", "sgn", "conj", "Re"]
)


def _integer_function(name: str, v: list[Fraction]) -> Fraction | None:
    if name == "sqrt":
        return _perfect_root(v[0], 2)
    if name in ("max", "min"):
        return max(v) if name == "max" else min(v)
    if name in ("floor", "ceil"):
        return Fraction(math.floor(v[0]) if name == "floor" else math.ceil(v[0]))
    if name in ("conj", "Re"):
        return v[0]
    if name == "sgn":
        return Fraction((v[0] > 0) - (v[0] < 0))
    if any(x.denominator != 1 for x in v) or not v:
        return None
    whole = [int(x) for x in v]
    if name in ("gcd", "lcm"):
        return Fraction(math.gcd(*whole) if name == "gcd" else math.lcm(*whole))
    if len(whole) != 2 or min(whole) < 0:
        return None
    check_binomial(*whole)
    return Fraction(math.comb(*whole) if name == "binom" else math.perm(*whole))


@dataclass(frozen=True)
class Form:
    """numerator / denominator; `free`: each atom is a plain symbol, so that unequal forms are unequal functions."""

    top: Polynomial
    bottom: Polynomial

    @property
    def free(self) -> bool:
        return all(a.op == "sym" for p in (self.top, self.bottom) for m in p for a, _ in m)


_UNIT: Polynomial = {(): Fraction(1)}


def normal(node: Node) -> Form:
    """The normal form. Raises `TooLarge`, `Undefined`."""
    op, args = node.op, node.args
    value = rational(node) if op in ("num", "dec", "fact", "base", "pct", "fn", "mod") else None
    if value is not None:
        return Form({(): value} if value else {}, _UNIT)
    if op == "add":
        form = normal(args[0])
        for arg in args[1:]:
            form = _add(form, normal(arg))
        return form
    if op == "neg":
        form = normal(args[0])
        return Form({m: -c for m, c in form.top.items()}, form.bottom)
    if op == "mul":
        form = normal(args[0])
        for arg in args[1:]:
            other = normal(arg)
            form = Form(_times(form.top, other.top), _times(form.bottom, other.bottom))
        return form
    if op == "div":
        top, bottom = normal(args[0]), normal(args[1])
        if not bottom.top:
            raise Undefined("division by zero")
        return Form(_times(top.top, bottom.bottom), _times(top.bottom, bottom.top))
    if op == "pow":
        return _raise(node)
    if op == "fn" and node.value == "sqrt":
        return _square_root(node)
    if op == "pct":
        form = normal(args[0])
        return Form({m: c / 100 for m, c in form.top.items()}, form.bottom)
    return Form({((node._replace(note="") if op in ("sym", "const") else node, 1),): Fraction(1)}, _UNIT)


def equal_forms(a: Form, b: Form) -> bool:
    return _times(a.top, b.bottom) == _times(b.top, a.bottom)


def _add(a: Form, b: Form) -> Form:
    if a.bottom == b.bottom:
        return Form(_sum(a.top, b.top), a.bottom)
    return Form(_sum(_times(a.top, b.bottom), _times(b.top, a.bottom)), _times(a.bottom, b.bottom))


def _sum(a: Polynomial, b: Polynomial) -> Polynomial:
    total = dict(a)
    for monomial, c in b.items():
        value = total.get(monomial, Fraction(0)) + c
        if value:
            total[monomial] = value
        else:
            total.pop(monomial, None)
    return total


def _times(a: Polynomial, b: Polynomial) -> Polynomial:
    if a == _UNIT:
        return b
    if b == _UNIT:
        return a
    if len(a) * len(b) > MAX_TERMS * 8:
        raise TooLarge("a polynomial with too many terms")
    total: Polynomial = {}
    for m, c in a.items():
        for n, d in b.items():
            monomial, factor = _join(m, n)
            value = total.get(monomial, Fraction(0)) + c * d * factor
            if value:
                total[monomial] = value
            else:
                total.pop(monomial, None)
    if len(total) > MAX_TERMS:
        raise TooLarge("a polynomial with too many terms")
    return total


def _join(m: Monomial, n: Monomial) -> tuple[Monomial, Fraction]:
    """The product of two monomials, with i^2 = -1 and sqrt(p)^2 = p applied."""
    if not m:
        return n, Fraction(1)
    if not n:
        return m, Fraction(1)
    powers = dict(m)
    for atom, k in n:
        powers[atom] = powers.get(atom, 0) + k
    factor = Fraction(1)
    for atom, k in list(powers.items()):
        if atom.op == "const" and atom.value == "i" and k > 1:
            factor *= (-1) ** (k // 2)
            powers[atom] = k % 2
        elif atom.op == "fn" and atom.value == "sqrt" and k > 1 and atom.args[0].op == "num":
            radicand = atom.args[0].value
            assert isinstance(radicand, Fraction)
            factor *= radicand ** (k // 2)
            powers[atom] = k % 2
    return tuple(sorted(((a, k) for a, k in powers.items() if k), key=_order)), factor


def _order(factor: tuple[Atom, int]) -> str:
    atom = factor[0]
    return f"{atom.value}{atom.op}{atom.args if atom.args else ''}"


def _raise(node: Node) -> Form:
    base, exponent = node.args
    n = rational(exponent)
    if n is None or n.denominator != 1:
        if n == Fraction(1, 2):
            return _square_root(Node("fn", (base,), "sqrt"))
        return Form({((node, 1),): Fraction(1)}, _UNIT)
    if abs(n) > 64:
        value = rational(node)
        if value is not None:
            return Form({(): value} if value else {}, _UNIT)
    form, count = normal(base), abs(int(n))
    if len(form.top) == 1 == len(form.bottom) and count <= 10_000:
        top, bottom = _monomial_power(form.top, count), _monomial_power(form.bottom, count)
    elif count <= 64:
        top = bottom = _UNIT
        for _ in range(count):
            top, bottom = _times(top, form.top), _times(bottom, form.bottom)
    else:
        raise TooLarge("a power with too many terms")
    if n < 0 and not top:
        raise Undefined("division by zero")
    return Form(top, bottom) if n >= 0 else Form(bottom, top)


def _monomial_power(p: Polynomial, count: int) -> Polynomial:
    ((monomial, c),) = p.items()
    check_power(c, count)
    if any(a.op != "sym" for a, _ in monomial):
        if count > 200:
            raise TooLarge("a large power of an irrational number")
        result = _UNIT
        for _ in range(count):
            result = _times(result, p)
        return result
    return {tuple((a, k * count) for a, k in monomial) if count else (): c**count}


def _square_root(node: Node) -> Form:
    value = rational(node.args[0])
    if value is None or bits(value) > 60:
        return Form({((node, 1),): Fraction(1)}, _UNIT)
    outside, radicands = Fraction(1, value.denominator), _primes(abs(value.numerator) * value.denominator)
    monomial: list[tuple[Atom, int]] = [(Node("const", (), "i"), 1)] if value < 0 else []
    for prime, k in radicands.items():
        outside *= prime ** (k // 2)
        if k % 2:
            monomial.append((Node("fn", (num(prime),), "sqrt"), 1))
    return Form({tuple(sorted(monomial, key=_order)): outside} if value else {}, _UNIT)


def _primes(n: int) -> dict[int, int]:
    """Factors by trial division up to 10,000; what is left over counts as a prime."""
    found: dict[int, int] = {}
    p = 2
    while p * p <= n and p < 10_000:
        while n % p == 0:
            found[p] = found.get(p, 0) + 1
            n //= p
        p += 1 if p == 2 else 2
    if n > 1:
        root = math.isqrt(n)
        if root * root == n:
            found[root] = found.get(root, 0) + 2
        else:
            found[n] = found.get(n, 0) + 1
    return found
