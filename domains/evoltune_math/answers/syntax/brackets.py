"""Everything that opens and closes: groups, tuples, sets, intervals, `|x|`, floors, `{x | x > 3}`, `\\begin{...}`.

Each function reads at the cursor, after the opening sign unless it says otherwise.
"""

from evoltune_math.answers.nodes import (
    EMPTY,
    Node,
    bare_items,
    difference,
    div,
    fn,
    neg,
    seq,
    size,
    substitute,
    symbols,
)
from evoltune_math.answers.syntax.grammar import Cursor, Token, Unreadable, closes
from evoltune_math.answers.vocabulary import word_set

MAX_BETWEEN_BOUNDS = 200  # nodes of an antiderivative; it is written twice, and brackets nest
_CLOSERS = frozenset([")", "]", "}", "\\}", "&"])
_ENDS = {"(": frozenset([")", "]"]), "[": _CLOSERS, "{": _CLOSERS, "\\{": _CLOSERS | {":", "|"}}
"""The signs that end the items after an opening bracket."""
_FITTING = {"(": ")]", "[": ")][", "{": "}", "\\{": "\\}"}
FENCES = {"lfloor": ("rfloor", "floor"), "lceil": ("rceil", "ceil"), "lvert": ("rvert", "abs"), "lVert": ("rVert", "norm")}  # fmt: skip
"""Opening command -> (closing command, function)."""
_MATRICES = word_set("matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix array psmallmatrix bsmallmatrix")
_IF = ("if", "for", "when", "where", "whenever", "for all")
_CASES = ("cases", "dcases", "rcases")


def is_divider(token: Token, opener: str) -> bool:
    """Whether the token divides a group in two: `n \\choose k`, `a \\over b`, `{x | x > 3}`."""
    if opener == "\\{":
        return token.is_op(":", "|") or token.is_cmd("mid", "colon", "vert", "middle")
    return token.text in ("choose", "over") and token.kind in ("cmd", "word")


def divided(cursor: Cursor, left: Node, opener: str, ends: bool = False) -> Node:
    """The group whose divider is at the cursor. `ends`: it may end with the text instead of a bracket."""
    divider = cursor.take().text
    right = cursor.items(lambda t: (ends and t.kind == "end") or t.is_op("}", ")", "\\}", "]"))
    if opener == "\\{":
        return Node("builder", (left, right))
    return fn("binom", left, right) if divider == "choose" else div(left, right)


def bracketed(cursor: Cursor, opener: str) -> Node:
    """A group, a tuple, a set or an interval; with the closing bracket."""
    ends = _ENDS[opener]
    outside, cursor.closers = cursor.closers, ([":"] if opener == "\\{" else [])
    inside = cursor.items(lambda t: t.text in ends if t.kind == "op" else is_divider(t, opener))
    if is_divider(cursor.peek(), opener):
        inside = divided(cursor, inside, opener)
    closer = cursor.take().text
    cursor.closers = outside
    if closer not in _FITTING[opener]:
        raise Unreadable(f"{opener!r} closed by {closer!r}")
    if opener == "{":
        return sealed(inside)
    if opener == "\\{":
        return inside if inside.op == "builder" else seq("{}", bare_items(inside))
    is_list = inside.op == "seq" and inside.value == ""
    if opener == "[" and closer == "]" and not is_list and cursor.peek().is_op("_"):
        return between_bounds(cursor, inside)
    if is_list or closer == "]" or opener == "[":
        return seq(opener + closer, bare_items(inside))
    return sealed(inside)


def between_bounds(cursor: Cursor, antiderivative: Node) -> Node:
    """`[x^2/2]_0^4` and `x^2/2 |_0^4`: the value at the upper bound less that at the lower one; the cursor is at `_`."""
    names = symbols(antiderivative)
    below, above = bounds(cursor)
    if len(names) != 1 or size(antiderivative) > MAX_BETWEEN_BOUNDS or below is None or above is None:
        raise Unreadable("bounds without one letter between them")
    (name,) = names
    low, high = (b.args[-1] if b.op == "rel" else b for b in (below, above))
    return difference(substitute(antiderivative, {name: high}), substitute(antiderivative, {name: low}))


def bounds(cursor: Cursor) -> tuple[Node | None, Node | None]:
    """What is written below and above an operator, in any order."""
    below = above = None
    while cursor.peek().is_op("_", "^"):
        mark = cursor.take().text
        signed = cursor.peek().text != "{" and cursor.accept("op", "-") is not None
        bound = neg(cursor.argument()) if signed else cursor.argument()
        below, above = (bound, above) if mark == "_" else (below, bound)
    return below, above


def half_open(cursor: Cursor, opener: str) -> Node:
    """French intervals: `[2, 5[` and `]a, b[`, with the closing bracket."""
    cursor.closers.append("[")
    inside = cursor.items(closes("[", "]", ")"))
    cursor.closers.pop()
    closer = cursor.take().text
    if opener == "[":
        return seq("[)" if closer == "[" else "[]", inside.args)
    if inside.op != "seq" or len(inside.args) != 2:
        raise Unreadable("']' without a partner")
    return seq("(]" if closer == "]" else "()", inside.args)


