"""Functions that are defined by cases: equal where their cases say the same of every number, however they are cut and ordered.

    same_pieces(parse("\\\\begin{cases} x & x \\\\ge 0 \\\\\\\\ -x & x < 0 \\\\end{cases}"), parse("|x|"), equal)  ->  True

Both sides are tried at every end of a case, exactly, and at several points between two ends and beyond them; at whole numbers
where a case is `n is even`, `n is divisible by 3` or `n \\equiv 1 \\pmod 4`.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from evoltune_math.answers.algebra.intervals import infinite, region_of
from evoltune_math.answers.algebra.rational import known_rational
from evoltune_math.answers.kinds import Span
from evoltune_math.answers.nodes import Node, num, substitute, symbols


@dataclass(frozen=True)
class Classes:
    """The whole numbers of some classes modulo a number, or the others."""

    modulus: int
    residues: frozenset[int]

    def has(self, point: Fraction) -> bool:
        return point.denominator == 1 and int(point) % self.modulus in self.residues


Where = tuple[Span, ...] | Classes
Piece = tuple[Where | None, Node]  # where it holds (None: elsewhere), and the value there
_ELSEWHERE = ("other", "else")
_INSIDE = (Fraction(1, 7), Fraction(3, 11), Fraction(1, 2), Fraction(12, 17), Fraction(9, 10))
_CLASS = re.compile(
    r"(?:is\s+)?(?:an?\s+)?(not\s+)?(?:an?\s+)?(even|odd|(?:divisible\s+by|multiple\s+of)\s+(\d{1,3}))(?:\s+(?:integer|number))?"
)
"""What the words behind a letter say: `is even`, `not divisible by 3`."""
MAX_MODULUS, MAX_BETWEEN = 60, 1_000
_BEYOND = (Fraction(2, 9), Fraction(5, 3), Fraction(31, 7), Fraction(53, 3), Fraction(211, 2))


def same_pieces(a: Node, b: Node, equal: Callable[[Node, Node], bool]) -> bool | None:
    """Whether two expressions, of which one has cases, have the same value everywhere; None if that cannot be told.

    `equal` compares two numbers.
    """
    names = symbols(a) | symbols(b)
    if len(names) != 1:
        return None
    (name,) = names
    left, right = _pieces(a, name), _pieces(b, name)
    if left is None or right is None:
        return None
    ends = _ends([*left, *right])
    if ends is None:
        return None
    modulus = math.lcm(*(where.modulus for where, _ in [*left, *right] if isinstance(where, Classes)))
    if modulus > MAX_MODULUS:
        return None
    points = _points(ends) if modulus == 1 else _whole_points(ends, modulus)
    if not points:
        return None
    for point in points:
        x, y = (_value_at(pieces, name, point) for pieces in (left, right))
        if (x is None) != (y is None) or (x is not None and y is not None and not equal(x, y)):
            return False
    return True


def _pieces(node: Node, name: str) -> list[Piece] | None:
    """The cases of a function of one letter; an expression without cases holds everywhere."""
    if node.op != "cases":
        return [(None, node)]
    found: list[Piece] = []
    for row in node.args:
        if len(row.args) != 2:
            return None
        value, condition = row.args
        if condition.op == "text" and str(condition.value).lower().startswith(_ELSEWHERE):
            found.append((None, value))
            continue
        where = _where(condition, name)
        if where is None:
            return None
        found.append((where, value))
    return found


def _where(condition: Node, name: str) -> Where | None:
    """The numbers for which a condition on the letter holds; `x = 3` is a point."""
    if condition.op in ("unit", "pmod"):
        return _classes(condition, name)
    region = region_of(condition)
    if region is not None:
        return region.spans if region.variable in (name, "") else None
    if condition.op != "rel" or condition.value != "=" or condition.args[0].value != name:
        return None
    end = condition.args[1]
    return (Span(end, end, True, True),) if known_rational(end) is not None else None


def _classes(condition: Node, name: str) -> Classes | None:
    """`n is even`, `n \\equiv 1 \\pmod 4`."""
    if condition.op == "pmod":
        relation, modulus = condition.args
        if relation.op != "rel" or relation.args[0].value != name:
            return None
        known = [known_rational(n) for n in (relation.args[-1], modulus)]
        residue, step = (int(v) if v is not None and v.denominator == 1 else 0 for v in known)
        return Classes(step, frozenset({residue % step})) if step > 1 and known[0] is not None else None
    said = _CLASS.fullmatch(condition.note.lower())
    if said is None or condition.args[0].value != name:
        return None
    size = int(said[3] or 2)
    if size < 2:
        return None
    residues = {1 if said[2] == "odd" else 0}
    return Classes(size, frozenset(set(range(size)) - residues if said[1] else residues))


def _ends(pieces: list[Piece]) -> list[Fraction] | None:
    """The ends of all cases, in order; None if one is no rational number."""
    nodes = [
        end
        for where, _ in pieces
        if isinstance(where, tuple)
        for span in where
        for end in (span.low, span.high)
        if not infinite(end)
    ]
    values = [known_rational(end) for end in nodes]
    known = [v for v in values if v is not None]
    return sorted(set(known)) if len(known) == len(values) else None


def _points(ends: list[Fraction]) -> list[Fraction]:
    low, high = (ends[0], ends[-1]) if ends else (Fraction(0), Fraction(0))
    between = [a + share * (b - a) for a, b in pairwise(ends) for share in _INSIDE]
    return [*ends, *between, *(low - far for far in _BEYOND), *(high + far for far in _BEYOND)]


def _whole_points(ends: list[Fraction], modulus: int) -> list[Fraction]:
    """Two turns of all classes behind and before the ends of the other cases."""
    low, high = (math.floor(ends[0]), math.ceil(ends[-1])) if ends else (0, 0)
    if high - low > MAX_BETWEEN:
        return []
    return [Fraction(n) for n in range(low - modulus if ends else 1, high + 2 * modulus + 1)]


def _value_at(pieces: list[Piece], name: str, point: Fraction) -> Node | None:
    """The value of the first case that holds; None where none does."""
    for where, value in pieces:
        holds = (
            where.has(point) if isinstance(where, Classes) else where is None or any(_holds(s, point) for s in where)
        )
        if holds:
            return substitute(value, {name: num(point)})
    return None


def _holds(span: Span, point: Fraction) -> bool:
    low, high = known_rational(span.low), known_rational(span.high)
    return (low is None or point > low or (point == low and span.low_closed)) and (
        high is None or point < high or (point == high and span.high_closed)
    )
