"""Whether the sides of a chain agree with each other: `1/3 \\approx 0.33` is one answer, `4 \\approx 5` and `4 = 5` are none.

    contradicts(parse("1/3"), parse("0.34"))  ->  True

Sides whose symbols differ (`A = \\pi r^2 = 9\\pi`) say something about the symbols, so they never contradict.
"""

from fractions import Fraction

from evoltune_math.answers import units
from evoltune_math.answers.algebra import numeric
from evoltune_math.answers.algebra.evaluation import real_value
from evoltune_math.answers.algebra.rational import TooLarge, Undefined, known_rational
from evoltune_math.answers.nodes import Node, has, mul, num, symbols, walk

_EXACT = 1e-12  # relative difference up to which two computed values are the same
_NOT_COMPARED = ("text", "seq", "rel", "pm", "matrix", "union", "inter", "minus", "builder", "cases", "ratio", "bigop")


def contradicts(left: Node, right: Node) -> bool:
    """Whether two sides of `=` or `\\approx` have different values, and neither rounds the other."""
    if has(left, *_NOT_COMPARED) or has(right, *_NOT_COMPARED) or symbols(left) != symbols(right):
        return False
    if any(n.op == "fn" and str(n.value).startswith("?") for tree in (left, right) for n in walk(tree)):
        return False
    if symbols(left):
        try:
            return numeric.agree(left, right) is False
        except (TooLarge, Undefined):
            return False
    return not any(_agree(x, y) for x, y in _readings(left, right))


def _readings(left: Node, right: Node) -> list[tuple[Node, Node]]:
    """The two sides with their units, and without: `90^\\circ = 90` and `90^\\circ = \\pi/2` are both right."""
    if left.op == right.op == "unit":
        factor = units.factor(left.note, right.note)
        return [(mul(left, num(factor)), right)] if factor is not None else [(left, right)]
    return [(left, right), (_bare(left), _bare(right))]


def _bare(node: Node) -> Node:
    return node.args[0] if node.op in ("deg", "unit", "pct") else node


def _agree(left: Node, right: Node) -> bool:
    x, y = known_rational(left), known_rational(right)
    if x is not None and y is not None:
        if x == y or "dec" not in (left.op, right.op):
            return x == y or _rounds(right, y, x)  # `23 \\approx 20`, never the other way round
        return _rounds(right, y, x) if right.op == "dec" else _rounds(left, x, y)
    a, b = real_value(left), real_value(right)
    if a is None or b is None or abs(a - b) <= _EXACT * max(abs(a), abs(b)):
        return True
    return (y is not None and _rounds(right, y, _fraction(a))) or (x is not None and _rounds(left, x, _fraction(b)))


def is_rounding(shown: Node, exact: Node) -> bool:
    """Whether a number is the rounding of a rational one: `4` of `3.5`."""
    x, y = known_rational(exact), known_rational(shown)
    return x is not None and y is not None and _rounds(shown, y, x)


def _fraction(value: object) -> Fraction:
    return Fraction(str(value))


def _rounds(literal: Node, shown: Fraction, exact: Fraction) -> bool:
    """Whether `shown` is `exact` rounded to, or cut at, the last digit that is written and not zero."""
    unit = _last_place(literal)
    gap = abs(shown) - abs(exact)
    return unit is not None and shown * exact > 0 and -unit < gap <= unit / 2


def _last_place(literal: Node) -> Fraction | None:
    """One unit of the last place; of a whole number, of its last digit that is not zero; of `22/7`, a fiftieth of it."""
    scale = Fraction(1)
    while literal.op in ("neg", "pct", "unit", "deg"):
        scale *= Fraction(1, 100) if literal.op == "pct" else 1
        literal = literal.args[0]
    if literal.op == "dec":
        mantissa, _, exponent = literal.note.lower().partition("e")
        return scale * Fraction(10) ** (int(exponent or 0) - sum(c.isdigit() for c in mantissa.partition(".")[2]))
    value = known_rational(literal)
    if value is None or not value:
        return None
    if value.denominator != 1:
        return scale * abs(value) / 50
    digits = str(abs(int(value)))
    return scale * Fraction(10) ** (len(digits) - len(digits.rstrip("0")))
