"""Answers as people say them: a sentence of one statement, times on a clock, bounds.

predicate("So the triangle is isosceles.")  ->  "isosceles"       clock("half past four")  ->  "4:30"
bound("n is at most 9", read)  ->  Region of n <= 9
"""

import re
from collections.abc import Callable

from evoltune_math.answers.algebra.intervals import region_of
from evoltune_math.answers.kinds import Answer, Region, Value
from evoltune_math.answers.nodes import Node, rel, sym, symbols
from evoltune_math.answers.vocabulary import number_in_words, word_set

MAX_SENTENCE = 160
_STATEMENT = re.compile(
    r"(?:(?:so|thus|hence|therefore|then)\b,?\s+)?(?P<subject>(?:the|it|there|this|that|these|those|they|[a-hj-z](?=\s+is\b))\b(?:\s+(?:[a-z'-]+|\d+(?:st|nd|rd|th))){0,9}?)\s+?"
    r"(?:is|are|was|were|(?:will|would|must) be)\s+(?:(?:facing|heading|pointing|called)\s+)?(?:(?:therefore|thus|hence|then|indeed|exactly|only|also)\s+)?(?P<said>[a-z][a-z '-]*?)[.!\s]*",
    re.I,
)
"""A sentence of words whose subject is no name, and what it says of it."""
_GENERAL = word_set(
    "the it there this that these those they a an of in on at for and or its his her their our your given following final correct above new "
    "resulting original answer answers result statement claim conclusion option choice value object thing figure shape"
)
"""Words of a subject that do not tell it from another."""
_AT_A_TIME = re.compile(r"[A-Za-z][A-Za-z ,'-]*\s+at\s+(\d{1,2}:\d\d(?:\s?[ap]\.?\s?m\b\.?)?)[.!\s]*", re.I)
_IN_TEXT = re.compile(r"\\(?:text|mathrm|textbf)\{\s*([^{}]*?)\s*\}\.?")
_CLOCK = re.compile(
    r"(?:(half)|(?:a\s+)?(quarter)|([a-z-]+|\d{1,2})(?:\s+minutes?)?)\s+(past|after|to|before)\s+([a-z]+|\d{1,2})(?:\s+o['’]?clock)?",
    re.I,
)
_SIGNS = {
    "at least": ">=", "no less than": ">=", "not less than": ">=", "no fewer than": ">=", "greater than or equal to": ">=",
    "at most": "<=", "no more than": "<=", "not more than": "<=", "not greater than": "<=", "no greater than": "<=", "less than or equal to": "<=",
    "more than": ">", "greater than": ">", "larger than": ">", "less than": "<", "fewer than": "<", "smaller than": "<",
}  # fmt: skip
_WORDS = "|".join(sorted(_SIGNS, key=len, reverse=True))
_BOUND = re.compile(
    rf"(?:\$?([A-Za-z])\$?\s+(?:is|must\s+be|has\s+to\s+be)\s+)?({_WORDS})\s+(\$?[-\\\d][^,;:=<>]*?)[.\s]*", re.I
)
_OR_MORE = re.compile(r"(-?\d[\d.,/]*)\s+or\s+(more|greater|higher|above|less|fewer|lower|below)[.\s]*", re.I)
_BETWEEN = re.compile(
    r"(?:\$?([A-Za-z])\$?\s+(?:is|lies|must\s+(?:be|lie))\s+)?(?:strictly\s+)?between\s+(\$?[-\\\d][^,;:=<>]*?)\s+and\s+(\$?[-\\\d][^,;:=<>]*?)(\s*,?\s*\(?inclusive\)?)?[.\s]*",
    re.I,
)
_UPWARDS = ("more", "greater", "higher", "above")


def predicate(text: str) -> str | None:
    """What a sentence says of its subject, or the time at which something happens; None for any other text."""
    if (found := _statement(text)) is not None:
        return found["said"]
    found = _AT_A_TIME.fullmatch(text) if len(text) <= MAX_SENTENCE else None
    return found[1] if found else None


