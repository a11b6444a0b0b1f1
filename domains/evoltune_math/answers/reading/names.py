"""What only names or qualifies an answer: the `x` of `x = 5`, the `AB` of `AB = 4`, the `k \\in \\mathbb{Z}` of `k\\pi`."""

from evoltune_math.answers.nodes import Node, sym, symbols, walk

_INTEGER_SETS = frozenset(
    ["Z", "N", "Z+", "N+", "Z^+", "N0", "N_0", "Z*", "N*", "Zgeq0", "Zge0", "Z>0", "Z>=0", "Zgeqslant0", "Q"]
)
_PARAMETERS = frozenset(["k", "n", "m", "l", "p", "t", "s", "C", "c"])
_INDICES = frozenset("ijkmn")
_DIFFERENTIALS = (sym("d"), sym("partial"))
_NAMING_FUNCTIONS = ("det", "Re", "Im", "arg", "max", "min")
_QUALIFIERS = ("where", "with", "for", "when", "and c", "integer", "any ", "is an")


def is_name(node: Node) -> bool:
    """Whether the left side of an equation only names what is on the right side."""
    op, args = node.op, node.args
    if op in ("sym", "text"):
        return True
    if op == "fn":
        return _is_unknown(node) or (node.value in _NAMING_FUNCTIONS and bool(symbols(node)))
    if op == "bigop":
        return node.value == "lim" or not any(
            _is_unknown(n) or (n.op == "sym" and "_" in str(n.value)) for n in walk(node)
        )
    if op in ("union", "inter", "minus"):
        return all(map(_is_capital, args))
    if op in ("abs", "norm", "deg", "unit"):
        return is_name(args[0]) and (_is_capital_name(args[0]) or _is_capital(args[0]))
    if op == "seq":
        return node.value in ("()", "<>") and all(a.op == "sym" or _is_unknown(a) for a in args)
    if op == "div" and all(a.op == "mul" and _is_differential(a.args[0]) for a in args):
        return True
    if op == "mul" and (
        args[0] in (sym("nabla"), sym("Delta"))
        or (args[0].op == "sym" and str(args[0].value).startswith("\\") and all(map(is_name, args[1:])))
        or (args[-1].op == "fn" and args[-1].value == "?angle")
        or all(map(_is_capital, args))
    ):
        return True
    return op in ("mul", "div", "ratio") and all(map(_is_capital_name, args))


def _is_unknown(node: Node) -> bool:
    return node.op == "fn" and str(node.value).startswith("?")


def _is_differential(node: Node) -> bool:
    return node in _DIFFERENTIALS or (node.op == "pow" and node.args[0] in _DIFFERENTIALS)


def _is_capital(node: Node) -> bool:
    return node.op == "sym" and str(node.value).isupper()


def _is_capital_name(node: Node) -> bool:
    """`AB`, `S_1`, `\\overline{AB}`."""
    if node.op == "mul":
        return all(map(_is_capital, node.args))
    if node.op != "sym":
        return False
    name = str(node.value)
    letters = name.rpartition(":")[2].partition("_")[0]
    return ":" in name or (letters.isupper() and (len(letters) > 1 or "_" in name or letters in "SV"))


def is_index_bound(item: Node, first: Node) -> bool:
    """Whether `k \\ge 0` bounds the index of the family before it: `n = 2^k, k \\ge 0`. Bounds are compared as they are written."""
    if item.op != "rel" or item.value not in (">=", ">") or first.op != "rel" or first.value != "=":
        return False
    letter, end = item.args[0], item.args[1]
    is_index = letter.op == "sym" and str(letter.value) in _INDICES and end.op == "num" and end.value in (0, 1)
    return is_index and str(letter.value) in symbols(first.args[-1]) and str(letter.value) not in symbols(first.args[0])


def is_qualifier(item: Node) -> bool:
    """Whether a member of a list says how to read the others: `k \\in \\mathbb{Z}`, `where C is a constant`."""
    if item.op == "rel" and item.args[0].op == "fn" and item.args[0].value in ("?forall", "?exists"):
        return True
    if item.op == "rel" and item.value in ("in", "notin") and item.args[0].op in ("sym", "seq"):
        where = item.args[1]
        is_parameter = str(item.args[0].value) in _PARAMETERS
        if where.op in ("const", "sym") and where.value in ("R", "C", "Z", "N"):
            return where.value in ("R", "C") or is_parameter
        return where.op == "const" and where.value in _INTEGER_SETS and is_parameter
    if item.op == "fn" and item.value == "?forall":
        return True
    return item.op == "text" and str(item.value).lower().startswith(_QUALIFIERS)
