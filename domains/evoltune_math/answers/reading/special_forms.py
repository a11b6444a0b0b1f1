"""Answers whose whole text follows a convention: options, clock times, dates, remainders, parts (a) (b), points A(1,2).

    special_form("(B) 12", read) -> Choice("B", Value(12));   special_form("3:05 pm", read) -> Text("time 15:05")

Each form is matched as a whole, by a pattern that takes linear time.
"""

import re
from collections.abc import Callable
from fractions import Fraction

from evoltune_math.answers.algebra.rational import known_rational
from evoltune_math.answers.kinds import Answer, Choice, Group, Matrix, Named, Ratio, Region, Span, Text, Value, unnamed
from evoltune_math.answers.nodes import INF, NEG_INF, Node, const, neg, num, sym
from evoltune_math.answers.reading.classify import classify
from evoltune_math.answers.reading.cleanup import plain_number
from evoltune_math.answers.reading.spoken import bound, clock
from evoltune_math.answers.units import known
from evoltune_math.answers.vocabulary import number_in_words, word_set

Read = Callable[[str], Answer]
MAX_LENGTH = 300  # longer texts follow no convention; the bound also keeps the recursion through `read` shallow
MAX_WORDS_LENGTH = 200

_CHOICE = re.compile(
    r"(?:\\(?:text|textbf|textrm|mathrm|mathbf|bf)\s*\{?\s*)?(?:(?:option|choice|answer)\s*)?"
    r"(?:\(\s*([A-Ja-j])\s*\)|([A-J])\s*[.):])\s*(?:\}|\b)?\s*([:.]?)(.*)",
    re.S | re.I,
)
_NUMBERED_PART = re.compile(r"\([a-j]\)\s+\$?-?\\?\$?\d(?!.*\([a-j]\)\s)")
"""`(c) 12`: an option or a part with its number; `(c)12` is a product."""
_LONE_CHOICE = re.compile(r"(?:option|choice|answer|part)\s*\(?([A-Ja-j])\)?\.?", re.I)
_SEVERAL_CHOICES = re.compile(r"\([A-F]\)(?:(?:\s?,|\s?and)?\s?\([A-F]\)){1,5}")
_NO_BODY = ("(", "^", "_", "[", ",", "+", "-", "=", "/", "\\cup", "\\cap", "\\in", "or ", "and ", "&")
"""What continues an expression that starts with a letter in brackets."""
_BASED = re.compile(r"(?:\\(?:text|mathrm)\{)?([0-9A-Fa-f]+)\}?_\{?(?:\\text\{)?(\d\d?|two|eight|sixteen|ten)\}?\}?")
_PREFIXED = re.compile(r"0x([0-9A-Fa-f]+)|0b([01]+)")
_ORDINAL = re.compile(
    r"(?:the\s+)?(\d+)\s*(?:\^?\s*\{?\s*(?:\\(?:text|mathrm|textrm)\s?\{)?)?\s*(?:st|nd|rd|th)\s*\}*(?:\s+((?:[a-z]+\s+)?from\s+the\s+[a-z]+|[a-z]+))?",
    re.I,
)
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
_BASES = {"two": 2, "eight": 8, "ten": 10, "sixteen": 16}
_TIME = re.compile(r"(\d{1,2})(?::(\d\d))?\s*(?:\\text\{|\\mathrm\{|~|\\,|\\ )*\s*([ap])\.?\s*m\.?\}*\.?", re.I)
_MINUTES = re.compile(r"\d{1,2}:0[1-9]")  # a ratio has no zero before a digit
_CLOCK = re.compile(
    r"(\d{1,2})(?::00)?\s*o['’]?\s?clock(?:\s*(noon|midnight|[ap]\.?\s?m\.?))?|(12(?::00)?\s*)?(noon|midnight)", re.I
)
_TIME_OF_DAY = re.compile(
    r"(\d{1,2}(?::\d\d)?)\s*(?:o['’]?\s?clock\s+)?(?:in\s+the\s+(morning)|in\s+the\s+(?:afternoon|evening)|at\s+night)",
    re.I,
)
_COMPARED = re.compile(
    r"([\w-]+(?: [a-z-]+)?|-?\d+\.\d+)\s+(more|greater|larger|higher|less|fewer|smaller|lower)\s+than\s+(-?\d[\d,]*(?:\.\d+)?|[a-z-]+)",
    re.I,
)
"""`two more than 5`."""
_SHARE = re.compile(
    r"((?:[a-z]+-)?[a-z]+(?: [a-z]+)?|\d+/\d+|\\[dt]?frac\{\d+\}\{\d+\}|\d+(?:\.\d+)?\s?(?:\\?%|per\s?cent))\s+of\s+(-?\d[\d,]*(?:\.\d+)?)(?:\s+([a-z]+))?",
    re.I,
)
"""`two-thirds of 9`, `20% of 50`."""
_OPERATION = re.compile(
    r"(?:the\s+)?(sum|product|quotient|difference)\s+(?:of|between)\s+(\d[\d,]*(?:\.\d+)?)\s+and\s+(\d[\d,]*(?:\.\d+)?)",
    re.I,
)
_COMPUTATION = re.compile(
    r"(\d[\d.,]*) (plus|minus|times|divided by) (\d[\d.,]*) (?:is|makes?|gives?|equals) (\d[\d.,]*(?: [a-z]+)?)", re.I
)
"""`9 plus 8 is 17`."""
_OPERATORS = {"sum": "+", "product": "*", "quotient": "/", "plus": "+", "minus": "-", "times": "*", "divided by": "/"}
_A_PERCENTAGE = re.compile(r"an?\s+(\d+(?:\.\d+)?\s?\\?%\s+[a-z]+)", re.I)
"""`a 20% discount`."""
_KIND = re.compile(r"(?:an?\s+)?(\d+(?:\.\d+)?)-([a-z]+)(?:\s+[a-z]+){1,3}", re.I)
"""`a 5-gallon tank`, `a 12-foot ladder`"""
_PERCENT = re.compile(r"\s?(?:\\?%|per\s?cent)$", re.I)
_ODDS = re.compile(r"odds (in favor |against |)(\d{1,9}) to (\d{1,9})")
"""As extraction writes them: the chances for it to those against it, or the other way round."""
_CHANCE = re.compile(
    r"(?:an?\s+)?(\d+|[a-z]+)[\s-]+(?:in|out[\s-]of)[\s-]+(\d[\d,]*|[a-z]+(?:[\s-][a-z]+){0,3}?)(?:\s+(?:chances?|probability))?",
    re.I,
)
"""`one in 36`, `a 5 in 16 chance`."""
_OPTIONS = re.compile(
    r"(?:(?:the|only|both)\s+)*(?P<lead>(?:options?|choices?|answers?|statements?)\s+)?(?P<letters>(?:[A-J]|[IV]{1,3})(?:,\s*(?:[A-J]|[IV]{1,3}))*,?\s+and\s+(?:[A-J]|[IV]{1,3}))"
    r"(?P<verdict>\s+(?:only|(?:are|must be)(?:\s+(?:all|both))?(?:\s+the)?\s+(?:correct|true|right|valid|answers?)(?:\s+(?:options|choices|answers|statements|ones))?))?",
    re.I,
)
"""`Options A, B and D are correct`."""
_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = "(?P<month>" + "|".join(f"{m[:3]}(?:{m[3:]})?\\.?" for m in _MONTHS) + ")"
_DAY, _YEAR = r"(?P<day>\d\d?)(?:st|nd|rd|th)?", r"(?:,?\s+(?P<year>\d{4}))?"
_DATES = (re.compile(rf"{_MONTH}\s+{_DAY}{_YEAR}", re.I), re.compile(rf"{_DAY}\s+(?:of\s+)?{_MONTH}{_YEAR}", re.I))
_ISO_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_REMAINDER = re.compile(r"(-?\d+)\s*,?\s*(?:with\s+)?(?:a\s+)?(?:remainder(?:\s+of)?|rem\.?|R|r)\s*(\d+)")
_PART = re.compile(
    r"(?<!\S)(?:\(?([a-h]|i{1,3}|iv|[1-6])\)|(?:part|question|problem)\s\(?([A-Fa-f]|[1-6])\)?[.:])\s+", re.I
)
_PART_NAMES = (list("abcdefgh"), ["i", "ii", "iii", "iv"], list("123456"))
_POINT = re.compile(r"[A-Z]'?\s*(\((?!\s*\\\{)[^()]*,[^()]*\))")
_ROWS = re.compile(r"\[\s*(-?[\d./]+(?:[ ,]+-?[\d./]+)*(?:\s*;\s*-?[\d./]+(?:[ ,]+-?[\d./]+)*)+)\s*\]")
_EXCEPT = re.compile(
    r"(?:x\s+is\s+)?(?:the\s+set\s+of\s+)?(?:all|every|any)\s+real\s*(?:s|numbers?|values?)?\s*(?:of\s+)?[a-z]?,?\s*"
    r"(?:except|excluding|but|other\s+than|not\s+equal\s+to|such\s+that|where|with|so\s+that)\s*(?:for|that)?\s*:?\s*(.+)",
    re.I | re.S,
)
_NUMBER_KIND = "odd|even|prime|composite|positive|negative|non-?negative|non-?zero|square-?free|rational|irrational"
_KIND_WORDS = re.compile(
    rf"(?:(?:for|by)\s+)?(?:(?:all|every|any|each|an?|exactly|precisely|the)\s+)*((?:(?:{_NUMBER_KIND})\s+)*(?:{_NUMBER_KIND}))(?:\s+(?:integers?|numbers?|naturals?|values?(?:\s+of)?))*(?:\s+[a-z])?"
    rf"|(?:(?:for|if)\s+)?[a-z]\s+(?:(?:is|must\s+be|are)\s+)?(?:an?\s+)?((?:(?:{_NUMBER_KIND})\s+)*(?:{_NUMBER_KIND}))(?:\s+(?:integer|number)s?)?",
    re.I,
)
"""`all odd positive integers`, `n is odd`."""
_ALL_BOUNDED = re.compile(
    r"(?:all|every|any)\s+real\s+(?:numbers?|values?)\s+(?:[a-z]\s+)?(?:that\s+(?:are|is)\s+)?((?:at|greater|less|more|between|strictly|no|not|larger|smaller)\b.+)",
    re.I,
)
"""`all real numbers greater than 1`"""
_SIGNED = re.compile(r"(?:positive|negative) [a-z]")
_MORE_OF = re.compile(
    r"(?:an?\s+)?(-?\d[\d,]*(?:\.\d+)?|[a-z]+)\s+((?:more|fewer|less|additional|extra)(?:\s+[a-z]+){1,3}\s+than\s+(?!\d)[a-z'’ ]+)",
    re.I,
)
"""`6 more girls than boys`."""
_BELOW_ZERO = re.compile(
    r"(\d+(?:\.\d+)?)\s*(?:degrees?|°|\^\{?\\circ\}?)?\s*((?:[CF]|celsius|fahrenheit)\s+)?below\s+zero", re.I
)
_POINTS = re.compile(r"[A-Z]'?\s?\([^()]*,[^()]*\)(?:(?:\s*[,;]\s*(?:and\s+)?|\s+and\s+)[A-Z]'?\s?\([^()]*,[^()]*\))+")
"""`A(1, 2), B(3, 4)`"""
_RESTATED = re.compile(r"(.*\S)\s+\(([^()]+)\)", re.S)
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|mathrm|textrm|mbox)\s*\{([^{}]*)\}")
_WORDS = re.compile(r"[A-Za-z][A-Za-z ,'\-]*")
_REMARKS = ("since ", "because ", "as ", "i.e", "that is", "or about", "approx", "about ")
_TIMES = ("once", "twice", "thrice")
_NOT_UNITS = word_set(
    "or and to the of more less than third thirds half quarter quarters if in by over times plus minus"
)
_EVERYTHING = frozenset(
    f"{lead}{what}".strip()
    for lead in ("all ", "the set of all ", "set of all ", "set of ", "every ", "any ", "", "the ")
    for what in ("real numbers", "reals", "real values", "real values of x", "real x", "real number", "real")
    if lead not in ("", "the ") or what in ("real numbers", "reals")
).union(["x is any real number", "x is a real number", "x can be any real number"])
_EVERYTHING |= {"all x", "all values of x", "all values", "all numbers"}


