"""Sums, products, limits and integrals as `bigop` nodes (body, below, above)."""

from evoltune_math.answers.nodes import EMPTY, ONE, Node, div, neg, product, sym, walk
from evoltune_math.answers.syntax.grammar import SIGNED, SUM, Cursor
from evoltune_math.answers.syntax.tokens import Unreadable

BIG_OPERATORS = {"sum": "sum", "prod": "prod", "int": "int", "lim": "lim", "iint": "int", "oint": "int"}


def big_operator(cursor: Cursor, op: str) -> Node:
    """`\\sum_{k=1}^{n} k`, `\\int_0^1 x dx`, `\\lim_{x \\to 0} f`; the cursor is after the command."""
    below = above = None
    while cursor.peek().is_op("_", "^"):
        mark = cursor.take().text
        signed = cursor.peek().text != "{" and cursor.accept("op", "-") is not None
        bound = neg(cursor.argument()) if signed else cursor.argument()
        below, above = (bound, above) if mark == "_" else (below, bound)
    if op != "int":
        body, below = _rename_index(cursor.expression(SIGNED), below)
        return Node("bigop", (body, below or EMPTY, above or EMPTY), op)
    cursor.integrals += 1
    body, variable = _integrand(cursor.expression(SUM - 1))
    cursor.integrals -= 1
    return Node("bigop", (body, below or EMPTY, above or EMPTY), op, variable)


def _rename_index(body: Node, below: Node | None) -> tuple[Node, Node | None]:
    """The body and `k = 1` with the index renamed to `?0`, `?1` ..., so that its letter does not matter."""
    if below is None or below.op != "rel" or below.args[0].op not in ("sym", "const"):
        return body, below
    index = below.args[0]
    name = sym(f"?{sum(n.op == 'bigop' for n in walk(body))}")

    def renamed(node: Node) -> Node:
        if node == index:
            return name
        return node._replace(args=tuple(renamed(a) for a in node.args)) if node.args else node

    return renamed(body), renamed(below)


def _integrand(body: Node) -> tuple[Node, str]:
    """The integrand without its `dx`, and the variable. Raises `Unreadable` if there is no `dx`."""
    if body.op == "mul":
        args = list(body.args)
        for at in range(len(args) - 1):
            if args[at] == sym("d") and args[at + 1].op == "sym":
                rest = args[:at] + args[at + 2 :]
                return (product(rest) if rest else ONE), str(args[at + 1].value)
    if body.op == "div":
        inner, variable = _integrand(body.args[0])
        return div(inner, body.args[1]), variable
    raise Unreadable("an integral without its dx")
