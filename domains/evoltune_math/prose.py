"""Whether a text is an answer and nothing more, a sentence about one, or a formula.

is_bare_answer("12 apples")  ->  True;    is_sentence("He buys 3 apples a day")  ->  True
"""

import re

from evoltune_math.answers.kinds import Text
from evoltune_math.answers.reading.cleanup import to_ascii, unwrapped
from evoltune_math.answers.reading.reader import read
from evoltune_math.answers.reading.special_forms import is_special_text
from evoltune_math.answers.units import SHORT_UNITS
from evoltune_math.answers.vocabulary import CONSTANTS, FUNCTIONS, GREEK

ALL_REALS = re.compile(r"(?:x\s+is\s+)?(?:the\s+set\s+of\s+)?all\s+real", re.I)
_PRONOUN = re.compile(r"(?:he|she|they|we|you|there)\s", re.I)
_SIGNS = re.compile(r"[=<>+*/^]")
_TEXT_COMMAND = re.compile(r"\\(?:text|mathrm|textbf|operatorname|mbox|begin|end|textrm)\*?\s*\{[^{}]*\}")
_MATHEMATICAL_WORDS = frozenset(
    [*FUNCTIONS, *CONSTANTS, *GREEK, *SHORT_UNITS, "and", "or", "mod", "cm", "percent", "in"]
)
_SHORT_PROSE = frozenset(["is", "it", "we", "so", "no", "to", "of"])
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n\s*\n|。")
MAX_MODIFIER = 200
MAX_BARE_WORDS = 6
WORD = re.compile(r"(?<![\\A-Za-z])[^\W\d_]{2,}(?:['’][a-z]+)?")
FORMULA = re.compile(r"\$\$(.{1,1500}?)\$\$|(?<!\\)\$([^$]{1,1500})\$|\\\((.{1,1500}?)\\\)|\\\[(.{1,1500}?)\\\]", re.S)
NUMBER = re.compile(
    r"(?<![\w.,:])\d{1,4}(?::\d{1,4})+(?![\w:])(?:\s?[ap]\.?\s?m\b\.?)?|"
    r"(?<![\w.,/])-?\d{1,9}\s\d{1,9}/\d{1,9}(?![\w/])|"
    r"(?<![\w.,])-?(?:(?:\\?\$|[€£₹])\s?)?(?:\d{1,3}(?:,\d{3})+|\d+)(?:[.,]\d+)?(?:/\d+|\s?\\?%|\s?[$€£])?(?![.,]?\d|[A-Za-z]{4})|(?<![\w.])-?\.\d+"
)
_ONLY_NAMED = re.compile(r"\$\s?[A-Za-z]\s?\$\s+(?:is|must be)\s[^$]*\d[^$]*")
"""A letter of which the rest of the text says something: `$n$ is at most 9`."""
_MODIFIER = re.compile(
    r"(?:,\s(?:which|who|whose|where)|(?<!\bso)(?<!thus)(?<!hence)(?<!and)(?<!then)(?<!that)(?<!,)\s(?:after|before|when|while))\b[^.!?\n]*[.!]?\s*$"
)
"""The end of a sentence that only says more about what stands before it: `6 days to finish the book, which has 240 pages`."""


def non_math_words(text: str) -> list[str]:
    """The words outside of commands that are neither mathematics nor units."""
    return [
        word
        for word in WORD.findall(_TEXT_COMMAND.sub(" ", to_ascii(text)))
        if word not in _MATHEMATICAL_WORDS and not word.isupper() and (len(word) > 2 or word.lower() in _SHORT_PROSE)
    ]


def is_bare_answer(text: str) -> bool:
    """Whether the text is an answer and nothing more: it has few words that are not mathematics."""
    if len(text) > 2000 and " " not in text.strip():
        return True
    if len(text) < 120 and ALL_REALS.match(text):
        return True
    words = non_math_words(text)
    if not words:
        return True
    if _SENTENCE_END.search(text.strip()[:-1]):
        return False
    if len(words) > 1 and FORMULA.search(text) and unwrapped(text) == text.strip().rstrip("."):
        return False
    return len(words) <= MAX_BARE_WORDS


def is_sentence(text: str) -> bool:
    """Whether a text that could be a bare answer is a sentence of words, such as `He buys 3 apples a day`."""
    if len(non_math_words(text)) > 3 and not re.match("all real", text, re.I):
        return True
    if _PRONOUN.match(text) and any(c.isdigit() for c in text):
        return True
    return is_words_only(text) and len(WORD.findall(to_ascii(text))) > 1


def is_words_only(text: str) -> bool:
    """Whether the text is read as words, and not as a time, a date or another convention."""
    answer = read(text)
    return isinstance(answer, Text) and not is_special_text(answer)


def is_formula(found: re.Match[str]) -> bool:
    """Whether a match of FORMULA is one, and not the text between the dollar signs of two amounts of money."""
    inside = found[2]
    if inside is None:
        return True
    if _ONLY_NAMED.fullmatch(found.string, found.start()):
        return False
    if not any(c.isalnum() for c in inside):  # the sign of `width $=$ height`, the backslash of `$\\$5$`
        return False
    words = non_math_words(inside)
    if "\\" in inside:
        return len(words) < 4
    return not words or (len(words) < 2 and bool(_SIGNS.search(inside)) and "\n" not in inside.strip())


def formula_content(found: re.Match[str]) -> str:
    return next(g for g in found.groups() if g is not None).strip()


def without_modifier(text: str) -> str:
    """The text without a last clause that only says more, if its sentence has a number before it."""
    more = _MODIFIER.search(text, max(0, len(text) - MAX_MODIFIER))
    if more is None:
        return text
    start = max(text.rfind(". ", 0, more.start()), text.rfind("\n", 0, more.start())) + 1
    return text[: more.start()] if NUMBER.search(text, start, more.start()) else text