_EVERY_REAL = re.compile(r"(?:for\s+)?(?:all|every|any|each)\s+real(?:\s+(?:numbers?|values?))?(?:\s+of)?(?:\s+[a-z])?")


def special_form(text: str, read: Read) -> Answer | None:
    """The answer if the whole text follows one of the conventions, else None. `read` reads its parts."""
    if not text:
        return Text("")
    if text == "{}":
        return Group((), "{}")
    if len(text) > MAX_LENGTH:
        return None
    first = text[0]
    found: Answer | None = None
    if first in "([\\ABCDEFGHIJOoCcPpaiQq1":
        found = _parts(text, read) or _choice(text, read)
    if found is None and text.startswith(("\\text{", "\\mathrm{")):
        found = _in_base(text)
    if found is None and (first.isalnum() or first == "-"):
        found = _dated(text) or _in_base(text) or _difference(text) or _share(text)
    if found is None and first in "aAtTspdq0123456789" and (plain := _in_plain(text)) is not None:
        found = read(plain)
    if found is None and first == "[" and ";" in text:
        found = _matrix_rows(text)
    if found is None and (first.isalpha() or text.startswith("\\text")):
        found = _words(text, read)
    if found is None and text[-1] == ")" and " (" in text:
        found = _restated(text, read)
    return found


