"""Node: the one tree that the parser builds and everything else reads.

A node is a plain tuple (op, args, value, note): hashable, compared structurally, evaluated by nobody here.
Invariant: no node is ever computed while it is built, so `9^{9^{9}}` costs three nodes.

Expression ops: num dec sym const add mul neg div pow root fn abs norm fact pm deg pct base mod bigop unit text
Answer ops:     seq rel union inter minus builder matrix ratio cases with
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple


class Node(NamedTuple):
    op: str
    args: tuple[Node, ...] = ()
    value: Fraction | str | None = None
    """num, dec: the number; sym, const, fn, text: the name; seq: the brackets; rel: the sign."""
    note: str = ""
    """dec: its digits as written; unit: the unit; sym: `v` for a basis vector."""


def num(value: int | Fraction) -> Node:
    return Node("num", (), Fraction(value))


def sym(name: str, note: str = "") -> Node:
    return Node("sym", (), name, note)


def const(name: str) -> Node:
    return Node("const", (), name)


def fn(name: str, *args: Node) -> Node:
    return Node("fn", args, name)


def seq(brackets: str, items: tuple[Node, ...]) -> Node:
    """`brackets`: "" bare, "()", "[]", "{}" a set, "<>" a vector, "[)" "(]" half-open intervals."""
    return Node("seq", items, brackets)


def rel(sign: str, *args: Node) -> Node:
    return Node("rel", args, sign)


ONE, ZERO, HALF = num(1), num(0), num(Fraction(1, 2))
PI, EULER, IMAGINARY, INF = const("pi"), const("e"), const("i"), const("inf")
NEG_INF = Node("neg", (INF,))


def walk(node: Node) -> Iterator[Node]:
    """Every node, parents first; without recursion."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(node.args)


def symbols(node: Node) -> set[str]:
    """Names of the free symbols and of the unknown functions."""
    return {str(n.value) for n in walk(node) if n.op == "sym"}


def has(node: Node, *ops: str) -> bool:
    return any(n.op in ops for n in walk(node))


def substitute(node: Node, name: str, by: Node) -> Node:
    """`node` with the symbol `name` replaced."""
    if node.op == "sym":
        return by if node.value == name else node
    if not node.args:
        return node
    return node._replace(args=tuple(substitute(a, name, by) for a in node.args))


def strip_units(node: Node) -> Node:
    """`node` without its units (percent and degree stay)."""
    if node.op == "unit":
        return strip_units(node.args[0])
    if not node.args:
        return node
    return node._replace(args=tuple(strip_units(a) for a in node.args))
