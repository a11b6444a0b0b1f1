"""Whole answers that are a convention of their own: options, clock times, dates, remainders, parts (a) (b), points A(1,2).

`special(text)` -> Answer, or None when the text is for the parser. Each form is matched whole, by a linear pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from evoltune_math.answers.algebra.rational import Undefined, rational
from evoltune_math.answers.kinds import Answer, Choice, Group, Matrix, Named, Region, Span, Text, Value
from evoltune_math.answers.nodes import INF, NEG_INF, Node, const, num
from evoltune_math.answers.number_words import number_in_words
from evoltune_math.answers.reading.classify import typed
from evoltune_math.answers.vocabulary import word_set

Read = Callable[[str], Answer]
MAX_CONVENTION = 300
"""Longer texts follow none; the bound also keeps the recursion through `read` shallow."""

_CHOICE = re.compile(
    r"(?:\\(?:text|textbf|textrm|mathrm|mathbf|bf)\s*\{?\s*)?(?:(?:option|choice|answer)\s*)?"
    r"(?:\(\s*([A-Ja-j])\s*\)|([A-J])\s*[.):])\s*(?:\}|\b)?\s*([:.]?)(.*)",
    re.S | re.I,
)
_BARE_CHOICE = re.compile(r"(?:option|choice|answer|part)\s*\(?([A-Ja-j])\)?\.?", re.I)
_NOT_A_BODY = ("(", "^", "_", "[", ",", "+", "-", "=", "/", "\\cup", "\\cap", "\\in", "or ", "and ", "&")
_BASED = re.compile(r"([0-9A-Fa-f]+)_\{?(?:\\text\{)?(\d\d?|two|eight|sixteen|ten)\}?\}?")
_PREFIXED = re.compile(r"0x([0-9A-Fa-f]+)|0b([01]+)")
_ORDINAL = re.compile(r"(\d+)\s*(?:\^?\{?(?:\\text\{)?)?(?:st|nd|rd|th)\}*(?:\s+([a-z]+))?")
_ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
]
_BASES = {"two": 2, "eight": 8, "ten": 10, "sixteen": 16}
_TIME = re.compile(
    r"(\d{1,2})(?::(\d\d))?\s*(?:\\text\{|\\mathrm\{|~|\\,|\\ )*\s*([ap])\.?\s*m\.?\}*\.?", re.I
)
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = "(" + "|".join(f"{m[:3]}(?:{m[3:]})?\\.?" for m in _MONTHS) + ")"
_DATES = (
    re.compile(rf"{_MONTH}\s+(\d\d?)(?:st|nd|rd|th)?(?:,?\s+(\d{{4}}))?", re.I),
    re.compile(rf"(\d\d?)(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}(?:,?\s+(\d{{4}}))?", re.I),
)
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_REMAINDER = re.compile(r"(-?\d+)\s*,?\s*(?:with\s+)?(?:a\s+)?(?:remainder(?:\s+of)?|rem\.?|R|r)\s*(\d+)")
_PART = re.compile(r"\(?([a-h])\)\s+")
_POINT = re.compile(r"[A-Z]'?\s*(\([^()]*,[^()]*\))")
_ROWS = re.compile(r"\[\s*(-?[\d./]+(?:[ ,]+-?[\d./]+)*(?:\s*;\s*-?[\d./]+(?:[ ,]+-?[\d./]+)*)+)\s*\]")
_EXCEPT = re.compile(
    r"(?:x\s+is\s+)?(?:the\s+set\s+of\s+)?all\s+real\s*(?:s|numbers|values)?\s*(?:of\s+)?[a-z]?,?\s*"
    r"(?:except|excluding|but|other\s+than|not\s+equal\s+to|such\s+that|where|with|so\s+that)\s*(?:for|that)?\s*:?\s*(.+)",
    re.I | re.S,
)
_RESTATED = re.compile(r"(.*\S)\s+\(([^()]+)\)", re.S)
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|mathrm|textrm|mbox)\s*\{([^{}]*)\}")
_REMARKS = ("since ", "because ", "as ", "i.e", "that is", "or about", "approx", "about ")
_NOT_UNITS = word_set(
    "or and to the of more less than third thirds half quarter quarters if in by over times plus minus"
)
_EVERYTHING = frozenset(
    f"{lead}{what}".strip()
    for lead in ("all ", "the set of all ", "set of all ", "set of ", "every ", "any ", "", "the ")
    for what in ("real numbers", "reals", "real values", "real values of x", "real x", "real number", "real")
    if lead not in ("", "the ") or what in ("real numbers", "reals")
) | {
    "x is any real number",
    "x is a real number",
    "x can be any real number",
    "all x",
    "all values of x",
    "all values",
    "all numbers",
}


def special(bare: str, read: Read) -> Answer | None:
    """The answer, when the whole text follows one of the conventions."""
    if not bare:
        return Text("")
    if bare == "{}":
        return Group((), "{}")
    if len(bare) > MAX_CONVENTION:
        return None
    first = bare[0]
    found: Answer | None = None
    if first in "([\\ABCDEFGHIJOoCcPpa":
        found = _choice(bare, read) or _parts(bare, read)
    if found is None and (first.isdigit() or first == "-" or first.isalpha()):
        found = _clock(bare) or _based(bare)
    if found is None and first == "[" and ";" in bare:
        found = _semicolon_rows(bare)
    if found is None and (first.isalpha() or bare.startswith("\\text")):
        found = _words(bare, read)
    if found is None and bare[-1] == ")" and " (" in bare:
        found = _restated(bare, read)
    return found


def _choice(bare: str, read: Read) -> Answer | None:
    found = _BARE_CHOICE.fullmatch(bare)
    if found:
        return Choice(found[1].upper())
    found = _CHOICE.fullmatch(bare)
    if found is None or (found[3] == ":" and len(found[4].strip()) < 2):
        return None
    letter, body = found[1] or found[2], found[4].strip(" }~$").strip()
    if not letter.isupper() and (found[2] is not None or body):
        return None
    if not body:
        return Choice(letter.upper())
    return None if body.startswith(_NOT_A_BODY) else Choice(letter.upper(), read(body))


def _parts(bare: str, read: Read) -> Answer | None:
    """`(a) 5 (b) 6`: the parts in their order."""
    marks = list(_PART.finditer(bare))
    if len(marks) < 2 or marks[0].start() or "".join(m[1] for m in marks) != "abcdefgh"[: len(marks)]:
        return None
    ends = [*(m.start() for m in marks[1:]), len(bare)]
    return Group(
        tuple(read(bare[m.end() : end].strip(" ,;.")) for m, end in zip(marks, ends, strict=True)), "()"
    )


def _clock(bare: str) -> Answer | None:
    found = _TIME.fullmatch(bare)
    if found and int(found[1]) <= 12 and int(found[2] or 0) < 60:
        hour = int(found[1]) % 12 + (12 if found[3].lower() == "p" else 0)
        return Text(f"time {hour}:{int(found[2] or 0):02d}")
    plain = _TEXT_COMMAND.sub(r" \1 ", bare).strip()
    found = _REMAINDER.fullmatch(plain)
    if found:
        return Text(f"remainder {int(found[1])} {int(found[2])}")
    found = _ORDINAL.fullmatch(plain) or _ORDINAL.fullmatch(bare)
    if found:
        return Text(f"ordinal {int(found[1])} {found[2] or ''}")
    first, _, rest = plain.lower().partition(" ")
    if first in _ORDINALS and rest.isalpha() == bool(rest):
        return Text(f"ordinal {_ORDINALS.index(first) + 1} {rest}")
    found = _DATES[0].fullmatch(plain)
    if found:
        return _date(found[1], found[2], found[3])
    found = _DATES[1].fullmatch(plain)
    if found:
        return _date(found[2], found[1], found[3])
    found = _ISO.fullmatch(plain)
    return (
        _date(_MONTHS[int(found[2]) - 1], found[3], found[1]) if found and 1 <= int(found[2]) <= 12 else None
    )


def _date(month: str, day: str, year: str | None) -> Text:
    return Text(f"date {year or ''} {month[:3].lower()} {int(day)}")


def _based(bare: str) -> Answer | None:
    found = _PREFIXED.fullmatch(bare)
    if found:
        return Value(Node("base", (num(16 if found[1] else 2),), None, found[1] or found[2]))
    found = _BASED.fullmatch(bare)
    if found is None or found[1].isdigit():
        return None
    return Value(Node("base", (num(_BASES.get(found[2]) or int(found[2])),), None, found[1]))


def _semicolon_rows(bare: str) -> Answer | None:
    found = _ROWS.fullmatch(bare)
    if found is None:
        return None
    rows = tuple(tuple(re.split(r"[ ,]+", row.strip())) for row in found[1].split(";"))
    if len({len(r) for r in rows}) != 1 or (len(rows[0]) < 2 and len(rows) == 2):
        return None
    try:
        return Matrix(tuple(tuple(num(Fraction(cell)) for cell in row) for row in rows))
    except (ValueError, ZeroDivisionError):
        return None


def _words(bare: str, read: Read) -> Answer | None:
    text = _TEXT_COMMAND.sub(r"\1", bare).strip(" .$")
    if text[:3].lower() in ("all", "the", "x i") and (found := _EXCEPT.fullmatch(text.replace("$", ""))):
        return _excepted(read(found[1]))
    point = _POINT.fullmatch(bare)
    if point:
        return read(point[1])
    if len(text) > 200 or not re.fullmatch(r"[A-Za-z][A-Za-z ,'\-]*", text):
        return None
    if text.lower() == "half a dozen":
        return Value(num(6))
    if text.lower() in _EVERYTHING:
        return Region((Span(NEG_INF, INF, False, False),))
    return _counted(text.split())


def _counted(words: list[str]) -> Answer | None:
    """`twenty-five`, `seven dollars`, `fifty percent`."""
    for size in range(len(words), 0, -1):
        value = number_in_words(" ".join(words[:size]))
        if value is None:
            continue
        rest = words[size:]
        if any(w.lower() in _NOT_UNITS or number_in_words(w) is not None for w in rest):
            return None
        node = num(value) if value >= 0 else Node("neg", (num(-value),))
        if rest and rest[0].lower() in ("percent", "per"):
            return Value(Node("pct", (node,)))
        return Value(node, " ".join(rest))
    return None


def _restated(bare: str, read: Read) -> Answer | None:
    """`0.25 (25%)`, `5 (five)`: the same said twice, or a remark."""
    found = _RESTATED.fullmatch(bare)
    if found is None:
        return None
    outer, inner = read(found[1]), read(found[2])
    core = outer.value if isinstance(outer, Named) else outer
    if not isinstance(core, Value):
        return None
    if found[2].lower().startswith(_REMARKS):
        return outer
    if isinstance(inner, Text) and not any(c.isdigit() for c in inner.words):
        return outer
    if isinstance(inner, Value) and inner.node.op not in ("sym", "mul"):
        try:
            x, y = rational(core.node), rational(inner.node)
        except (Undefined, OverflowError):
            return None
        return outer if x is not None and x == y else None
    return None


def _excepted(without: Answer) -> Answer | None:
    """All reals but these; `all real numbers such that x > 2` is x > 2."""
    if isinstance(without, Region) and without.variable:
        return without
    if isinstance(without, Named):
        without = without.value
    items = without.items if isinstance(without, Group) else (without,)
    nodes = tuple(i.node for i in items if isinstance(i, Value))
    if len(nodes) != len(items):
        return None
    return typed(Node("minus", (const("R"), Node("seq", nodes, "{}"))))