def is_special_text(answer: Text) -> bool:
    """Whether the text stands for a time, a date, a remainder or an ordinal."""
    return answer.words.startswith(("time ", "date ", "remainder ", "ordinal "))


def _choice(text: str, read: Read) -> Answer | None:
    found = _LONE_CHOICE.fullmatch(text)
    if found:
        return Choice(found[1].upper())
    if _SEVERAL_CHOICES.fullmatch(text):
        return read(", ".join(re.findall("[A-F]", text)))
    found = _CHOICE.fullmatch(text)
    if found is None or (found[3] == ":" and len(found[4].strip()) < 2):
        return None
    letter, body = found[1] or found[2], found[4].lstrip("}").strip(" ~$")
    if text.startswith(("\\text", "\\math", "\\bf")) and body.count("}") > body.count("{"):
        body = body.removesuffix("}").strip()
    if not letter.isupper() and (found[2] is not None or (body and not _NUMBERED_PART.match(text))):
        return None
    if not body:
        return Choice(letter.upper())
    return None if body.startswith(_NO_BODY) else Choice(letter.upper(), read(body))


def _parts(text: str, read: Read) -> Answer | None:
    """`(a) 5 (b) 6`, `Part 1: 5, Part 2: 6`: the parts in their order."""
    marks = list(_PART.finditer(text))
    names = [(m[1] or m[2]).lower() for m in marks]
    if len(marks) < 2 or marks[0].start() or all(names != known[: len(names)] for known in _PART_NAMES):
        return None
    ends = [*(m.start() for m in marks[1:]), len(text)]
    return Group(tuple(read(text[m.end() : end].strip(" ,;.")) for m, end in zip(marks, ends, strict=True)), "()")


