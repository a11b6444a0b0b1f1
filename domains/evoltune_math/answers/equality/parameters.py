"""Answers with a parameter: arbitrary constants (`+ C`, `C_1 e^x`), whose letters do not matter, and integer families.

`\\pi/4 + k\\pi` and `5\\pi/4 + n\\pi, n \\in Z` are the same family: a member that is linear in its parameter is
(offset, period), and two families are equal if their offsets are, over a common period.
"""

import math
import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice, permutations

from evoltune_math.answers.algebra.evaluation import approximate
from evoltune_math.answers.equality.expressions import Expressions
from evoltune_math.answers.kinds import Answer, Group, Value, unnamed
from evoltune_math.answers.nodes import Node, add, complete, difference, num, substitute, sym, symbols, walk
from evoltune_math.answers.policy import DEFAULT

_ADDED = frozenset(["C", "c", "K", "k", "c_1", "C_1", "C_0", "const"])
_ARBITRARY = re.compile(r"[cCkKABDE]|[cCkKA]_\d")
_MARKED = re.compile(r"C|[cC]_\d")
_NUMBERED = re.compile(r"[cC]_\d")
"""Letters that mark a constant as arbitrary wherever they stand. Another letter is one if the other answer marks it so:
`C e^x` = `A e^x`, but `kx` is not `cx`."""
MAX_CONSTANTS = 3
MAX_SYMBOLS = 4
_SHIFTS = (Fraction(3, 7), Fraction(17, 11), Fraction(29, 9))
PARAMETERS = frozenset("knmlpqtNK")
MAX_OFFSETS = 400
_TOLERANCE = 1e-9
Progression = tuple[float, float]  # (offset, period)


def equal_up_to_constants(expressions: Expressions, x: Node, y: Node, *, may_be_missing: bool) -> bool:
    """`x^2 + C` = `x^2 + K` and `C_1 e^x` = `A e^x`. `may_be_missing`: `x^2` = `x^2 + C` too."""
    if any(expressions.equal(x, renamed) for renamed in _renamings(x, y)):
        return True
    added = _added_constant(x), _added_constant(y)
    if added == (None, None) or (None in added and not may_be_missing):
        return False
    rest_x, rest_y = _without(x, added[0]), _without(y, added[1])
    if not symbols(rest_x) or not symbols(rest_y):
        return False
    return expressions.equal(rest_x, rest_y) or _is_constant(expressions, difference(rest_x, rest_y))


def _renamings(x: Node, y: Node) -> Iterator[Node]:
    """`y` with its constants named as those of `x`, in every order, also where both number them; nothing if another name differs."""
    names_x, names_y = symbols(x), symbols(y)
    if names_x == names_y:
        constants = sorted(n for n in names_x if _NUMBERED.fullmatch(n))
        orders = permutations(map(sym, constants)) if len(constants) <= MAX_CONSTANTS else iter(())
        for order in islice(orders, 1, None):
            yield substitute(y, dict(zip(constants, order, strict=True)))
        return
    new, old = sorted(names_x - names_y), sorted(names_y - names_x)
    if len(new) != len(old) or not 1 <= len(new) <= MAX_CONSTANTS or not names_x & names_y:
        return
    if not all(_ARBITRARY.fullmatch(n) for n in (*new, *old)):
        return
    if not any(all(map(_MARKED.fullmatch, letters)) for letters in (new, old)):
        return
    for order in permutations(map(sym, new)):
        yield substitute(y, dict(zip(old, order, strict=True)))


def _added_constant(node: Node) -> Node | None:
    """The one constant that is added and occurs nowhere else."""
    if node.op != "add":
        return None
    found = [a for a in node.args if a.op == "sym" and str(a.value) in _ADDED]
    is_alone = len(found) == 1 and all(str(found[0].value) not in symbols(a) for a in node.args if a != found[0])
    return found[0] if is_alone else None


def _without(node: Node, term: Node | None) -> Node:
    """The sum without one of its terms."""
    rest = [a for a in node.args if a != term]
    return node if term is None else rest[0] if len(rest) == 1 else add(*rest)


def _is_constant(expressions: Expressions, node: Node) -> bool:
    """Whether the expression has the same value at several points."""
    names = sorted(symbols(node))
    if not 1 <= len(names) <= MAX_SYMBOLS:
        return False
    points = [{name: num(shift + Fraction(k, 5)) for k, name in enumerate(names)} for shift in _SHIFTS]
    first, second, third = (substitute(node, point) for point in points)
    return expressions.equal(first, second) and expressions.equal(second, third)


def same_family(a: Answer, b: Answer, declared: bool) -> bool:
    """Whether both are the same family. `declared`: an answer says `k \\in Z`; otherwise only multiples of pi count."""
    x, y = _members(a), _members(b)
    if in_degrees(a) != in_degrees(b) and any(map(_has_pi, (*x, *y))):
        x, y = _in_radians(a, x), _in_radians(b, y)
    if not x or not y:
        return False
    parameter_x, parameter_y = _parameter(x), _parameter(y)
    if parameter_x is None or parameter_y is None or not (declared or any(map(_has_pi, x))):
        return False
    left, right = _progressions(x, parameter_x), _progressions(y, parameter_y)
    if left is not None and right is not None:
        return _same_progressions(left, right)
    renamed, equal = [substitute(n, {parameter_y: sym(parameter_x)}) for n in y], Expressions(DEFAULT).equal
    return declared and len(x) == len(y) and all(any(equal(n, m) for m in renamed) for n in x)


def _in_radians(answer: Answer, members: list[Node]) -> list[Node]:
    """`45^\\circ + 180^\\circ k`, compared with `\\pi/4 + k\\pi`."""
    return [Node("deg", (n,)) for n in members] if in_degrees(answer) else members


def in_degrees(answer: Answer) -> bool:
    """Whether an answer, or each of its values, is in degrees."""
    answer = unnamed(answer)
    if isinstance(answer, Group):
        return bool(answer.items) and all(map(in_degrees, answer.items))
    return isinstance(answer, Value) and answer.degrees


def _has_pi(node: Node) -> bool:
    return any(n.op == "deg" or (n.op == "const" and n.value == "pi") for n in walk(node))


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
        values = complete(approximate(substitute(node, {parameter: num(k)})) for k in (0, 1, 2, 7))
        if values is None:
            return None
        start, one, two, seven = values
        period = one - start
        bend = max(abs(two - start - 2 * period) * 10, abs(seven - start - 7 * period))
        is_below_tolerance = 0 < abs(start) < _TOLERANCE
        if is_below_tolerance or abs(period) < _TOLERANCE or bend > 1e-8 * abs(period):
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
