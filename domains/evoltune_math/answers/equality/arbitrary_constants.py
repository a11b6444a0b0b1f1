"""Arbitrary constants, such as the `+ C` of an antiderivative or `C_1 e^x + C_2 e^{-x}`: their letters do not matter."""

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import permutations

from evoltune_math.answers.equality.expressions import Expressions
from evoltune_math.answers.nodes import Node, add, difference, num, substitute, sym, symbols

_ADDED = frozenset(["C", "c", "K", "k", "c_1", "C_1", "C_0", "const"])
_ARBITRARY = re.compile(r"[cCkKABDE]|[cCkKA]_\d")
MAX_CONSTANTS = 3
MAX_SYMBOLS = 4
_SHIFTS = (Fraction(3, 7), Fraction(17, 11), Fraction(29, 9))


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
    """`y` with its constants named as those of `x`, in every order; nothing if another name differs."""
    names_x, names_y = symbols(x), symbols(y)
    new, old = sorted(names_x - names_y), sorted(names_y - names_x)
    if len(new) != len(old) or not 1 <= len(new) <= MAX_CONSTANTS or not names_x & names_y:
        return
    if not all(_ARBITRARY.fullmatch(n) for n in (*new, *old)):
        return
    for order in permutations(new):
        renamed = y
        for k, name in enumerate(old):
            renamed = substitute(renamed, name, sym(f"?{k}"))
        for k, name in enumerate(order):
            renamed = substitute(renamed, f"?{k}", sym(name))
        yield renamed


def _added_constant(node: Node) -> Node | None:
    """The one constant that is added and occurs nowhere else."""
    if node.op != "add":
        return None
    found = [a for a in node.args if a.op == "sym" and str(a.value) in _ADDED]
    rest = [a for a in node.args if a not in found]
    if len(found) == 1 and all(str(found[0].value) not in symbols(r) for r in rest):
        return found[0]
    return None


def _without(node: Node, term: Node | None) -> Node:
    """The sum without one of its terms."""
    if term is None:
        return node
    rest = tuple(a for a in node.args if a != term)
    return rest[0] if len(rest) == 1 else add(*rest)


def _is_constant(expressions: Expressions, node: Node) -> bool:
    """Whether the expression has the same value at several points."""
    names = sorted(symbols(node))
    if not 1 <= len(names) <= MAX_SYMBOLS:
        return False
    values: list[Node] = []
    for shift in _SHIFTS:
        at_point = node
        for k, name in enumerate(names):
            at_point = substitute(at_point, name, num(shift + Fraction(k, 5)))
        values.append(at_point)
    return expressions.equal(values[0], values[1]) and expressions.equal(values[1], values[2])