def _dated(text: str) -> Text | None:
    """Times, remainders, ordinals and dates, as text in one form each."""
    if "\\!" in text:
        text = text.replace("\\!", "")
    if text[-1] in "gnt" and (found := _TIME_OF_DAY.fullmatch(text)):
        text = f"{found[1]} {'am' if found[2] else 'pm'}"
    found = _TIME.fullmatch(text)
    if found and int(found[1]) <= 12 and int(found[2] or 0) < 60:
        hour = int(found[1]) % 12 + (12 if found[3].lower() == "p" else 0)
        return Text(f"time {hour}:{int(found[2] or 0):02d}")
    if _MINUTES.fullmatch(text):
        return Text(f"time {int(text[:-3])}:{text[-2:]}")
    if time := clock(text):
        return Text(time)
    is_clock = text.lower().endswith(("clock", "m", "m.", "noon", "midnight"))
    if is_clock and (hours := _CLOCK.fullmatch(text)) and int(hours[1] or 12) <= 12:
        half = (hours[2] or hours[4] or "").lower()
        hour = int(hours[1] or 12) % 12 + (12 if half == "noon" or half.startswith("p") else 0)
        return Text(f"time {hour if half else int(hours[1])}:00")
    plain = _TEXT_COMMAND.sub(r" \1 ", text).strip()
    found = _REMAINDER.fullmatch(plain)
    if found:
        return Text(f"remainder {int(found[1])} {int(found[2])}")
    found = _ORDINAL.fullmatch(plain) or _ORDINAL.fullmatch(text)
    if found:
        return Text(f"ordinal {int(found[1])} {(found[2] or '').lower()}")
    first, _, rest = plain.lower().partition(" ")
    if first in _ORDINALS and rest.isalpha() == bool(rest):
        return Text(f"ordinal {_ORDINALS.index(first) + 1} {rest}")
    day = plain[3:] if plain[:3].lower() == "on " else plain
    found = _DATES[0].fullmatch(day) or _DATES[1].fullmatch(day)
    if found:
        return _date(found["month"], found["day"], found["year"] or "")
    found = _ISO_DATE.fullmatch(plain)
    if found and 1 <= int(found[2]) <= 12:
        return _date(_MONTHS[int(found[2]) - 1], found[3], found[1])
    return None


