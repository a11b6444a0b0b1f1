"""Sums, products and multiples of written matrices, entry by entry; entries stay expressions."""

from __future__ import annotations

from typing import TypeAlias

from evoltune_math.answers.nodes import ONE, Node, has

Rows: TypeAlias = tuple[tuple[Node, ...], ...]
MAX_CELLS = 64


def computed(node: Node) -> Rows | None:
    """The matrix that the expression is, or None when the shapes do not fit."""
    if node.op == "matrix":
        rows = tuple(r.args for r in node.args)
        return rows if len({len(r) for r in rows}) == 1 and len(rows) * len(rows[0]) <= MAX_CELLS else None
    if node.op == "neg":
        return _scaled(Node("neg", (ONE,)), computed(node.args[0]))
    if node.op == "add":
        return _sum([computed(a) for a in node.args])
    if node.op == "div" and not has(node.args[1], "matrix"):
        return _scaled(Node("div", (ONE, node.args[1])), computed(node.args[0]))
    if node.op == "mul":
        return _product(node)
    if node.op == "pow":
        return _power(node)
    return None


def _scaled(factor: Node, rows: Rows | None) -> Rows | None:
    return None if rows is None else tuple(tuple(Node("mul", (factor, c)) for c in r) for r in rows)


def _sum(parts: list[Rows | None]) -> Rows | None:
    known = [p for p in parts if p is not None]
    if len(known) != len(parts) or len({(len(p), len(p[0])) for p in known}) != 1:
        return None
    return tuple(
        tuple(Node("add", tuple(p[i][j] for p in known)) for j in range(len(known[0][0])))
        for i in range(len(known[0]))
    )


def _product(node: Node) -> Rows | None:
    factors = [a for a in node.args if not has(a, "matrix")]
    result: Rows | None = None
    for arg in node.args:
        if not has(arg, "matrix"):
            continue
        other = computed(arg)
        if other is None:
            return None
        result = other if result is None else _times(result, other)
        if result is None:
            return None
    for factor in factors:
        result = _scaled(factor, result)
    return result


def _power(node: Node) -> Rows | None:
    """The transpose `A^T`, the inverse of a 2 by 2 matrix, the square."""
    rows, exponent = computed(node.args[0]), node.args[1]
    if rows is None:
        return None
    if exponent.op in ("sym", "text") and exponent.value in ("T", "t", "\\top", "intercal"):
        return tuple(zip(*rows, strict=True))
    if exponent == Node("num", (), ONE.value + ONE.value):  # type: ignore[operator]
        return _times(rows, rows)
    if exponent == Node("neg", (ONE,)) and len(rows) == len(rows[0]) == 2:
        (a, b), (c, d) = rows
        determinant = Node("add", (Node("mul", (a, d)), Node("neg", (Node("mul", (b, c)),))))
        adjugate = ((d, Node("neg", (b,))), (Node("neg", (c,)), a))
        return tuple(tuple(Node("div", (x, determinant)) for x in row) for row in adjugate)
    return None


def _times(a: Rows, b: Rows) -> Rows | None:
    if len(a[0]) != len(b):
        return None
    return tuple(
        tuple(
            Node("add", tuple(Node("mul", (a[i][k], b[k][j])) for k in range(len(b))))
            for j in range(len(b[0]))
        )
        for i in range(len(a))
    )
