"""The expression tree that the parser builds and every later step reads.

A node is a plain tuple (op, args, value, note), so trees are hashable and `==` compares their structure.
Invariant: building a tree computes nothing. `9^{9^{9}}` is three `num` nodes under two `pow` nodes.

Expression ops: num dec sym const add mul neg div pow root fn abs norm fact pm deg pct base mod bigop unit text
Answer ops:     seq rel union inter minus builder matrix ratio cases pmod compound
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Node(NamedTuple):
    op: str
    args: tuple[Node, ...] = ()
    value: Fraction | str | None = None
    """num, dec: the number; sym, const, fn, text: the name; seq: the brackets; rel: the signs, joined by spaces; fact: `!` or `!!`."""
    note: str = ""
    """dec: the literal as written; unit: the unit; sym: `v` for a basis vector; mul: `unit?` if its last
    factor may be a unit (`438 m`)."""


def num(value: int | Fraction) -> Node:
    return Node("num", (), Fraction(value))


def sym(name: str, note: str = "") -> Node:
    return Node("sym", (), name, note)


def const(name: str) -> Node:
    return Node("const", (), name)


def fn(name: str, *args: Node) -> Node:
    """A function call. Names that start with `?` are unknown functions: `?f` for f(x)."""
    return Node("fn", args, name)


def neg(node: Node) -> Node:
    return Node("neg", (node,))


def add(*terms: Node) -> Node:
    return Node("add", terms)


def mul(*factors: Node) -> Node:
    return Node("mul", factors)


def div(top: Node, bottom: Node) -> Node:
    return Node("div", (top, bottom))


def seq(brackets: str, items: tuple[Node, ...]) -> Node:
    """A list. `brackets`: "" none, "()", "[]", "{}" a set, "<>" a vector, "[)" and "(]" half-open intervals."""
    return Node("seq", items, brackets)


def rel(signs: str, *members: Node) -> Node:
    return Node("rel", members, signs)


ONE, ZERO = num(1), num(0)
EULER, IMAGINARY, INF = const("e"), const("i"), const("inf")
NEG_INF = neg(INF)
EMPTY = seq("", ())  # a missing part, such as the bounds of an indefinite integral


def difference(left: Node, right: Node) -> Node:
    return add(left, neg(right))


def product(factors: list[Node]) -> Node:
    """The product of the factors; a single factor is returned as it is."""
    return factors[0] if len(factors) == 1 else mul(*factors)


def dot(left: Node, right: Node) -> Node | None:
    """The dot product of two tuples of one length; None for anything else."""
    are_tuples = all(n.op == "seq" and n.value in ("()", "<>") and len(n.args) > 1 for n in (left, right))
    if not are_tuples or len(left.args) != len(right.args):
        return None
    return add(*(mul(a, b) for a, b in zip(left.args, right.args, strict=True)))


def bare_items(node: Node) -> tuple[Node, ...]:
    """The members of a list without brackets; any other node is its own only member."""
    return node.args if node.op == "seq" and node.value == "" else (node,)


def complete(items: Iterable[T | None]) -> list[T] | None:
    """The items as a list; None if one of them is None."""
    found = list(items)
    known = [item for item in found if item is not None]
    return known if len(known) == len(found) else None


def walk(node: Node) -> Iterator[Node]:
    """Every node of the tree, parents first. Not recursive, so it is safe on trees of any depth."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(node.args)


def size(node: Node) -> int:
    return sum(1 for _ in walk(node))


def depth(node: Node) -> int:
    """Levels of the tree. Not recursive: the result decides whether recursion over the tree is safe."""
    deepest, level = 0, [node]
    while level:
        deepest += 1
        level = [a for n in level for a in n.args]
    return deepest


def symbols(node: Node) -> set[str]:
    """The names of the free symbols."""
    return {str(n.value) for n in walk(node) if n.op == "sym"}


def has(node: Node, *ops: str) -> bool:
    return any(n.op in ops for n in walk(node))


def substitute(node: Node, values: Mapping[str, Node]) -> Node:
    """`node` with all symbols that have a value replaced at once."""
    if node.op == "sym":
        return values.get(str(node.value), node)
    return node._replace(args=tuple(substitute(a, values) for a in node.args)) if node.args else node
