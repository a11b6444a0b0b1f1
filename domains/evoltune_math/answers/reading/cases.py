"""Answers that differ by case, in words: `0 if n is even, 1 if n is odd`, `If n is even, 0; otherwise 1`.

    cases_in_words("0 if n is even, otherwise 1", read)  ->  Value of the cases (0, n is even), (1, otherwise)

They become what `\\begin{cases}` gives, so that one rule compares both.
"""

import re
from collections.abc import Callable

from evoltune_math.answers.kinds import Answer, Value, unnamed
from evoltune_math.answers.nodes import Node, seq, symbols
from evoltune_math.answers.syntax.grammar import Unreadable
from evoltune_math.answers.syntax.parser import parse

MAX_LENGTH, MAX_CASES = 300, 6
_KEYWORD = re.compile(
    r"\b(?:(if|when|whenever|for|where)\b(?!\s+(?:all|every|each|any|some)\b)|(?:or\s+|and\s+)?(otherwise|else\b(?!\s+if)|in\s+(?:the\s+other|all\s+other|any\s+other)\s+cases?))",
    re.I,
)
_KIND = r"(?:(?:an?\s+)?(?:even|odd|prime|composite|positive|negative|(?:not\s+)?(?:divisible\s+by|a\s+multiple\s+of)\s+\d+)(?:\s+(?:integer|number))?)"
_CONDITION = re.compile(
    rf"\s*(?:(?P<name>[A-Za-z])\s+(?:is\s+)?(?P<kind>{_KIND})|(?P<before>even|odd)\s+(?P<letter>[A-Za-z])"
    r"|(?P<relation>-?[\w^.\\]*\s?(?:[<>=≤≥≠]|\\(?:leqslant|geqslant|leq?|geq?|neq?|lt|gt|equiv)(?![A-Za-z]))(?:(?!,\s|;|\bthen\b|\band\b|\.\s).)+?))"
    r"(?=\s*(?:[,;.:]|$|\bthen\b|\band\b|\bor\b|\bit\b|\bthe\b|\bwe\b))",
    re.I,
)
_MARKUP = re.compile(r"\\(?:text|mathrm|textrm|mbox)\s*\{([^{}]*)\}")
_DELIMITER = re.compile(r"\$|\\[()]")
_JOINT = re.compile(
    r"^(?:[\s,;.:]|\b(?:then|and|but|or|while|we\s+get|we\s+have)\b)+|(?:[\s,;.:]|\b(?:and|but|or|while|else)\b)+$",
    re.I,
)
_LEAD = re.compile(r"(?:the|it|there|this|so|its|our)\b(?:\s+[a-z]+){0,4}?\s+(?:is|are|equals)\s+(?=\S+$)", re.I)
Read = Callable[[str], Answer]


def cases_in_words(text: str, read: Read) -> Value | None:
    """The answer as cases, or None where the text is none of them."""
    if len(text) > MAX_LENGTH or not _KEYWORD.search(text):
        return None
    plain = _DELIMITER.sub("", _MARKUP.sub(r" \1 ", text)).strip(" .")
    found = list(_KEYWORD.finditer(plain))
    if not 2 <= len(found) <= MAX_CASES or not found[0][1]:
        return None
    pieces = _split(plain, found)
    if pieces is None:
        return None
    rows = [_row(value, condition, read) for value, condition in pieces]
    known = [row for row in rows if row is not None]
    return Value(Node("cases", tuple(known))) if len(known) == len(rows) else None


def _split(text: str, found: list[re.Match[str]]) -> list[tuple[str, str]] | None:
    """(value, condition) of each case, as text; the last condition may be empty: otherwise."""
    first = _JOINT.sub("", text[: found[0].start()])
    pieces: list[tuple[str, str]] = []
    waiting = first
    for keyword, following in zip(found, [*found[1:], None], strict=True):
        rest = text[keyword.end() : following.start() if following else len(text)]
        condition = ""
        if keyword[1]:
            said = _CONDITION.match(rest)
            if said is None:
                return None
            condition, rest = said[0].strip(), rest[said.end() :]
        rest = _JOINT.sub("", rest)
        if first and not (waiting or condition):  # `0 if n is even, otherwise 1`
            waiting, rest = rest, ""
        pieces.append((waiting or rest, condition) if first else (rest, condition))
        waiting = rest if first else ""
    is_complete = not waiting and all(value for value, _ in pieces)
    has_one_else = all(condition for _, condition in pieces[:-1])
    return pieces if is_complete and has_one_else else None


def _row(value: str, condition: str, read: Read) -> Node | None:
    """A row as `\\begin{cases}` has it."""
    answer = unnamed(read(_LEAD.sub("", value)))
    if not isinstance(answer, Value) or answer.unit:
        return None
    if not condition:
        return seq("row", (answer.node, Node("text", (), "otherwise")))
    said = _CONDITION.match(condition)
    assert said is not None
    if said["relation"] is None:
        name, kind = (said["letter"], said["before"]) if said["before"] else (said["name"], said["kind"])
        return seq("row", (answer.node, Node("unit", (parse(name),), None, " ".join(kind.lower().split()))))
    try:
        where = parse(condition)
    except Unreadable:
        return None
    return seq("row", (answer.node, where)) if where.op in ("rel", "pmod") and symbols(where) else None