def subject(text: str) -> str:
    """The words that say what a sentence is about: `perimeter` of `The perimeter is doubled`; "" for a pronoun and for other texts."""
    found = _statement(text)
    words = found["subject"].lower().split() if found else []
    return " ".join(word.removesuffix("s") for word in words if word not in _GENERAL or words == ["a"])


def are_different(subject: str, other: str) -> bool:
    """Whether two subjects share no word. A letter may stand for anything that has a name of words."""
    x, y = set(subject.split()), set(other.split())
    return bool(x and y) and x.isdisjoint(y) and (min(map(len, x)) > 1) == (min(map(len, y)) > 1)


def _statement(text: str) -> re.Match[str] | None:
    if len(text) > MAX_SENTENCE:
        return None
    inside = _IN_TEXT.fullmatch(text)
    return _STATEMENT.fullmatch(inside[1] if inside else text)


def clock(text: str) -> str | None:
    """The time that words name, as `special_forms` writes it."""
    found = _CLOCK.fullmatch(text)
    if found is None or ((found[3] or "").isdigit() and found[5].isdigit() and "minute" not in text):
        return None  # `3 to 4` is a ratio
    minutes = 30 if found[1] else 15 if found[2] else _count(found[3])
    hour, is_past = _count(found[5]), found[4].lower() in ("past", "after")
    if minutes is None or hour is None or not 0 < minutes < 60 or not 0 < hour <= 12 or (found[1] and not is_past):
        return None
    return f"time {hour}:{minutes:02d}" if is_past else f"time {hour - 1 or 12}:{60 - minutes:02d}"


def _count(word: str) -> int | None:
    value = int(word) if word.isdigit() else number_in_words(word)
    return int(value) if value is not None and value == int(value) else None


def bound(text: str, read: Callable[[str], Answer]) -> Region | None:
    """The numbers that a bound leaves: `at most 9`, `n is less than 9`, `9 or more`, `between 3 and 5`."""
    if found := _BETWEEN.fullmatch(text):
        low, high = read(found[2]), read(found[3])
        sign = "<=" if found[4] else "<"
        return _limited(f"{sign} {sign}", found[1] or "", low, sym(found[1] or "x"), high)
    if " and " in text and (both := _two_bounds(text, read)) is not None:
        return both
    found = _BOUND.fullmatch(text)
    if found:
        sign, end, name = _SIGNS[" ".join(found[2].lower().split())], found[3], found[1] or ""
    elif found := _OR_MORE.fullmatch(text):
        sign, end, name = ">=" if found[2].lower() in _UPWARDS else "<=", found[1], ""
    else:
        return None
    return _limited(sign, name, sym(name or "x"), read(end))


def _two_bounds(text: str, read: Callable[[str], Answer]) -> Region | None:
    """`at least 4 and less than 9`."""
    first, _, second = text.partition(" and ")
    low, high = _BOUND.fullmatch(first), _BOUND.fullmatch(second)
    if low is None or high is None or high[1]:
        return None
    signs = [_SIGNS[" ".join(b[2].lower().split())] for b in (low, high)]
    if signs[0][0] != ">" or signs[1][0] != "<":
        return None
    ends = f"{signs[0].replace('>', '<')} {signs[1]}"
    return _limited(ends, low[1] or "", read(low[3]), sym(low[1] or "x"), read(high[3]))


def _limited(signs: str, name: str, *members: Answer | Node) -> Region | None:
    """The numbers for which a chain of a name and plain values holds."""
    nodes: list[Node] = []
    for member in members:
        if isinstance(member, Value) and not (member.unit or member.degrees or symbols(member.node)):
            nodes.append(member.node)
        elif isinstance(member, Node):
            nodes.append(member)
        else:
            return None
    region = region_of(rel(signs, *nodes))
    return None if region is None else Region(region.spans, name)
