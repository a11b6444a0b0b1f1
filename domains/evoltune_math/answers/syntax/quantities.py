"""Numbers and what follows them: mixed numbers, units, `3 million`, percent, `3 to 4`, `1 out of 4`, `5 hours 30 minutes`."""

from fractions import Fraction

from evoltune_math.answers.nodes import Node, add, div, mul, num, walk
from evoltune_math.answers.syntax import scripts
from evoltune_math.answers.syntax.grammar import FRACTIONS, TIMES, Bind, Cursor, Token, Unreadable
from evoltune_math.answers.units import COUNTED, LETTER_UNITS, SHORT_UNITS, UNITS, part
from evoltune_math.answers.vocabulary import FUNCTIONS, GREEK, PARTS, SCALES

_PERCENT = frozenset(["percent", "pct", "percentage", "percents", "per cent", "percentage points"])
_NUMERIC_OPS = frozenset(["num", "dec", "neg", "div", "add", "mul", "pow", "pm", "base", "pct", "seq", "ratio", "root"])
MAX_UNIT_TOKENS = 14


def is_numeric(node: Node) -> bool:
    """Whether the tree is a number, which may have a unit."""
    return all(n.op in _NUMERIC_OPS or (n.op, n.value) in (("const", "pi"), ("fn", "sqrt")) for n in walk(node))


def mixed_number(cursor: Cursor, whole: Node) -> Node | None:
    """`11\\frac{5}{12}` and `11 5/12`: an integer before a proper fraction of integers; else nothing is taken."""
    token = cursor.peek()
    if token.is_cmd(*FRACTIONS):
        start, tokens = cursor.at, list(cursor.tokens)
        cursor.take()
        top, bottom = cursor.argument(), cursor.argument()
        if top.op == bottom.op == "num" and _is_proper(top.value, bottom.value):
            return add(whole, div(top, bottom))
        cursor.at, cursor.tokens = start, tokens
        return None
    below = cursor.peek(2)
    if token.kind == "num" and cursor.peek(1).text == "/" and below.kind == "num":
        assert token.value is not None and below.value is not None
        if _is_proper(token.value, below.value):
            cursor.at += 3
            return add(whole, div(num(token.value), num(below.value)))
    return None


def _is_proper(top: Fraction | str | None, bottom: Fraction | str | None) -> bool:
    assert isinstance(top, Fraction) and isinstance(bottom, Fraction)
    return 0 <= top < bottom and bottom.denominator == top.denominator == 1


def modulo(cursor: Cursor, left: Node, power: int) -> Node | None:
    """`10 mod 7` as the operation; `3 mod 7`, which is reduced already, is noted as a residue with its modulus."""
    node = cursor.binary(left, "mod", Bind.PRODUCT, power)
    if node is None or not all(n.op == "num" for n in node.args):
        return node
    residue, modulus = (n.value for n in node.args)
    return node._replace(note="residue") if _is_proper(residue, modulus) else node


def after_word(cursor: Cursor, left: Node, token: Token, power: int) -> Node | None:
    """`left` extended by the word at the cursor: a unit, a scale, `percent`, `mod`; otherwise a factor (`x sin(x)`)."""
    low = token.text.lower()
    joined = _joined(cursor, left, low, power)
    if joined is not None:
        return joined
    if low in ("choose", "over") and token.kind == "word":
        return None
    if low in _PERCENT or low in ("degrees", "degree", "deg") or low.startswith("degrees "):
        cursor.take()
        return Node("pct", (left,)) if low in _PERCENT else scripts.degrees(cursor, left)
    if is_numeric(left):
        if low in SCALES:
            cursor.take()
            return mul(left, num(SCALES[low]))
        if low in PARTS:
            cursor.take()
            return Node("div", (left, num(PARTS[low])))
        scale, _, unit = low.partition(" ")
        if scale in SCALES and unit:  # `5 \\text{ million dollars}`
            cursor.take()
            return Node("unit", (mul(left, num(SCALES[scale])),), None, unit)
        is_rate = low == "per" and cursor.peek(1).kind == "word" and cursor.peek(1).text.lower() not in SCALES
        if token.kind == "text" or is_rate or _is_unit(token.text):
            return with_unit(cursor, left)
    if token.kind == "text":
        measurable = all(n.op not in ("text", "rel") for n in walk(left))
        return with_unit(cursor, left) if measurable else None
    return cursor.juxtapose(left, power)


