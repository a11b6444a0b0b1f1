"""`\\begin{...} ... \\end{...}`: matrices, determinants, cases, and environments that only align."""

from evoltune_math.answers.nodes import EMPTY, Node, seq
from evoltune_math.answers.syntax.brackets import skip_group
from evoltune_math.answers.syntax.grammar import Cursor
from evoltune_math.answers.syntax.tokens import Token, Unreadable
from evoltune_math.answers.vocabulary import word_set

_MATRICES = word_set("matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix array psmallmatrix bsmallmatrix")
_CASES = ("cases", "dcases", "rcases")


def environment(cursor: Cursor, name: str) -> Node:
    """The node of an environment; the cursor is after `\\begin{name}`."""
    if name == "array" and cursor.peek().text in ("{", "["):
        skip_group(cursor, "{[", "}]")
    if name not in _MATRICES and not name.endswith("cases"):
        cursor.tokens[cursor.at :] = [t for t in cursor.tokens[cursor.at :] if t.text != "&"]
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
