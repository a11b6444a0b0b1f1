"""Whether a text is an answer and nothing more, a sentence about one, or a formula.

is_bare_answer("12 apples")  ->  True;    is_sentence("He buys 3 apples a day")  ->  True
"""

import re
from collections import deque
from itertools import pairwise

from evoltune_math.answers.kinds import Text, Value
from evoltune_math.answers.reading.cleanup import to_ascii, unwrapped
from evoltune_math.answers.reading.reader import read
from evoltune_math.answers.reading.special_forms import is_special_text
from evoltune_math.answers.units import SHORT_UNITS
from evoltune_math.answers.vocabulary import CONSTANTS, FUNCTIONS, GREEK, MODIFIERS, number_in_words, word_set

ALL_REALS = re.compile(r"(?:x\s+is\s+)?(?:the\s+set\s+of\s+)?(?:all|every|any)\s+real", re.I)
_PRONOUN = re.compile(r"(?:(?:so|thus|then|hence|therefore),? )?(?:he|she|they|we|you|there)\s", re.I)
_SOMEONE = re.compile(r"[A-Z][a-z]+ [a-z]{2,}s (?=[\\$\d(])")
"""`Maria pays 3 × 4 = 12.`"""
_SIGNS = re.compile(r"[=<>+*/^]")
_TEXT_COMMAND = re.compile(r"\\(?:text|mathrm|textbf|operatorname|mbox|begin|end|textrm)\*?\s*\{[^{}]*\}")
_MATHEMATICAL_WORDS = frozenset(
    [*FUNCTIONS, *CONSTANTS, *GREEK, *SHORT_UNITS, "and", "or", "mod", "cm", "percent", "in"]
)
_SHORT_PROSE = frozenset(["is", "it", "we", "so", "no", "to", "of"])
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n\s*\n|。")
MAX_MODIFIER = 200
MAX_SPELLED = 120
MAX_CASES_TEXT = 300
_CASE_WORDS = re.compile(
    r"\b(?:if|when|for|where|whenever)\b.+?\b(?:if|when|for|where|whenever|otherwise|else|case)\b", re.I
)
_SPELLING = re.compile(r"[a-z]+(?:-[a-z]+)*(?:['’][a-z]+)?")
_UNDECIDED = frozenset(
    ("or", "if", "some", "each", "every", "per", "of", "no", "might", "may", "could", "isn't", "aren't")
)
"""Words beside which a number in words is not the answer."""
_KNOWN = frozenset(("the", "these", "those", "both", "all", "any", "other", "first", "last", "next"))
"""Words before a number of things that are known: `the two numbers are equal`."""
MAX_BARE_WORDS = 6
MAX_FACTORS = 40  # characters before a number in which its factors stand
WORD = re.compile(r"(?<![\\A-Za-z])[^\W\d_]{2,}(?:['’][a-z]+)?")
FORMULA = re.compile(r"\$\$(.{1,1500}?)\$\$|(?<!\\)\$([^$]{1,1500})\$|\\\((.{1,1500}?)\\\)|\\\[(.{1,1500}?)\\\]", re.S)
NUMBER = re.compile(
    r"(?<![\w.,:])\d{1,2}(?::\d\d)?(?:\s?[ap](?:\.\s?m\b\.?|m\b)|(?:\so['’]?clock)?\s(?:in the (?:morning|afternoon|evening)|at night)\b|\so['’]?clock\b)|"
    r"(?<![\w.,:])\d{1,4}(?::\d{1,4})+(?![\w:])(?:\s?[ap]\.?\s?m\b\.?)?|"
    r"(?<![\w.,/])-?\d{1,9}\s\d{1,9}/\d{1,9}(?![\w/])|"
    r"(?<![\w.,])-?(?:(?:\\?\$|[€£₹])\s?)?(?:\d{1,3}(?:,\d{3})+|\d+)(?:[.,]\d+)?(?:/\d+|\s?\\?%|\sper\s?cent\b|\s?[$€£¢]|(?:[kKM]|bn)(?![A-Za-z\d]))?(?![.,]?\d|[A-Za-z]{4})|(?<![\w.])-?\.\d+"
)
_FACTORS_BEFORE = re.compile(r"(?:[\d.,√π()^·×*{}]*[\dπ)}](?:\s?[·×]\s?|[*^])|(?:\d[\d.,]*)?√)[({]?-?$")
_FACTORS_AFTER = re.compile(r"(?:\s?(?:π|\\pi(?![A-Za-z]))|√\(?\d+(?:\.\d+)?\)?|\^\{?-?\d+\}?|[²³⁴⁵⁶⁷⁸⁹]+)+")
"""What belongs to a number of prose without a delimiter: `25π`, `2√3`, `10^6`."""
_IS_SIDE = re.compile(r"\s?(?:[=≈+*/·×-]|<<|\\)")
_ONLY_NAMED = re.compile(r"\$\s?[A-Za-z]\s?\$\s+(?:is|must be)\s[^$]*\d[^$]*")
"""A letter of which the rest of the text says something: `$n$ is at most 9`."""
_MODIFIER = re.compile(
    r"(?:,\s(?:which(?!\s(?:(?:is|was)\s(?:impossible|absurd|not|false|wrong|too|a\scontradiction)|contradicts|cannot|can['’]t|fails|means|makes|gives|leaves|rounds|translates|equals|comes|amounts|totals|results|brings|(?:[a-z]+\s)?(?:sells?|sold))\b)|who|whose|where|one\s(?:at|is|for)|(?:attained|achieved|reached)\s(?:at|when|for))|(?<=more)\sto|\sat\s(?=\$?[a-z]\$?\s?=)|\swith\s(?=\d+\s(?:[a-z]+\s)?(?:left|remaining))|(?<!\bso)(?<!thus)(?<!hence)(?<!and)(?<!then)(?<!that)(?<!,)\s(?:after|before|when|while))\b[^.!?\n]*[.!]?\s*$"
)
"""The end of a sentence that only says more about what stands before it: `6 days to finish the book, which has 240 pages`."""
_MODIFYING = (
    "which",
    "who",
    "where",
    "one",
    "ttained",
    "achieved",
    "reached",
    "more",
    "at ",
    "with",
    "after",
    "before",
    "when",
    "while",
)
"""The words without which `_MODIFIER` cannot match."""
_REFUSES = re.compile(
    r"\bI(?:['’]m| am)? (?:can(?:not|['’]t| not)|could(?: not|n['’]t)|(?:was |am )?(?:unable|not able) to|must|have to) (?:help|solve|determine|answer|find|compute|provide|do|assist|figure|say|tell|give|decline|refuse)"
    r"|\bI (?:do not|don['’]t|did not|didn['’]t) know\b|\bI(?: am|['’]m) not (?:sure|certain)\b|\bno idea\b|\bI (?:give up|refuse)\b|\b(?:unable|not able) to (?:answer|solve|determine|provide|help)"
    r"|\b(?:impossible|not possible|hard|difficult) to (?:determine|say|tell|know|solve|answer|compute)\b|(?:can(?:not|['’]t| not)|could not) be (?:determined|solved|answered|computed|found|known)\b"
    r"|\b(?:not enough|insufficient|lack of) (?:information|data)\b|\bsorry,? (?:but )?(?:I|we)\b|\b(?:has|have|is|are) no (?:unique |definite )?(?:solution|answer)|\b(?:is|are|remains) (?:unknown|not known)\b"
    r"|\b(?:please|(?:could|can|would) you(?: please)?|you could|need you to) (?:provide|clarify|specify|share|supply|send me|give me)\b|\bneed (?:some )?more (?:information|details|data|context)\b",
    re.I,
)
"""What takes a number back: behind it, or shortly before it, the last number of a text is not its answer."""
_REFUSING = word_set(
    "i i'm i’m idea unable able impossible possible hard difficult cannot can't can’t not insufficient lack no sorry sorry, unknown unknown. please you more"
)
"""The words without which `_REFUSES` cannot match."""


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = deque(pattern.finditer(text), maxlen=1)
    return found[0] if found else None


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
    words = non_math_words(text)
    if len(words) > 3 and not re.match("(?:all|every|any) real", text, re.I):
        return True
    if (_PRONOUN.match(text) or ("=" in text and _SOMEONE.match(text))) and any(c.isdigit() for c in text):
        return True
    if not words and "\\" in text:  # a formula that cannot be read is none of its numbers
        return False
    return is_words_only(text) and len(WORD.findall(to_ascii(text))) > 1


