"""The normal form of polynomials and rational functions, without SymPy; it takes about 30 to 100 microseconds.

`normal_form(node)` is numerator / denominator over atoms: symbols, pi, e, i, square roots of primes, and any other subtree
as it is. Equal forms prove that two expressions are equal. Different forms prove that they are not only if every atom is a
plain symbol (`Form.is_free`).

    equal_forms(normal_form(parse("1/(\\\\sqrt2-1)")), normal_form(parse("\\\\sqrt2+1")))   # True
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from itertools import repeat
from typing import TypeAlias

from evoltune_math.answers.algebra.rational import TooLarge, Undefined, bits, check_power, rational
from evoltune_math.answers.nodes import IMAGINARY, Node, difference, fn, num

Atom: TypeAlias = Node
Monomial: TypeAlias = tuple[tuple[Atom, int], ...]
Polynomial: TypeAlias = dict[Monomial, Fraction]
MAX_TERMS = 400  # of a polynomial while it is expanded
MAX_EXPANDED_POWER = 64
MAX_MONOMIAL_POWER = 10_000
MAX_RADICAL_POWER = 200
MAX_RADICAND_BITS = 60
MAX_TRIAL_DIVISOR = 10_000
_LITERALS = ("num", "dec", "fact", "base", "pct", "fn", "mod")
"""Ops whose value is computed at once if it is rational; the others are composed of the forms of their parts."""


@dataclass(frozen=True)
class Form:
    """top / bottom."""

    top: Polynomial
    bottom: Polynomial

    @property
    def is_free(self) -> bool:
        """Whether each atom is a plain symbol, so that unequal forms are unequal functions."""
        return all(a.op == "sym" for p in (self.top, self.bottom) for m in p for a, _ in m)

    @property
    def denominator(self) -> Fraction | None:
        """The denominator if it is a number."""
        return self.bottom[()] if list(self.bottom) == [()] else None


_ONE: Polynomial = {(): Fraction(1)}


def normal_form(node: Node) -> Form:
    """Raises `TooLarge`, `Undefined`."""
    op, args = node.op, node.args
    value = rational(node) if op in _LITERALS else None
    if value is not None:
        return _constant(value)
    if op == "add":
        return reduce(_add, map(normal_form, args))
    if op == "neg":
        return _scaled(normal_form(args[0]), Fraction(-1))
    if op == "pct":
        return _scaled(normal_form(args[0]), Fraction(1, 100))
    if op == "mul":
        return reduce(_multiply, map(normal_form, args))
    if op == "div":
        top, bottom = normal_form(args[0]), normal_form(args[1])
        if not bottom.top:
            raise Undefined("division by zero")
        return _multiply(top, Form(bottom.bottom, bottom.top))
    if op == "pow":
        return _power(node)
    if op == "fn" and node.value == "sqrt":
        return _square_root(node)
    return _atom(node._replace(note="") if op in ("sym", "const") else node)


def normal_difference(left: Node, right: Node) -> Form | None:
    """The form of left - right, or None if it is too large or undefined."""
    try:
        return normal_form(difference(left, right))
    except (TooLarge, Undefined):
        return None


def equal_forms(a: Form, b: Form) -> bool:
    return _times(a.top, b.bottom) == _times(b.top, a.bottom)


def _constant(value: Fraction) -> Form:
    return Form({(): value} if value else {}, _ONE)


def _atom(node: Node) -> Form:
    return Form({((node, 1),): Fraction(1)}, _ONE)


def _scaled(form: Form, factor: Fraction) -> Form:
    return Form({m: c * factor for m, c in form.top.items()}, form.bottom)


def _add(a: Form, b: Form) -> Form:
    if a.bottom == b.bottom:
        return Form(_sum(a.top, b.top.items()), a.bottom)
    return Form(_sum(_times(a.top, b.bottom), _times(b.top, a.bottom).items()), _times(a.bottom, b.bottom))


def _multiply(a: Form, b: Form) -> Form:
    return Form(_times(a.top, b.top), _times(a.bottom, b.bottom))


def _sum(start: Polynomial, terms: Iterable[tuple[Monomial, Fraction]]) -> Polynomial:
    """`start` plus the terms; those that cancel are left out."""
    total = dict(start)
    for monomial, c in terms:
        value = total.get(monomial, 0) + c
        if value:
            total[monomial] = value
        else:
            total.pop(monomial, None)
    return total


def _times(a: Polynomial, b: Polynomial) -> Polynomial:
    if a == _ONE:
        return b
    if b == _ONE:
        return a
    if len(a) * len(b) > MAX_TERMS * 8:
        raise TooLarge(f"a product of {len(a)} by {len(b)} terms, the limit is {MAX_TERMS}")
    products = ((_joined(m, n), c * d) for m, c in a.items() for n, d in b.items())
    total = _sum({}, ((monomial, factor * c) for (monomial, factor), c in products))
    if len(total) > MAX_TERMS:
        raise TooLarge(f"a polynomial of {len(total)} terms, the limit is {MAX_TERMS}")
    return total


def _joined(m: Monomial, n: Monomial) -> tuple[Monomial, Fraction]:
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
        square = _square(atom) if k > 1 else None
        if square is not None:
            factor *= square ** (k // 2)
            powers[atom] = k % 2
    return tuple(sorted(((a, k) for a, k in powers.items() if k), key=_order)), factor


def _square(atom: Atom) -> Fraction | None:
    """The square of an atom, if it is rational."""
    if atom.op == "const" and atom.value == "i":
        return Fraction(-1)
    if atom.op == "fn" and atom.value == "sqrt" and atom.args[0].op == "num":
        radicand = atom.args[0].value
        assert isinstance(radicand, Fraction)
        return radicand
    return None


def _order(factor: tuple[Atom, int]) -> str:
    atom = factor[0]
    return f"{atom.value}{atom.op}{atom.args if atom.args else ''}"


def _power(node: Node) -> Form:
    base, exponent = node.args
    n = rational(exponent)
    if n is None or n.denominator != 1:
        return _square_root(fn("sqrt", base)) if n == Fraction(1, 2) else _atom(node)
    value = rational(node) if abs(n) > MAX_EXPANDED_POWER else None
    if value is not None:
        return _constant(value)
    form, count = normal_form(base), abs(int(n))
    if len(form.top) == 1 == len(form.bottom) and count <= MAX_MONOMIAL_POWER:
        top, bottom = _monomial_power(form.top, count), _monomial_power(form.bottom, count)
    elif count <= MAX_EXPANDED_POWER:
        top, bottom = _repeated(form.top, count), _repeated(form.bottom, count)
    else:
        raise TooLarge(f"a sum to the power {count}, the limit is {MAX_EXPANDED_POWER}")
    if n < 0 and not top:
        raise Undefined("division by zero")
    return Form(top, bottom) if n >= 0 else Form(bottom, top)


def _repeated(p: Polynomial, count: int) -> Polynomial:
    return reduce(_times, repeat(p, count), _ONE)


def _monomial_power(p: Polynomial, count: int) -> Polynomial:
    ((monomial, c),) = p.items()
    check_power(c, count)
    if any(a.op != "sym" for a, _ in monomial):
        if count > MAX_RADICAL_POWER:
            raise TooLarge(f"an irrational number to the power {count}, the limit is {MAX_RADICAL_POWER}")
        return _repeated(p, count)
    return {tuple((a, k * count) for a, k in monomial) if count else (): c**count}


def _square_root(node: Node) -> Form:
    """The root with square factors taken out: sqrt(12) = 2 sqrt(3), sqrt(1/2) = sqrt(2) / 2."""
    value = rational(node.args[0])
    if value is None or bits(value) > MAX_RADICAND_BITS:
        return _atom(node)
    outside = Fraction(1, value.denominator)
    monomial: list[tuple[Atom, int]] = [(IMAGINARY, 1)] if value < 0 else []
    for prime, k in _prime_factors(abs(value.numerator) * value.denominator).items():
        outside *= prime ** (k // 2)
        if k % 2:
            monomial.append((fn("sqrt", num(prime)), 1))
    return Form({tuple(sorted(monomial, key=_order)): outside} if value else {}, _ONE)


def _prime_factors(n: int) -> dict[int, int]:
    """Prime -> exponent, by trial division up to MAX_TRIAL_DIVISOR; what is left counts as a prime or its square."""
    found: dict[int, int] = {}
    p = 2
    while p * p <= n and p < MAX_TRIAL_DIVISOR:
        while n % p == 0:
            found[p] = found.get(p, 0) + 1
            n //= p
        p += 1 if p == 2 else 2
    if n > 1:
        root = math.isqrt(n)
        prime, k = (root, 2) if root * root == n else (n, 1)
        found[prime] = found.get(prime, 0) + k
    return found
