"""Equality of relations: equations up to a factor, inequalities up to a positive one, chains member by member."""

from fractions import Fraction

from evoltune_math.answers.algebra.normal_form import normal_form
from evoltune_math.answers.algebra.numeric import real_value
from evoltune_math.answers.algebra.rational import Undefined, rational
from evoltune_math.answers.equality.expressions import Expressions
from evoltune_math.answers.kinds import Relation
from evoltune_math.answers.limits import TooLarge
from evoltune_math.answers.nodes import Node, difference, div, mul, num, substitute, symbols
from evoltune_math.answers.vocabulary import FLIPPED

_GEOMETRIC = ("sim", "cong", "parallel", "perp")
_FLIPPED = FLIPPED | {sign: sign for sign in _GEOMETRIC}
MAX_SYMBOLS = 8


def same_relation(expressions: Expressions, a: Relation, b: Relation) -> bool:
    """Whether two relations say the same."""
    if _same_members(expressions, a, b):
        return True
    if a.signs == b.signs == ("mod",) and len(a.members) == len(b.members) == 2:
        return _same_residue(a, b)
    if len(a.signs) == len(b.signs) == 1 and {*a.signs, *b.signs} <= set(FLIPPED):
        return _same_up_to_factor(expressions, a, b)
    if any(s not in _FLIPPED for s in b.signs):
        return False
    flipped = Relation(tuple(_FLIPPED[s] for s in reversed(b.signs)), tuple(reversed(b.members)))
    return _same_members(expressions, a, flipped)


def _same_residue(a: Relation, b: Relation) -> bool:
    try:
        r, m, s, n = (rational(x) for x in (*a.members, *b.members))
    except (TooLarge, Undefined):
        return False
    return r is not None and s is not None and m is not None and m == n != 0 and (r - s) % m == 0


def _same_members(expressions: Expressions, a: Relation, b: Relation) -> bool:
    return (
        a.signs == b.signs
        and len(a.members) == len(b.members)
        and all(expressions.equal(x, y) for x, y in zip(a.members, b.members, strict=True))
    )


def _same_up_to_factor(expressions: Expressions, a: Relation, b: Relation) -> bool:
    """`x + y = 1` is `2x = 2 - 2y`, and `x < 1` is `-x > -1`."""
    x, y = difference(*a.members), difference(*b.members)
    if symbols(x) != symbols(y):
        return False
    factor = _factor_sign(expressions, x, y)
    if factor is None:
        return False
    (sign,), (other,) = a.signs, b.signs
    if sign in ("=", "!="):
        return sign == other
    return (sign if factor > 0 else FLIPPED[sign]) == other


def _factor_sign(expressions: Expressions, x: Node, y: Node) -> int | None:
    """The sign of the constant c != 0 with x = c y, or None if there is none. Denominators of equations are cleared."""
    try:
        p, q = normal_form(x), normal_form(y)
    except (TooLarge, Undefined):
        return None
    if not p.top or not q.top:
        return None
    both_free = p.is_free and q.is_free
    both_polynomials = both_free and p.denominator is not None and q.denominator is not None
    if p.bottom == q.bottom or both_polynomials:
        if set(p.top) == set(q.top):
            lead = max(p.top, key=repr)
            ratio = p.top[lead] / q.top[lead]
            if all(p.top[m] == ratio * q.top[m] for m in p.top):
                scale = (q.denominator or Fraction(1)) / (p.denominator or Fraction(1))
                return 1 if ratio * scale > 0 else -1
        if both_free:
            return None
    return _numeric_factor_sign(expressions, x, y)


def _numeric_factor_sign(expressions: Expressions, x: Node, y: Node) -> int | None:
    """The sign of x / y, if that is the same at all points: x y(p) = y x(p) for one point p."""
    names = sorted(symbols(x) | symbols(y))
    if not names or len(names) > MAX_SYMBOLS:
        return None
    x_there, y_there = x, y
    for k, name in enumerate(names):
        value = num(Fraction(7 + 3 * k, 5 + k))
        x_there, y_there = substitute(x_there, name, value), substitute(y_there, name, value)
    ratio = real_value(div(x_there, y_there))
    if not ratio or not expressions.equal(mul(x, y_there), mul(y, x_there)):
        return None
    return 1 if ratio > 0 else -1
