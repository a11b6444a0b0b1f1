"""Numbers and the words behind them: units, scales, percent, `3 to 4`, `1 out of 4`, `5 hours 30 minutes`.

Called by the parser with the cursor on the word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evoltune_math.answers.nodes import Node, num
from evoltune_math.answers.syntax import commands
from evoltune_math.answers.syntax.lexer import Token, Unreadable
from evoltune_math.answers.vocabulary import FUNCTIONS, GREEK, LETTER_UNITS, SCALE_WORDS, SHORT_UNITS, UNITS

if TYPE_CHECKING:
    from evoltune_math.answers.syntax.parser import Parser

UNION, RATIO, PRODUCT = 15, 18, 30
TIMES = frozenset(["cdot", "times", "ast", "bullet", "star"])
_PERCENT = frozenset(["percent", "pct", "percentage", "percents", "per cent", "percentage points"])


def words(parser: Parser, left: Node, token: Token, power: int) -> Node | None:
    """A word after a value: a unit, a scale, `percent`, `mod`; otherwise a factor (`x sin(x)`, `2xy`)."""
    low = token.text.lower()
    joined = _joining(parser, left, low, power)
    if joined is not None:
        return joined
    if low in ("choose", "over") and token.kind == "word":
        return None
    if low in _PERCENT:
        parser.at += 1
        return Node("pct", (left,))
    if low in ("degrees", "degree", "deg") or low[:8] == "degrees ":
        parser.at += 1
        return Node("deg", (left,))
    if low in SCALE_WORDS and commands.numeric(left):
        parser.at += 1
        return Node("mul", (left, num(SCALE_WORDS[low])))
    if commands.numeric(left) and (token.kind == "text" or _unit_word(token.text)):
        return unit(parser, left)
    if token.kind == "text":
        return unit(parser, left) if commands.measurable(left) else None
    return parser.juxtapose(left, power)


def _joining(parser: Parser, left: Node, low: str, power: int) -> Node | None:
    """Words that are operators."""
    if low == "per" and parser.peek(1).text == "cent":
        parser.at += 2
        return Node("pct", (left,))
    if commands.numeric(left):
        if low in ("to", "out of") or (low == "in" and parser.peek(1).kind == "num"):
            return parser.binary(left, "ratio", RATIO, power)
        if low == "out" and parser.peek(1).text == "of":
            parser.at += 1
            return parser.binary(left, "ratio", RATIO, power)
    if low == "mod":
        return parser.binary(left, "mod", PRODUCT, power)
    if low in ("union", "cup"):
        return parser.binary(left, "union", UNION, power)
    return parser.product(left, power) if low in ("times", "cdot") else None


def _unit_word(word: str) -> bool:
    known = word in SHORT_UNITS or word.lower() in UNITS or not word.isascii()
    return known or (len(word) >= 4 and word not in FUNCTIONS and word not in GREEK)


def unit(parser: Parser, left: Node) -> Node:
    """All words up to the next separator belong to the unit: `cm^2`, `m/s`, `miles per hour`, `square units`."""
    parts = [parser.take().text]
    while True:
        token = parser.peek()
        sign = token.kind == "op" and token.text in ("/", "^", "-", "*", ".")
        if (
            token.kind in ("text", "word", "sym")
            or sign
            or (token.kind == "cmd" and token.text in TIMES)
            or (token.kind == "num" and parts[-1] in ("^", "-"))
        ):
            parts.append(parser.take().text)
        elif token.kind == "op" and token.text == "{" and parts[-1] == "^":
            _exponent(parser, parts)
        else:
            return _compound(parser, Node("unit", (left,), None, " ".join(parts)), parts[-1])


def _exponent(parser: Parser, parts: list[str]) -> None:
    parser.take()
    while not parser.accept("op", "}"):
        if parser.peek().kind == "end":
            raise Unreadable("a unit's exponent is not closed")
        parts.append(parser.take().text)


def _compound(parser: Parser, measured: Node, last: str) -> Node:
    """`5 hours 30 minutes`, `1 hour and 30 minutes`."""
    skip = 1 if parser.peek().kind == "sep" and parser.peek().text == "and" else 0
    number, name = parser.peek(skip), parser.peek(skip + 1)
    known = UNITS.get(last) or UNITS.get(last.lower())
    other = UNITS.get(name.text) or UNITS.get(name.text.lower())
    if number.kind == "num" and known is not None and other is not None and known[0] == other[0]:
        parser.at += skip
        return Node("compound", (measured, unit(parser, parser.prefix())))
    return measured


def unit_ahead(parser: Parser) -> bool:
    """Whether `m/s^2`, `m^2` or `N m` follows up to the end or a separator, not just one letter."""
    if parser.peek(1).kind == "num" and parser.peek(2).text.lower() in UNITS:
        return True
    seen = level = 0
    while (token := parser.peek(seen)).kind not in ("end", "sep") and token.text not in (",", ";", ")", "]"):
        level += (token.text == "{") - (token.text == "}")
        if level < 0:
            break
        letter = token.text in LETTER_UNITS or token.text in SHORT_UNITS
        fits = letter or token.text in ("/", "^", "{", "}", "-", "mu", "Omega") or token.text in TIMES
        if (not fits and not (token.kind == "num" and token.text in ("1", "2", "3"))) or seen > 14:
            return False
        seen += 1
    return seen > 1
