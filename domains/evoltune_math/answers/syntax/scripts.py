"""What stands above and below: powers, degree signs, primes, subscripts, bases; and names that are called.

Functions of the parser, which is at the sign `^`, `_` or behind the name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evoltune_math.answers.nodes import Node, fn, num, sym
from evoltune_math.answers.syntax.lexer import END, Unreadable
from evoltune_math.answers.vocabulary import number_in_words

if TYPE_CHECKING:
    from evoltune_math.answers.syntax.parser import Parser

POWER = 50
_FUNCTION_LETTERS = frozenset(
    ["f", "g", "h", "F", "G", "H", "P", "phi", "varphi", "psi", "Phi", "Pr", "q", "Q"]
)


def power(parser: Parser, left: Node) -> Node:
    parser.at += 1
    if parser.peek() == END:
        raise Unreadable("a power without an exponent")
    if parser.accept("cmd", "circ", "degree"):
        return degrees(parser, left)
    if parser.accept("op", "*"):
        return left._replace(value=f"{left.value}*") if left.op == "sym" else left
    if parser.peek().text == "{" and parser.peek(1).text in ("circ", "prime") and parser.peek(2).text == "}":
        prime = parser.peek(1).text == "prime"
        parser.at += 3
        return left._replace(value=f"{left.value}'") if prime and left.op == "sym" else degrees(parser, left)
    if parser.accept("cmd", "prime"):
        return left._replace(value=f"{left.value}'") if left.op == "sym" else left
    exponent = parser.expression(POWER - 1)
    if (
        left.op == "sym"
        and exponent == Node("neg", (num(1),))
        and parser.peek().text == "("
        and str(left.value) in _FUNCTION_LETTERS
    ):
        return called(parser, sym(f"{left.value}^-1'"))
    if (
        left.op == "sym"
        and exponent.op == "sym"
        and exponent.value in ("T", "top", "c", "C")
        and str(left.value).isupper()
    ):
        return sym(f"{left.value}^{exponent.value}")
    return Node("pow", (left, exponent))


def degrees(parser: Parser, left: Node) -> Node:
    if parser.peek().kind == "num" and parser.peek(1).text == "'":  # 45 degrees 30'
        minutes = parser.take().value
        assert minutes is not None
        parser.at += 1
        return Node("deg", (Node("add", (left, Node("div", (num(minutes), num(60))))),))
    scale = parser.peek()
    if scale.kind == "sym" and scale.text in "CFK" and parser.peek(1).kind in ("end", "sep"):
        parser.at += 1
        return Node("unit", (left,), None, scale.text)
    if scale.kind == "text" and scale.text in ("C", "F", "K"):
        parser.at += 1
    return Node("deg", (left,))


def subscript(parser: Parser, left: Node) -> Node:
    parser.at += 1
    below = parser.peek()
    if left.op in ("num", "dec"):
        named = parser.peek(1) if below.text == "{" else below
        digits = parser.argument()
        base = digits.value if digits.op == "num" else None
        if base is None and named.kind == "text":
            base = number_in_words(named.text)
        if base is None:
            raise Unreadable("a number with a subscript that is no base")
        return Node("base", (num(int(base)),), None, left.note or _digits(left))
    if left.op == "pow" and left.args[0].op == "sym":  # v^2_0
        parser.at -= 1
        return Node("pow", (subscript(parser, left.args[0]), left.args[1]))
    start = parser.at
    parser.skip()
    name = "".join(t.text for t in parser.tokens[start : parser.at] if t.text not in "{}")
    if left.op in ("sym", "fn", "text") and left.value is not None:
        return called(parser, sym(f"{left.value}_{name}"))
    raise Unreadable("a subscript of something that is no name")


def called(parser: Parser, name: Node) -> Node:
    """`f(x)`: a name before brackets is a function when it looks like one, or when the brackets hold one symbol."""
    token = parser.peek()
    if token.text == "(" and token.kind == "op" and not token.space:
        inner = parser.peek(1)
        lone = inner.kind in ("sym", "num") and parser.peek(2).text == ")"
        lone_symbol = (
            lone and inner.kind == "sym" and inner.text not in ("i", "e") and len(str(name.value)) == 1
        )
        if (
            ("_" in str(name.value) and lone)
            or str(name.value).rstrip("'") in _FUNCTION_LETTERS
            or lone_symbol
            or "'" in str(name.value)
        ):
            parser.at += 1
            inside = parser.items(lambda t: t.kind == "op" and t.text == ")")
            parser.expect("op", ")")
            args = inside.args if inside.op == "seq" else (inside,)
            return fn("?" + str(name.value), *args)
    return name


def _digits(node: Node) -> str:
    return node.note or str(node.value)
