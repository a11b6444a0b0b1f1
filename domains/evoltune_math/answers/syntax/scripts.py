"""What is written above and below: powers, degree signs, primes, subscripts, bases; and names that are called."""

from fractions import Fraction

from evoltune_math.answers.nodes import ONE, Node, add, div, fn, neg, num, sym
from evoltune_math.answers.syntax.brackets import skip_group
from evoltune_math.answers.syntax.grammar import END, FUNCTION_LETTERS, Bind, Cursor, Unreadable, closes
from evoltune_math.answers.vocabulary import number_in_words

_NAMED_AT_NUMBERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdfghpqrstuvwy")


_MARK_WORDS = {1: ("minute", "minutes", "min", "arcminutes"), 2: ("second", "seconds", "sec", "arcseconds")}


def power(cursor: Cursor, left: Node) -> Node:
    """`left` with the exponent that follows; the cursor is at `^`."""
    cursor.take()
    if cursor.peek() == END:
        raise Unreadable("a power without an exponent")
    if cursor.accept("cmd", "circ", "degree"):
        return degrees(cursor, left)
    if cursor.accept("op", "*"):
        return _marked(left, "*")
    if cursor.peek().text == "{" and cursor.peek(1).text in ("circ", "prime") and cursor.peek(2).text == "}":
        is_prime = cursor.peek(1).text == "prime"
        cursor.at += 3
        return _marked(left, "'") if is_prime else degrees(cursor, left)
    if cursor.accept("cmd", "prime"):
        return _marked(left, "'")
    exponent = cursor.expression(Bind.POWER - 1)
    if left.op == "sym":
        name = str(left.value)
        if exponent == neg(ONE) and cursor.peek().text == "(" and name in FUNCTION_LETTERS:
            return maybe_call(cursor, sym(f"{name}^-1'"))
        if exponent.op == "sym" and exponent.value in ("T", "top", "c", "C") and name.isupper():
            return sym(f"{name}^{exponent.value}")  # a transpose or a complement
    return Node("pow", (left, exponent))


def _marked(node: Node, mark: str) -> Node:
    """A symbol with a star or a prime; `5^*` is not 5."""
    if node.op != "sym":
        raise Unreadable(f"{mark!r} on something that is no name")
    return node._replace(value=f"{node.value}{mark}")


def prime(cursor: Cursor, left: Node) -> Node:
    """`f'(x)`; the cursor is at the prime."""
    cursor.take()
    return maybe_call(cursor, _marked(left, "'"))


def degrees(cursor: Cursor, left: Node) -> Node:
    """`left` in degrees; the cursor is after the degree sign. Reads `45^\\circ 30'` and `^\\circ C` too."""
    for size in (60, 3600):  # minutes, then seconds
        if not (cursor.peek().kind == "num" and (length := _mark_length(cursor, 1 if size == 60 else 2))):
            break
        left = add(left, div(num(Fraction(cursor.take().value or 0)), num(size)))
        cursor.at += length
    scale = cursor.peek()
    if scale.kind == "sym" and scale.text in "CFK" and cursor.peek(1).kind in ("end", "sep"):
        cursor.take()
        return Node("unit", (left,), None, scale.text)
    if scale.kind == "word" and scale.text.lower() in ("celsius", "fahrenheit", "kelvin"):
        cursor.take()
        return Node("unit", (left,), None, scale.text[0].upper())
    if scale.kind == "text" and scale.text in ("C", "F", "K"):
        cursor.take()
    return Node("deg", (left,))


def _mark_length(cursor: Cursor, primes: int) -> int:
    """The number of tokens of the mark after the next number: `'`, `''`, `^{\\prime}`, `minutes`; 0 if it is none."""
    mark = cursor.peek(1)
    if mark.kind in ("word", "text") and mark.text.lower() in _MARK_WORDS[primes]:
        return 1
    if mark.is_op("'"):
        twice = cursor.peek(2).is_op("'")
        return primes if twice == (primes == 2) else 0
    if primes == 2 and mark.is_op('"'):
        return 1
    inside, length = (2, 1) if mark.is_op("^") else (0, 0)
    if inside and cursor.peek(inside).is_op("{"):
        inside, length = inside + 1, 3
    found = 0
    while inside and cursor.peek(inside + found).is_cmd("prime"):
        found += 1
    return length + found if found == primes else 0


def subscript(cursor: Cursor, left: Node) -> Node:
    """`x_1` as a name, `204_5` as a number in another base; the cursor is at `_`."""
    if left.op == "pow" and left.args[0].op == "sym":  # v^2_0
        return Node("pow", (subscript(cursor, left.args[0]), left.args[1]))
    cursor.take()
    if left.op in ("num", "dec"):
        return _in_base(cursor, left)
    start = cursor.at
    if not skip_group(cursor):
        raise Unreadable("a subscript is not closed")
    name = "".join(t.text for t in cursor.tokens[start : cursor.at] if t.text not in "{}")
    if left.op in ("sym", "fn", "text") and left.value is not None:
        return maybe_call(cursor, sym(f"{left.value}_{name}"))
    raise Unreadable("a subscript of something that is no name")


def _in_base(cursor: Cursor, number: Node) -> Node:
    word = cursor.peek(1) if cursor.peek().text == "{" else cursor.peek()
    written = cursor.argument()
    base = written.value if written.op == "num" else number_in_words(word.text) if word.kind == "text" else None
    if base is None:
        raise Unreadable("a number with a subscript that is no base")
    return Node("base", (num(int(base)),), None, number.note or str(number.value))


def maybe_call(cursor: Cursor, name: Node) -> Node:
    """`f(x)` if the name looks like a function's, if the brackets hold one other symbol, or symbols that `=` follows
    (`V(r, h) = ...`); otherwise the name."""
    token = cursor.peek()
    if not token.is_op("(") or token.space:
        return name
    letters, inner = str(name.value), cursor.peek(1)
    is_single = inner.kind in ("sym", "num") and cursor.peek(2).text == ")"
    is_symbol = is_single and inner.kind == "sym" and inner.text not in ("i", "e", letters)
    is_named = cursor.peek(3).is_op("=") and letters in _NAMED_AT_NUMBERS  # `T(10) = 2`
    is_indexed = (is_single and ("_" in letters or is_named)) or (is_symbol and len(letters) == 1)
    if not (is_indexed or "'" in letters or letters in FUNCTION_LETTERS or _defines(cursor)):
        return name
    cursor.take()
    inside = cursor.items(closes(")"))
    cursor.expect("op", ")")
    return fn("?" + letters, *(inside.args if inside.op == "seq" else (inside,)))


def _defines(cursor: Cursor) -> bool:
    """Whether several symbols in brackets and an equals sign follow; the cursor is at the bracket."""
    at = 1
    while cursor.peek(at).kind == "sym" and cursor.peek(at + 1).is_op(","):
        at += 2
    return (
        at > 1 and cursor.peek(at).kind == "sym" and cursor.peek(at + 1).is_op(")") and cursor.peek(at + 2).is_op("=")
    )
