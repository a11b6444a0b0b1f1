"""Matrices, entry by entry, whose entries stay expressions; and vectors written in basis vectors: `2\\mathbf{i} - \\mathbf{j}`."""

from typing import TypeAlias

from evoltune_math.answers.kinds import Group, Value
from evoltune_math.answers.nodes import ONE, ZERO, Node, add, complete, div, has, mul, neg, num, product, sym, walk

Rows: TypeAlias = tuple[tuple[Node, ...], ...]
MAX_CELLS = 64


def matrix_of(node: Node) -> Rows | None:
    """The matrix that the expression equals, or None if the shapes do not fit."""
    if node.op == "matrix":
        rows = tuple(r.args for r in node.args)
        return rows if len({len(r) for r in rows}) == 1 and len(rows) * len(rows[0]) <= MAX_CELLS else None
    if node.op == "neg":
        return _scaled(neg(ONE), matrix_of(node.args[0]))
    if node.op == "add":
        return _sum(node.args)
    if node.op == "div" and not has(node.args[1], "matrix"):
        return _scaled(div(ONE, node.args[1]), matrix_of(node.args[0]))
    if node.op == "mul":
        return _product(node.args)
    return _power(*node.args) if node.op == "pow" else None


def tuple_of(node: Node) -> Group | None:
    """The tuple that a computation with tuples equals, such as `\\frac{1}{5}(3, 4)` and `(1, 2) + t(3, 4)`."""
    found = [n for n in walk(node) if n.op == "seq"]
    if node.op not in ("add", "mul", "neg", "div") or not found or not all(map(_is_tuple, found)):
        return None
    rows = matrix_of(_as_rows(node))
    return None if rows is None or len(rows) != 1 else Group(tuple(map(Value, rows[0])), "()")


def _is_tuple(node: Node) -> bool:
    return (
        node.value in ("()", "<>")
        and len(node.args) > 1
        and not any(has(a, "seq", "rel", "text", "pm") for a in node.args)
    )


def _as_rows(node: Node) -> Node:
    if node.op == "seq":
        return Node("matrix", (node._replace(value="row"),))
    return node._replace(args=tuple(map(_as_rows, node.args))) if node.args and node.op != "fn" else node


def _scaled(factor: Node, rows: Rows | None) -> Rows | None:
    return None if rows is None else tuple(tuple(mul(factor, c) for c in r) for r in rows)


def _sum(terms: tuple[Node, ...]) -> Rows | None:
    parts = complete(map(matrix_of, terms))
    if parts is None or len({(len(p), len(p[0])) for p in parts}) != 1:
        return None
    return tuple(tuple(add(*cells) for cells in zip(*rows, strict=True)) for rows in zip(*parts, strict=True))


def _product(factors: tuple[Node, ...]) -> Rows | None:
    matrices = [matrix_of(f) for f in factors if has(f, "matrix")]
    result = matrices[0] if matrices else None
    for other in matrices[1:]:
        result = None if result is None or other is None else _times(result, other)
    for factor in factors:
        if not has(factor, "matrix"):
            result = _scaled(factor, result)
    return result


def _times(a: Rows, b: Rows) -> Rows | None:
    if len(a[0]) != len(b):
        return None
    columns = tuple(zip(*b, strict=True))
    return tuple(tuple(add(*(mul(x, y) for x, y in zip(row, column, strict=True))) for column in columns) for row in a)


def _power(base: Node, exponent: Node) -> Rows | None:
    """The transpose, the square, and the inverse of a 2 by 2 matrix."""
    rows = matrix_of(base)
    if rows is None:
        return None
    if exponent.op in ("sym", "text") and exponent.value in ("T", "t", "\\top", "intercal"):
        return tuple(zip(*rows, strict=True))
    if exponent == num(2):
        return _times(rows, rows)
    if exponent == neg(ONE) and len(rows) == len(rows[0]) == 2:
        (a, b), (c, d) = rows
        determinant = add(mul(a, d), neg(mul(b, c)))
        return tuple(tuple(div(x, determinant) for x in row) for row in ((d, neg(b)), (neg(c), a)))
    return None


def basis_vector(node: Node) -> Group | None:
    """The vector if the tree is a sum of multiples of marked basis vectors, else None."""
    if not any(_is_basis(n) and n.value in ("i", "j", "k", "x", "y", "z") for n in walk(node)):
        return None
    components: dict[str, Node] = {}
    for term in node.args if node.op == "add" else (node,):
        split = _axis_and_coefficient(term)
        if split is None or split[0] in components:
            return None
        components[split[0]] = split[1]
    axes = "ijk" if set(components) <= set("ijk") else "xyz"
    if not set(components) <= set(axes):
        return None
    size = 3 if axes[2] in components else 2
    return Group(tuple(Value(components.get(axis, ZERO)) for axis in axes[:size]), "<>")


def unmarked_basis_vector(node: Node) -> Group | None:
    """`2i + 3j` in plain letters as a vector; for comparison with an answer that is one."""
    has_j = any(n.op == "sym" and n.value == "j" for n in walk(node))
    return basis_vector(_marked(node)) if has_j else None


def _marked(node: Node) -> Node:
    if (node.op == "const" and node.value == "i") or (node.op == "sym" and node.value in ("j", "k")):
        return sym(str(node.value), "v")
    return node._replace(args=tuple(map(_marked, node.args))) if node.args else node


def _is_basis(node: Node) -> bool:
    return node.op == "sym" and node.note == "v"


def _axis_and_coefficient(term: Node) -> tuple[str, Node] | None:
    if term.op == "neg":
        inner = _axis_and_coefficient(term.args[0])
        return None if inner is None else (inner[0], neg(inner[1]))
    if _is_basis(term):
        return str(term.value), ONE
    if term.op != "mul":
        return None
    axes = [a for a in term.args if _is_basis(a)]
    others = [a for a in term.args if not _is_basis(a)]
    return (str(axes[0].value), product(others)) if len(axes) == 1 and others else None
