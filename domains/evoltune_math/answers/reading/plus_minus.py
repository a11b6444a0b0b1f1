"""`a \\pm b` stands for two expressions; several signs in one expression are independent."""

from evoltune_math.answers.nodes import Node, add, difference, neg, walk

MAX_INDEPENDENT = 3
"""More signs than this are taken together, all plus or all minus: the number of variants doubles with each."""


def variants(node: Node) -> list[Node]:
    """The distinct expressions that the tree stands for."""
    if sum(n.op == "pm" for n in walk(node)) > MAX_INDEPENDENT:
        found = [_with_sign(node, positive=True), _with_sign(node, positive=False)]
    else:
        found = all_signs(node)
    return list(dict.fromkeys(found))


def _with_sign(node: Node, *, positive: bool) -> Node:
    args = tuple(_with_sign(a, positive=positive) for a in node.args)
    if node.op == "pm":
        return add(*args) if positive else difference(*args)
    return node._replace(args=args) if args else node


def all_signs(node: Node) -> list[Node]:
    """Each combination of signs, the plus signs first."""
    if not node.args:
        return [node]
    combinations: list[tuple[Node, ...]] = [()]
    for arg in node.args:
        combinations = [(*c, variant) for c in combinations for variant in all_signs(arg)]
    if node.op != "pm":
        return [node._replace(args=c) for c in combinations]
    return [add(a, signed) for a, b in combinations for signed in (b, neg(b))]
