"""What stands beside a value and says nothing that the value does not: where it comes from, and what it is about in decimals.

    without_remarks("The answer is 5, by equation (3).")    ->  "The answer is 5."
    without_remarks("The area is 16π, or about 50.")        ->  "The area is 16π."

A rounding in words is never the answer beside its exact value. One that contradicts the value stays, as `\\approx`, so that the
two are no answer together.
"""

import re

from evoltune_math.answers.algebra.rational import known_rational
from evoltune_math.answers.kinds import Value, unnamed
from evoltune_math.answers.nodes import symbols
from evoltune_math.answers.reading.agreement import contradicts, is_rounding
from evoltune_math.answers.reading.reader import read
from evoltune_math.answers.units import known
from evoltune_math.labels import CITED, SOURCES
from evoltune_math.prose import FORMULA, NUMBER, formula_content

MAX_SUPPOSITION = 300  # characters at the end of a text in which a supposition begins
MAX_REMARKS = 20  # roundings in a text; the rest is left as it is

_CITATION = re.compile(rf",?\s\(?{CITED}\)?(?=[.,;]|\s*$|\swe\b|\sthe\b)|(?:(?<=[.!?]\s)|^){CITED},\s", re.I | re.M)
_ROUNDING_WORDS = (
    "about ",
    "roughly ",
    "pproximately ",
    "around ",
    "nearly ",
    "almost ",
    "close to ",
    "a little ",
    "just ",
    "≈",
    "\\approx",
)
_ABOUT = (
    r"(?:just |only |very )?(?:(?:about|roughly|approximately|around|nearly|almost|close)(?: equal)?(?: to)?"
    r"|(?:just|a little|slightly|a bit) (?:(?:over|under|above|below)|(?:more|less) than))\s"
)
_RESTATING = r"(?:or|which is|that is|i\.\s?e\.|in other words|namely|in decimal form|as a decimal)"
_CONCLUDING = r"(?:so|making it|which (?:equals|gives|makes|comes to|amounts to)|(?:and |so )?(?:that|this|it|[a-z]) (?:is|equals|comes to|amounts to))"
_UNIT = r"(?:\s(?!(?:or|which|that|i\.e|namely|about|roughly|approximately|around|nearly|almost|just|so|and|is|are|was)\b)[^\W\d_]+[²³]?){0,3}?"
_ROUNDING = re.compile(
    rf"(?P<exact>\$[^$\n]{{1,80}}\$|\\\([^\n]{{1,80}}?\\\)|(?<![^\s(])(?:[^\s$]{{1,20}}\s[-+*/]\s){{0,3}}(?:\\\$)?[^\s$]{{0,40}}[^\s$,;.:])(?P<unit>{_UNIT})(?:\s?[,;–—]\s?|\.?\s)"
    rf"(?:(?:{_RESTATING}|(?P<concludes>{_CONCLUDING})),?\s(?:{_ABOUT}|(?:≈|\\approx)\s?)|{_ABOUT})"
    r"(?P<rounded>(?:\\?\$)?-?\d[\d,]*(?:\.\d+)?(?:\s?\\?%)?\$?)(?P<same>(?:\s[^\W\d_]+[²³]?){0,3})(?=\s*(?:[;,!]|\.(?!\d)|$))",
    re.I,
)

_CHECK = re.compile(
    r"[.!\n][\s>-]*[*_]*\(?(?:(?:to |quick |let['’]?s |let us |let me |we can )?(?:now |quickly |just |also )?(?:double[- ]?)?(?:check|verify)|checking|verification|(?:note|remark|explanation)(?=\s?:)|(?:let['’]?s|let me) confirm)\b",
    re.I,
)
_CHECKING = ("heck", "erif", "onfirm", "ote:", "emark:", "xplanation:")
_FOUND_WRONG = re.compile(
    r"\b(?:not?|wrong|but|wait|however|instead|mistake|error|incorrect|actually|answer|hmm|oops|should|correction|corrected)\b|n['’]t\b|≠|\\ne|✗|❌",
    re.I,
)
_SUPPOSED = re.compile(
    r"(?:^|(?<=[.!?\n]))\s*(?:(?:but|and|now|note that|so),? )?if\b(?:[^.!?\n]|\.\d)*\b(?:were|had)\b(?:[^.!?\n]|\.\d)*\bwould\b(?:[^.!?\n]|\.\d)*[.!]?\s*$",
    re.I,
)
"""A last sentence about what is not: `If the answer were 30, the total would be 60`."""


def without_remarks(text: str) -> str:
    """`text` without the sources of its values and without the roundings in words behind exact ones."""
    low = text.lower()
    if any(source in low for source in SOURCES):
        text = _CITATION.sub("", text)
    if any(word in text for word in _ROUNDING_WORDS):
        text = _ROUNDING.sub(_exact_only, text, count=MAX_REMARKS)
    return text


def _exact_only(found: re.Match[str]) -> str:
    """The exact value of a rounding, or both where they contradict each other; the text as it is where it is no rounding."""
    unit, same = found["unit"], found["same"]
    if same not in ("", unit) and (unit or known(same.split()[-1]) is None):
        return found[0]
    exact, rounded = unnamed(read(found["exact"])), read(found["rounded"])
    if not (isinstance(exact, Value) and isinstance(rounded, Value)) or symbols(exact.node):
        return found[0]
    if found["concludes"] and known_rational(exact.node) is not None:  # `15.6, so about 16` people
        return found[0]
    if contradicts(exact.node, rounded.node) and not is_rounding(rounded.node, exact.node):
        formula, number = FORMULA.fullmatch(found["exact"]), found["rounded"].strip("\\$")
        return found[0] if same else f"${formula_content(formula) if formula else found['exact']} \\approx {number}$"
    return found["exact"] + unit


def check(text: str) -> int | None:
    """Where a check begins that finds nothing wrong with the number before it: `x = 9. Check: 2(9) + 1 = 19.`"""
    found = _CHECK.search(text) if any(word in text for word in _CHECKING) else None
    if found is None or not NUMBER.search(text, 0, found.start()) or _FOUND_WRONG.search(text, found.start()):
        return None
    return found.start() + 1


def supposition(text: str) -> int | None:
    """Where a last sentence begins that is about what is not."""
    start = max(0, len(text) - MAX_SUPPOSITION)
    found = _SUPPOSED.search(text, start) if "would" in text[start:] else None
    return found.start() if found else None