def is_words_only(text: str) -> bool:
    """Whether the text is read as words, and not as a time, a date or another convention."""
    answer = read(text)
    return isinstance(answer, Text) and not is_special_text(answer)


def states_cases(text: str) -> bool:
    """Whether a text is an answer by cases: `0 if n is even, otherwise 1`."""
    if len(text) > MAX_CASES_TEXT or not _CASE_WORDS.search(text):
        return False
    answer = read(text)
    return isinstance(answer, Value) and answer.node.op == "cases" and "begin" not in text


def spelled_number(sentence: str) -> str | None:
    """The one number of a sentence of words: `five` of `It takes five days.`"""
    words = _SPELLING.findall(sentence.lower())
    is_undecided = not MODIFIERS.union(_UNDECIDED).isdisjoint(words) or "n't" in sentence or "n’t" in sentence
    if is_undecided or len(sentence) > MAX_SPELLED:
        return None
    runs: list[list[str]] = [[]]
    for before, word in pairwise(["", *words]):
        if before in _KNOWN and number_in_words(word) is not None:
            return None
        if number_in_words(word) is not None or (runs[-1] and word in ("and", "hundred", "thousand", "million")):
            runs[-1].append(word)
        elif runs[-1]:
            runs.append([])
    found = [" ".join(run).removesuffix(" and") for run in runs if run]
    value = number_in_words(found[0]) if len(found) == 1 else None
    return found[0] if value is not None and value > 1 and value.denominator == 1 else None


def refuses(end: str) -> bool:
    """Whether a text ends in a refusal to answer."""
    return not _REFUSING.isdisjoint(end.lower().split()) and _REFUSES.search(end) is not None


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


def expression_around(text: str, start: int, end: int) -> str:
    """The expression that a number of prose is a part of, or the number alone: `25π` for the 25 of `So it has 25π cm`; "" for a part
    of a longer computation."""
    if before := _FACTORS_BEFORE.search(text, max(0, start - MAX_FACTORS), start):
        start = before.start()
    if after := _FACTORS_AFTER.match(text, end):
        end = after.end()
    return "" if _IS_SIDE.match(text, end) else text[start:end].strip()


def formula_content(found: re.Match[str]) -> str:
    return next(g for g in found.groups() if g is not None).strip()


def without_modifier(text: str) -> str:
    """The text without a last clause that only says more, if its sentence has a number before it."""
    end = text[-MAX_MODIFIER:]
    may_say_more = any(word in end for word in _MODIFYING)
    more = _MODIFIER.search(text, max(0, len(text) - MAX_MODIFIER)) if may_say_more else None
    if more is None:
        return text
    start = max(text.rfind(". ", 0, more.start()), text.rfind("\n", 0, more.start())) + 1
    return text[: more.start()] if NUMBER.search(text, start, more.start()) else text
