"""Families with a whole parameter: `\\pi/4 + k\\pi` and `5\\pi/4 + n\\pi, n \\in Z` are the same set of numbers.

A member linear in its parameter is (offset, period). Two families are equal when, over the common period, the offsets are.
"""

from __future__ import annotations

import math
from fractions import Fraction

from evoltune_math.answers.algebra.numeric import approximate
from evoltune_math.answers.algebra.rational import Undefined
from evoltune_math.answers.equality.expressions import Values
from evoltune_math.answers.kinds import Answer, Group, Named, Value
from evoltune_math.answers.limits import TooLarge
from evoltune_math.answers.nodes import Node, has, num, substitute, sym, symbols, walk
from evoltune_math.answers.policy import DEFAULT

PARAMETERS = frozenset("knmlpqtNK")
MAX_OFFSETS = 400
_TOLERANCE = 1e-9


def members(answer: Answer) -> list[Node] | None:
    """The expressions of a family, its variable taken off; None when the answer is no list of values."""
    if isinstance(answer, Named):
        return members(answer.value)
    if isinstance(answer, Value):
        return [answer.node]
    if isinstance(answer, Group) and answer.brackets in ("", "{}"):
        parts = [members(i) for i in answer.items]
        return (
            None
            if not parts or any(p is None for p in parts)
            else [n for p in parts if p is not None for n in p]
        )
    return None


def same(a: Answer, b: Answer, declared: bool) -> bool:
    """Whether both are the same family. `declared`: one of them says `k in Z`; else only multiples of pi count."""
    x, y = members(a), members(b)
    if x is None or y is None:
        return False
    names = [{str(s) for n in nodes for s in symbols(n)} for nodes in (x, y)]
    if any(len(s) != 1 for s in names) or not all(s <= PARAMETERS for s in names):
        return False
    if not declared and not any(has(n, "const") for n in x):
        return False
    left, right = (_lines(nodes, next(iter(s))) for nodes, s in zip((x, y), names, strict=True))
    if left is None or right is None:
        return declared and _renamed_equal(x, y, names)
    return _same_lines(left, right)


def _lines(nodes: list[Node], name: str) -> list[tuple[float, float]] | None:
    """(offset, period) of each member, or None when one is not linear in the parameter."""
    found = []
    for node in nodes:
        try:
            values = [approximate(substitute(node, name, num(k))) for k in (0, 1, 2, 7)]
        except (Undefined, TooLarge):
            return None
        if any(v is None for v in values):
            return None
        start, one, two, seven = (float(v) for v in values if v is not None)
        period = one - start
        if (
            abs(period) < _TOLERANCE
            or abs(two - start - 2 * period) > 1e-9 * abs(period)
            or abs(seven - start - 7 * period) > 1e-8 * abs(period)
        ):
            return None
        found.append((start, abs(period)))
    return found


def _same_lines(a: list[tuple[float, float]], b: list[tuple[float, float]]) -> bool:
    unit = a[0][1]
    ratios = [Fraction(p / unit).limit_denominator(1000) for _, p in (*a, *b)]
    if any(abs(float(r) * unit - p) > 1e-8 * p for r, (_, p) in zip(ratios, (*a, *b), strict=True)):
        return False
    common = Fraction(math.lcm(*(r.numerator for r in ratios)), math.gcd(*(r.denominator for r in ratios)))
    if common > MAX_OFFSETS:
        return False
    period = float(common) * unit
    x, y = _offsets(a, period), _offsets(b, period)
    return len(x) == len(y) and all(any(_circular(p - q, period) for q in y) for p in x)


def _offsets(lines: list[tuple[float, float]], period: float) -> list[float]:
    found: list[float] = []
    for start, step in lines:
        for k in range(round(period / step)):
            offset = (start + k * step) % period
            if not any(_circular(offset - other, period) for other in found):
                found.append(offset)
    return found


def _circular(gap: float, period: float) -> bool:
    gap %= period
    return min(gap, period - gap) < _TOLERANCE * max(1.0, period)


def _renamed_equal(x: list[Node], y: list[Node], names: list[set[str]]) -> bool:
    a, b = (next(iter(s)) for s in names)
    values = Values(DEFAULT)
    renamed = [substitute(n, b, sym(a)) for n in y]
    return len(x) == len(y) and all(any(values.equal(n, m) for m in renamed) for n in x)


__all__ = ["members", "same", "walk"]