def vector(cursor: Cursor) -> Node:
    """Reads a vector `<1, 2>` after its `<`, and its `>`."""
    cursor.closers.append(">")
    inside = cursor.items(closes(">"))
    cursor.closers.pop()
    cursor.take()
    return seq("<>", bare_items(inside))


def bars(cursor: Cursor, op: str, closer: str) -> Node:
    """`|...|` and `||...||`, with the closing bars."""
    cursor.closers.append(closer)
    inside = cursor.expression(0)
    cursor.closers.pop()
    for _ in closer:
        if cursor.accept("op", "|") is None:
            command = cursor.accept("cmd", "vert", "rvert", "|", "Vert", "rVert")
            if command is None:
                raise Unreadable("a bar is not closed")
            if command.text in ("|", "Vert", "rVert"):
                break
    return Node("norm" if inside.op == "seq" else op, (inside,))


def fence(cursor: Cursor, name: str) -> Node:
    """`\\lfloor x \\rfloor`, `\\lvert x \\rvert`, `\\langle 1, 2 \\rangle`, with the closing command."""
    closer, op = FENCES.get(name, ("", ""))
    inside = cursor.items(lambda t: t.is_cmd(closer) if op else t.is_cmd("rangle", "rang"))
    cursor.take()
    if not op:
        return seq("<>", bare_items(inside))
    if op in ("floor", "ceil"):
        return fn(op, inside)
    return Node("norm" if inside.op == "seq" else op, (inside,))


def call(cursor: Cursor) -> tuple[Node, ...]:
    """The arguments in round brackets, with both brackets."""
    cursor.expect("op", "(")
    outside, cursor.closers = cursor.closers, []
    inside = cursor.items(closes(")"))
    cursor.closers = outside
    cursor.take()
    return bare_items(inside)


def skip_group(cursor: Cursor, opening: str = "{", closing: str = "}") -> bool:
    """Moves past a group, or past one token if no group opens here. Returns False if the group is never closed."""
    level = 0
    while True:
        token = cursor.take()
        if token.kind == "op":
            level += (token.text in opening) - (token.text in closing)
        if token.kind == "end" or level <= 0:
            return token.kind != "end"


def sealed(node: Node) -> Node:
    """The node after its bracket is closed: its last factor is no unit (`(5 m)` is a product)."""
    return node._replace(note="") if node.note == "unit?" else node


def environment(cursor: Cursor, name: str) -> Node:
    """The node of an environment; the cursor is after `\\begin{name}`."""
    if name == "array" and cursor.peek().text in ("{", "["):
        skip_group(cursor, "{[", "}]")
    if name not in _MATRICES and not name.endswith("cases"):
        cursor.tokens[cursor.at :] = [t for t in cursor.tokens[cursor.at :] if t.text != "&"]
    if name in _CASES:
        cursor.tokens[cursor.at :] = _without_if(cursor.tokens[cursor.at :])
    rows = _rows(cursor, name)
    if name == "array" and len(rows) == 1 and len(rows[0]) == 1:
        return rows[0][0]
    if rows and (name in _CASES or name == "array") and all(len(r) == 1 and r[0].op == "rel" for r in rows):
        return seq("", tuple(r[0] for r in rows))
    if name in _MATRICES:
        kind = "det" if name == "vmatrix" else name
        return Node("matrix", tuple(seq("row", r) for r in rows), None, kind)
    if name in _CASES:
        return Node("cases", tuple(seq("row", r) for r in rows))
    cells = tuple(c for r in rows for c in r if c != EMPTY)
    return cells[0] if len(cells) == 1 else seq("", cells)


def _without_if(tokens: list[Token]) -> list[Token]:
    """Without the words that only introduce a condition in cases: `x & \\text{if } x > 0`."""
    end = next((at for at, t in enumerate(tokens) if t.kind == "cmd" and t.text.startswith("end:")), len(tokens))
    return [t for at, t in enumerate(tokens) if at >= end or t.text.strip(" ,:").lower() not in _IF]


def _rows(cursor: Cursor, name: str) -> list[tuple[Node, ...]]:
    rows: list[tuple[Node, ...]] = []
    row: list[Node] = []
    outside, cursor.closers = cursor.closers, []
    while True:
        token = cursor.peek()
        if token.kind == "end":
            raise Unreadable(f"\\begin{{{name}}} is not closed")
        row.append(EMPTY if _ends_cell(token) else cursor.items(_ends_cell))
        mark = cursor.take()
        if not mark.is_op("&"):
            if row != [EMPTY]:
                rows.append(tuple(row))
            row = []
        if mark.text.startswith("end:"):
            cursor.closers = outside
            return rows


def _ends_cell(token: Token) -> bool:
    return token.is_op("&") or token.is_cmd("\\", "cr") or (token.kind == "cmd" and token.text[:4] == "end:")
