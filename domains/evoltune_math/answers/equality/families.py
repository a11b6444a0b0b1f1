"""Families with an integer parameter: `\\pi/4 + k\\pi` and `5\\pi/4 + n\\pi, n \\in Z` are the same set of numbers.

A member that is linear in its parameter is (offset, period). Two families are equal if their offsets are, over a common
period.
"""

import math
from fractions import Fraction

from evoltune_math.answers.algebra.numeric import approximate
from evoltune_math.answers.equality.expressions import Expressions
from evoltune_math.answers.kinds import Answer, Group, Value, unnamed
from evoltune_math.answers.nodes import Node, has, num, substitute, sym, symbols
from evoltune_math.answers.policy import DEFAULT

PARAMETERS = frozenset("knmlpqtNK")
MAX_OFFSETS = 400
_TOLERANCE = 1e-9

Progression = tuple[float, float]
"""(offset, period)."""


def same_family(a: Answer, b: Answer, declared: bool) -> bool:
    """Whether both are the same family. `declared`: an answer says `k \\in Z`; otherwise only multiples of pi count."""
    x, y = _members(a), _members(b)
    if not x or not y:
        return False
    parameter_x, parameter_y = _parameter(x), _parameter(y)
    if parameter_x is None or parameter_y is None:
        return False
    if not declared and not any(has(n, "const") for n in x):
        return False
    left, right = _progressions(x, parameter_x), _progressions(y, parameter_y)
    if left is not None and right is not None:
        return _same_progressions(left, right)
    return declared and _equal_after_renaming(x, [substitute(n, parameter_y, sym(parameter_x)) for n in y])


def _members(answer: Answer) -> list[Node]:
    """The expressions of a family; none if the answer is not a list of values."""
    answer = unnamed(answer)
    if isinstance(answer, Value):
        return [answer.node]
    if not isinstance(answer, Group) or answer.brackets not in ("", "{}"):
        return []
    parts = [_members(i) for i in answer.items]
    return [n for part in parts for n in part] if all(parts) else []


def _parameter(nodes: list[Node]) -> str | None:
    names = {name for n in nodes for name in symbols(n)}
    return names.pop() if len(names) == 1 and names <= PARAMETERS else None


def _progressions(nodes: list[Node], parameter: str) -> list[Progression] | None:
    """Offset and period of each member, or None if one is not linear in the parameter."""
    found = []
    for node in nodes:
        values = [approximate(substitute(node, parameter, num(k))) for k in (0, 1, 2, 7)]
        known = [v for v in values if v is not None]
        if len(known) < len(values):
            return None
        start, one, two, seven = known
        period = one - start
        if (
            abs(period) < _TOLERANCE
            or abs(two - start - 2 * period) > 1e-9 * abs(period)
            or abs(seven - start - 7 * period) > 1e-8 * abs(period)
        ):
            return None
        found.append((start, abs(period)))
    return found


def _same_progressions(a: list[Progression], b: list[Progression]) -> bool:
    unit = a[0][1]
    periods = [p for _, p in (*a, *b)]
    ratios = [Fraction(p / unit).limit_denominator(1000) for p in periods]
    if any(abs(float(r) * unit - p) > 1e-8 * p for r, p in zip(ratios, periods, strict=True)):
        return False
    common = Fraction(math.lcm(*(r.numerator for r in ratios)), math.gcd(*(r.denominator for r in ratios)))
    if common > MAX_OFFSETS:
        return False
    period = float(common) * unit
    x, y = _offsets(a, period), _offsets(b, period)
    return len(x) == len(y) and all(any(_is_multiple(p - q, period) for q in y) for p in x)


def _offsets(progressions: list[Progression], period: float) -> list[float]:
    """The distinct members in [0, period)."""
    found: list[float] = []
    for start, step in progressions:
        for k in range(round(period / step)):
            offset = (start + k * step) % period
            if not any(_is_multiple(offset - other, period) for other in found):
                found.append(offset)
    return found


def _is_multiple(gap: float, period: float) -> bool:
    gap %= period
    return min(gap, period - gap) < _TOLERANCE * max(1.0, period)


def _equal_after_renaming(x: list[Node], y: list[Node]) -> bool:
    expressions = Expressions(DEFAULT)
    return len(x) == len(y) and all(any(expressions.equal(n, m) for m in y) for n in x)