def _date(month: str, day: str, year: str) -> Text:
    return Text(f"date {year} {month[:3].lower()} {int(day)}")


def _in_base(text: str) -> Answer | None:
    """`0x1F` and `1A_{16}`; digits alone are left to the parser."""
    found = _PREFIXED.fullmatch(text)
    if found:
        return Value(Node("base", (num(16 if found[1] else 2),), None, found[1] or found[2]))
    found = _BASED.fullmatch(text)
    if found is None or found[1].isdigit():
        return None
    return Value(Node("base", (num(_BASES.get(found[2]) or int(found[2])),), None, found[1]))


def _difference(text: str) -> Answer | None:
    """`two more than 5`, `3 less than 10`."""
    found = _COMPARED.fullmatch(text) if " than " in text else None
    if found is None:
        return None
    by, base = _number(found[1]), _number(found[3])
    if by is None or base is None:
        return None
    value = base + by if found[2].lower() in ("more", "greater", "larger", "higher") else base - by
    return Value(num(value) if value >= 0 else neg(num(-value)))


def _in_plain(text: str) -> str | None:
    """`the sum of 25 and 17` as `25 + 17`, `a 5-gallon tank` as `5 gallon`."""
    if " and " in text and (found := _OPERATION.fullmatch(text)):
        name, a, b = found[1].lower(), found[2], found[3]
        return f"|{a} - {b}|" if name == "difference" else f"({a}) {_OPERATORS[name]} ({b})"
    if text[:1] in "aA" and (found := _A_PERCENTAGE.fullmatch(text)):
        return found[1]
    if text[:1].isdigit() and (found := _COMPUTATION.fullmatch(text)):
        return f"{found[1]} {_OPERATORS[found[2].lower()]} {found[3]} = {found[4]}"
    found = _KIND.fullmatch(text) if "-" in text and text[-1].isalpha() else None
    return f"{found[1]} {found[2]}" if found and known(found[2]) else None


def _share(text: str) -> Answer | None:
    """`two-thirds of 9` and `1/3 of 60 km` as products, `one in 36` as a ratio."""
    found = _SHARE.fullmatch(text) if " of " in text else None
    if found is not None:
        written = _PERCENT.sub("", found[1])
        part, whole = _number(written), _number(found[2])
        part = part / 100 if part is not None and written != found[1] else part
        if part is None or whole is None or part.denominator == 1:
            return None
        return Value(num(part * whole) if whole >= 0 else neg(num(-part * whole)), found[3] or "")
    if text[:5] == "odds " and (found := _ODDS.fullmatch(text)):
        return Ratio((num(int(found[2])), num(int(found[3]))), odds=found[1].strip() or "odds")
    if " than " in text and (found := _MORE_OF.fullmatch(text)) and (count := _number(found[1])) is not None:
        return Value(num(count), found[2]) if count >= 0 else None
    if text.endswith("zero") and (found := _BELOW_ZERO.fullmatch(text)):
        return Value(neg(num(Fraction(found[1]))), (found[2] or "").strip()[:1].upper())
    found = _CHANCE.fullmatch(text) if " in" in text or "-in" in text or "out" in text else None
    if found is None:
        return None
    top, bottom = _number(found[1]), _number(found[2])
    return Ratio((num(top), num(bottom))) if top is not None and bottom and top <= bottom else None


def _number(text: str) -> Fraction | None:
    return plain_number(text.replace(",", "")) or number_in_words(text)


