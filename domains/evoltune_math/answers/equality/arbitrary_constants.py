"""Arbitrary constants: `+ C` of an antiderivative, `C_1 e^x + C_2 e^{-x}`; their letters do not matter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import permutations

from evoltune_math.answers.nodes import Node, substitute, sym, symbols

_ADDITIVE = frozenset(["C", "c", "K", "k", "c_1", "C_1", "C_0", "const"])
_ARBITRARY = re.compile(r"[cCkKABDE]|[cCkKA]_\d")
MAX_CONSTANTS = 3


def additive(node: Node) -> Node | None:
    """The one constant that is added and occurs nowhere else."""
    if node.op != "add":
        return None
    found = [a for a in node.args if a.op == "sym" and str(a.value) in _ADDITIVE]
    rest = [a for a in node.args if a not in found]
    if len(found) == 1 and all(str(found[0].value) not in symbols(r) for r in rest):
        return found[0]
    return None


def without(node: Node, term: Node | None) -> Node:
    """The sum without `term`."""
    if term is None:
        return node
    rest = tuple(a for a in node.args if a != term)
    return rest[0] if len(rest) == 1 else Node("add", rest)


def renamings(x: Node, y: Node) -> Iterator[Node]:
    """`y` with its constants named as those of `x`, in every order; nothing when a name that differs is no constant."""
    names_x, names_y = symbols(x), symbols(y)
    mine, theirs = sorted(names_x - names_y), sorted(names_y - names_x)
    if len(mine) != len(theirs) or not 1 <= len(mine) <= MAX_CONSTANTS or not names_x & names_y:
        return
    if not all(_ARBITRARY.fullmatch(n) for n in (*mine, *theirs)):
        return
    for order in permutations(mine):
        renamed = y
        for k, old in enumerate(theirs):
            renamed = substitute(renamed, old, sym(f"?{k}"))
        for k, new in enumerate(order):
            renamed = substitute(renamed, f"?{k}", sym(new))
        yield renamed