def _joined(cursor: Cursor, left: Node, low: str, power: int) -> Node | None:
    """Words that are operators."""
    if low == "per" and cursor.peek(1).text == "cent":
        cursor.at += 2
        return Node("pct", (left,))
    if is_numeric(left):
        is_out_of = low == "out" and cursor.peek(1).text == "of"
        is_ratio = low in ("to", "out of") and cursor.peek(1).kind not in ("word", "text")  # never `106 to Ben`
        if is_out_of or is_ratio or (low == "in" and cursor.peek(1).kind == "num"):
            cursor.at += is_out_of
            return cursor.binary(left, "ratio", Bind.RATIO, power)
    if low in ("mod", "modulo"):
        return modulo(cursor, left, power)
    if low in ("union", "cup") and cursor.peek(1).kind != "end":
        return cursor.binary(left, "union", Bind.UNION, power)
    is_sign = low in ("times", "cdot") and cursor.peek(1).kind not in ("end", "sep", "word", "text")
    return cursor.product(left, power) if is_sign else None


def _is_unit(word: str) -> bool:
    if word in SHORT_UNITS or word in COUNTED or word.lower() in UNITS or not word.isascii():
        return True
    return len(word) >= 4 and word not in FUNCTIONS and word not in GREEK


def is_rate(cursor: Cursor, left: Node) -> bool:
    """Whether the slash at the cursor is a unit's: `57500/year`, at the end."""
    unit = cursor.peek(1)
    return unit.kind == "word" and _is_unit(unit.text) and cursor.peek(2).kind in ("end", "sep") and is_numeric(left)


def with_unit(cursor: Cursor, left: Node) -> Node:
    """All words up to the next separator belong to the unit: `cm^2`, `m/s`, `miles per hour`, `square units`."""
    if cursor.peek().text[:1] == "-":  # `8\\text{-ish}`
        raise Unreadable("a word that is glued to a number")
    parts = [cursor.take().text]
    while True:
        token = cursor.peek()
        if (
            token.kind in ("text", "word", "sym")
            or token.is_op("/", "^", "-", "*", ".")
            or token.is_cmd(*TIMES)
            or (token.kind == "num" and parts[-1] in ("^", "-"))
        ):
            parts.append(cursor.take().text)
        elif token.is_op("{") and parts[-1] == "^":
            parts += _exponent(cursor)
        else:
            return _compound(cursor, Node("unit", (left,), None, " ".join(parts)), parts[-1])


def _exponent(cursor: Cursor) -> list[str]:
    cursor.take()
    parts = []
    while not cursor.accept("op", "}"):
        if cursor.peek().kind == "end":
            raise Unreadable("a unit's exponent is not closed")
        parts.append(cursor.take().text)
    return parts


def _compound(cursor: Cursor, measured: Node, last: str) -> Node:
    """`5 hours 30 minutes`, `1 hour and 30 minutes`."""
    skip = int(cursor.peek().kind == "sep" and cursor.peek().text == "and")
    if cursor.peek(skip).kind == "num" and part(cursor.peek(skip + 1).text, last) is not None:
        cursor.at += skip
        return Node("compound", (measured, with_unit(cursor, cursor.prefix())))
    return measured


def unit_ahead(cursor: Cursor) -> bool:
    """Whether `m/s^2`, `m^2` or `N m` follows up to the end or a separator, and not just one letter."""
    if cursor.peek(1).kind == "num" and cursor.peek(2).text.lower() in UNITS:
        return True
    seen = level = 0
    while (token := cursor.peek(seen)).kind not in ("end", "sep") and token.text not in (",", ";", ")", "]"):
        level += (token.text == "{") - (token.text == "}")
        if level < 0:
            break
        if seen > MAX_UNIT_TOKENS or not _in_unit(token):
            return False
        seen += 1
    return seen > 1


def _in_unit(token: Token) -> bool:
    if token.kind == "num" and token.text in ("1", "2", "3"):
        return True
    signs = ("/", "^", "{", "}", "-", "mu", "Omega")
    return token.text in LETTER_UNITS or token.text in SHORT_UNITS or token.text in TIMES or token.text in signs
