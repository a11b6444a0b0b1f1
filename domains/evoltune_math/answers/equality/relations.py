"""Equations up to a factor, inequalities up to a positive one, chains member by member, congruences."""

from __future__ import annotations

from fractions import Fraction

from evoltune_math.answers.algebra.normal_form import Form
from evoltune_math.answers.algebra.normal_form import normal_form as normal
from evoltune_math.answers.algebra.rational import Undefined, rational
from evoltune_math.answers.equality.expressions import Values
from evoltune_math.answers.kinds import Relation
from evoltune_math.answers.limits import TooLarge
from evoltune_math.answers.nodes import Node, symbols

_FLIP = {
    "<": ">",
    ">": "<",
    "<=": ">=",
    ">=": "<=",
    "=": "=",
    "!=": "!=",
    "sim": "sim",
    "cong": "cong",
    "parallel": "parallel",
    "perp": "perp",
}


def same_relation(values: Values, a: Relation, b: Relation) -> bool:
    """Whether two relations say the same."""
    if _memberwise(values, a, b):
        return True
    if a.signs == b.signs == ("mod",) and len(a.members) == len(b.members) == 2:
        return _same_residue(a, b)
    if len(a.signs) == len(b.signs) == 1 and a.signs[0] in _FLIP and b.signs[0] in _FLIP:
        return _one_sign(values, a, b)
    flipped = _flipped(b)
    return flipped is not None and _memberwise(values, a, flipped)


def _same_residue(a: Relation, b: Relation) -> bool:
    try:
        r, m, s, n = (rational(x) for x in (*a.members, *b.members))
    except (TooLarge, Undefined):
        return False
    return r is not None and s is not None and m is not None and m == n != 0 and (r - s) % m == 0


def _memberwise(values: Values, a: Relation, b: Relation) -> bool:
    return (
        a.signs == b.signs
        and len(a.members) == len(b.members)
        and all(values.equal(x, y) for x, y in zip(a.members, b.members, strict=True))
    )


def _flipped(r: Relation) -> Relation | None:
    if any(s not in _FLIP for s in r.signs):
        return None
    return Relation(tuple(_FLIP[s] for s in reversed(r.signs)), tuple(reversed(r.members)))


def _one_sign(values: Values, a: Relation, b: Relation) -> bool:
    sign, other = a.signs[0], b.signs[0]
    if sign in ("sim", "cong", "parallel", "perp"):
        flipped = _flipped(b)
        return flipped is not None and _memberwise(values, a, flipped)
    if symbols(a.members[0]) | symbols(a.members[1]) != symbols(b.members[0]) | symbols(b.members[1]):
        return False
    x, y = _difference(a), _difference(b)
    ratio = _factor(values, x, y)
    if ratio is None:
        return False
    if sign in ("=", "!="):
        return sign == other
    return (sign == other) if ratio > 0 else (_FLIP[sign] == other)


def _difference(r: Relation) -> Node:
    return Node("add", (r.members[0], Node("neg", (r.members[1],))))


def _factor(values: Values, x: Node, y: Node) -> int | None:
    """The sign of the constant c != 0 with x = c y, or None when there is none. Denominators of equations are cleared."""
    try:
        p, q = normal(x), normal(y)
    except (TooLarge, Undefined):
        return None
    if not p.top or not q.top:
        return None
    lead = max(p.top, key=repr)
    if p.bottom == q.bottom or (p.is_free and q.is_free and _constant(p) and _constant(q)):
        if set(p.top) == set(q.top):
            ratio = p.top[lead] / q.top[lead]
            if all(p.top[m] == ratio * q.top[m] for m in p.top):
                scale = _value(q) / _value(p)
                return 1 if ratio * scale > 0 else -1
            if p.is_free and q.is_free:
                return None
        elif p.is_free and q.is_free:
            return None
    return _numeric_factor(values, x, y)


def _constant(form: Form) -> bool:
    return list(form.bottom) == [()]


def _value(form: Form) -> Fraction:
    return form.bottom.get((), Fraction(1)) if _constant(form) else Fraction(1)


def _numeric_factor(values: Values, x: Node, y: Node) -> int | None:
    """x / y the same at all points, by the probes of `numeric`."""
    from evoltune_math.answers.algebra import numeric
    from evoltune_math.answers.nodes import substitute

    names = sorted(symbols(x) | symbols(y))
    if not names or len(names) > 8:
        return None
    at: tuple[Node, Node] = (x, y)
    for k, name in enumerate(names):
        value = Node("num", (), Fraction(7 + 3 * k, 5 + k))
        at = (substitute(at[0], name, value), substitute(at[1], name, value))
    there = numeric.real_value(Node("div", at))
    if there is None or there == 0:
        return None
    if not values.equal(Node("mul", (x, at[1])), Node("mul", (y, at[0]))):
        return None
    return 1 if there > 0 else -1
