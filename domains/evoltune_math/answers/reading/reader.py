"""The text of an answer -> Answer: cleaned up, trimmed, parsed and classified.

    read("\\\\boxed{\\\\textbf{(A) } 12}") -> Choice("A", Value(12));   read("twenty-five") -> Value(25)

No text raises: what is outside of the grammar or over a size limit becomes `Text` and is compared as text. Readings are
cached, so that an answer which extraction has read is not parsed again when it is verified.
"""

import re
from fractions import Fraction

from evoltune_math.answers.kinds import Answer, Text, Value
from evoltune_math.answers.limits import MAX_DEPTH, depth
from evoltune_math.answers.nodes import Node, bare_items, walk
from evoltune_math.answers.reading.classify import classify
from evoltune_math.answers.reading.cleanup import cached, closing_brace, normalised, plain_number
from evoltune_math.answers.reading.special_forms import special_form
from evoltune_math.answers.reading.trimming import is_prose, trimmed, without_lead
from evoltune_math.answers.syntax.lexer import tokenize
from evoltune_math.answers.syntax.parser import parse_tokens
from evoltune_math.answers.syntax.tokens import Token, Unreadable

MAX_TEXT = 12_000
_INT = r"(?:\{(\d+)\}|(\d+))"
_COMBINATIONS = (
    (re.compile(rf"(?<![\w\\])([CPA])_{_INT}\^{_INT}"), (2, 1, 4)),
    (re.compile(rf"(?:\{{\s*\}}|\\,)?\s?[_^]{_INT}\s?(?:\\mathrm\{{|\\text\{{)?([CP])\}}?_{_INT}"), (1, 3, 4)),
    (re.compile(rf"(?<![\w\\])(\d+)()([CP])_?{_INT}(?!\w)"), (1, 3, 4)),
    (re.compile(r"(?<![\w\\])([CP])\((\d+)(),\s?(\d+)()\)"), (2, 1, 4)),
)
"""Patterns of `C_5^2`, `{}_5C_2`, `5C2`, `C(5,2)`, and their groups of the top, the letter, the bottom (a number has two)."""
_SET_BUILDER = re.compile(r"^\{\s*\\?[A-Za-z()., ]{1,12}\s*(?:\||:|\\mid|\\in)")
_INTEGER_PARAMETER = re.compile(r"\(\s?([a-z])\s?\\in\s?\\math(?:bb|bf|rm)\s?\{?\s?[ZN]\}?[^()]{0,6}\)$")
_UNREADABLE = (
    Unreadable,
    RecursionError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""A fault of ours counts as outside of the grammar: the answer is still compared as text."""


def read(text: str, lists: bool = False) -> Answer:
    """The answer in `text`. `lists`: read `100,200,300` as three numbers."""
    return Text(text) if len(text) > MAX_TEXT else _read(normalised(text), lists)


@cached
def _read(text: str, lists: bool) -> Answer:
    number = plain_number(text)
    if number is not None:
        digits = text.lstrip("-") if "." in text else ""
        return Value(Node("dec" if digits else "num", (), number, digits))
    if text[:1] == "{" and _SET_BUILDER.search(text) and closing_brace(text, 0) == len(text) - 1:
        text = "\\" + text[:-1] + "\\}"
    if "C" in text or "P" in text or "A_" in text:
        text = _with_combinations(text)
    text = _INTEGER_PARAMETER.sub(r", \1 \\in \\mathbb{Z}", text)
    try:
        special = special_form(text, read)
        if special is not None:
            return special
        tokens = tokenize(text)
        if lists:
            tokens = [t for token in tokens for t in _split_thousands(token)]
        return _from_tokens(trimmed(tokens), text)
    except _UNREADABLE:
        return Text(text)


def _with_combinations(text: str) -> str:
    """`{}_5C_2`, `5C2`, `C_5^2` and `C(5,2)` as function calls."""
    for pattern, (top, letter, bottom) in _COMBINATIONS:

        def call(m: re.Match[str], top: int = top, letter: int = letter, bottom: int = bottom) -> str:
            name = "binom" if m[letter] == "C" else "perm"
            return f"\\operatorname{{{name}}}({m[top] or m[top + 1]},{m[bottom] or m[bottom + 1]})"

        text = pattern.sub(call, text)
    return text


def _split_thousands(token: Token) -> list[Token]:
    if token.kind != "num" or token.note or len(token.text) < 4 or not token.text.isdigit():
        return [token]
    head = len(token.text) % 3 or 3
    groups = [token.text[:head], *(token.text[i : i + 3] for i in range(head, len(token.text), 3))]
    found: list[Token] = []
    for group in groups:
        found += [Token("num", group, False, Fraction(int(group))), Token("op", ",")]
    return found[:-1]


def _from_tokens(tokens: list[Token], text: str) -> Answer:
    if not tokens or is_prose(tokens):
        return Text(text)
    try:
        return _parsed(tokens, text)
    except Unreadable:
        shorter = without_lead(tokens)
        if shorter is None:
            raise
        return _parsed(shorter, text)


def _parsed(tokens: list[Token], text: str) -> Answer:
    node = parse_tokens(list(tokens))
    if depth(node) > MAX_DEPTH:
        raise Unreadable(f"a tree of more than {MAX_DEPTH} levels")
    starts_with_text = node.op == "mul" and node.args[0].op == "text"
    if starts_with_text or (node.op == "seq" and any(n.op == "text" for n in bare_items(node))):
        shorter = without_lead(tokens)
        if shorter is not None:
            return _parsed(shorter, text)
    if node.op in ("text", "mul", "add", "neg", "pow") and any(n.op == "text" for n in walk(node)):
        return Text(text)
    return classify(node)