def _matrix_rows(text: str) -> Answer | None:
    """`[1 2; 3 4]`."""
    found = _ROWS.fullmatch(text)
    if found is None:
        return None
    rows = tuple(tuple(re.split(r"[ ,]+", row.strip())) for row in found[1].split(";"))
    if len({len(r) for r in rows}) != 1 or (len(rows[0]) < 2 and len(rows) == 2):
        return None
    try:
        return Matrix(tuple(tuple(num(Fraction(cell)) for cell in row) for row in rows))
    except (ValueError, ZeroDivisionError):
        return None


def _words(text: str, read: Read) -> Answer | None:
    plain = _TEXT_COMMAND.sub(r"\1", text).strip(" .$")
    low = plain.lower()
    if low[:3] in ("all", "the", "x i", "eve", "any") and (found := _EXCEPT.fullmatch(plain.replace("$", ""))):
        return _all_except(read(found[1]))
    if (chosen := _OPTIONS.fullmatch(plain)) and (chosen["lead"] or chosen["verdict"]):
        return read(chosen["letters"])
    if (bounded := _ALL_BOUNDED.fullmatch(plain)) and (limited := bound(bounded[1], read)):
        return limited
    if (kind := _KIND_WORDS.fullmatch(plain)) and not _SIGNED.fullmatch(low) and plain != kind[1]:
        words = (kind[1] or kind[2]).lower().replace("-", "").split()
        return Text("numbers " + " ".join(sorted(words)))
    if _EVERY_REAL.fullmatch(low):
        return Region((Span(NEG_INF, INF, False, False),))
    if _POINTS.fullmatch(text):
        return read(re.sub(r"[A-Z]'?\s?(?=\()", "", text))
    point = _POINT.fullmatch(text)
    if point:
        return Named(sym(text[0]), read(point[1]))
    if len(plain) > MAX_WORDS_LENGTH or not _WORDS.fullmatch(plain):
        return None
    if low == "half a dozen":
        return Value(num(6))
    if low in _EVERYTHING:
        return Region((Span(NEG_INF, INF, False, False),))
    return _counted(plain.split())


def _all_except(excluded: Answer) -> Answer | None:
    """All reals but these; `all real numbers such that x > 2` is x > 2."""
    if isinstance(excluded, Region) and excluded.variable:
        return excluded
    excluded = unnamed(excluded)
    items = excluded.items if isinstance(excluded, Group) else (excluded,)
    nodes = tuple(i.node for i in items if isinstance(i, Value))
    if len(nodes) != len(items):
        return None
    return classify(Node("minus", (const("R"), Node("seq", nodes, "{}"))))


def _counted(words: list[str]) -> Answer | None:
    """`twenty-five`, `seven dollars`, `fifty percent`, `twice`."""
    if len(words) == 1 and words[0].lower() in _TIMES:
        return Value(num(_TIMES.index(words[0].lower()) + 1))
    for size in range(len(words), 0, -1):
        value = number_in_words(" ".join(words[:size]))
        if value is None:
            continue
        rest = words[size:]
        if value.denominator > 1 and rest[:1] in (["of"], ["a"], ["an"]) and known(rest[-1]):  # `half an hour`
            rest = [w for w in rest if w.lower() not in ("of", "a", "an")]
        if any(w.lower() in _NOT_UNITS or number_in_words(w) is not None for w in rest):
            return None
        node = num(value) if value >= 0 else neg(num(-value))
        if rest and rest[0].lower() in ("percent", "per"):
            return Value(Node("pct", (node,)))
        return Value(node, " ".join(rest))
    return None


def _restated(text: str, read: Read) -> Answer | None:
    """`0.25 (25%)`, `5 (five)`: the answer is followed by the same answer, or by a remark."""
    found = _RESTATED.fullmatch(text)
    if found is None:
        return None
    outer, inner = read(found[1]), read(found[2])
    core = unnamed(outer)
    if not isinstance(core, Value):
        return None
    if found[2].lower().startswith(_REMARKS):
        return outer
    if isinstance(inner, Text):
        return None if any(c.isdigit() for c in inner.words) else outer
    if not isinstance(inner, Value) or inner.node.op in ("sym", "mul"):
        return None
    value = known_rational(core.node)
    return outer if value is not None and value == known_rational(inner.node) else None
