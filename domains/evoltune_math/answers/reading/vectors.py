"""Vectors written in basis vectors: `2\\mathbf{i} - \\mathbf{j}` is the vector <2, -1>."""

from evoltune_math.answers.kinds import Group, Value
from evoltune_math.answers.nodes import ONE, ZERO, Node, neg, product, sym, symbols, walk


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
    return basis_vector(_marked(node)) if "j" in symbols(node) else None


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
