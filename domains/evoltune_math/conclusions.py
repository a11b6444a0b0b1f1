"""The value that the last sentence of a text in prose ends in: after `is` or `=`, an option, the last number that it does not deny.

in_sentence("He has 12 apples, so that is 12 / 4 = 3 each.")  ->  Found("3 each", "phrase")
last_number("It is 7, not 5.")                                ->  Found("7", "number")
"""

import re
from collections import deque
from dataclasses import replace

from evoltune_math.answers.kinds import Value
from evoltune_math.answers.nodes import symbols
from evoltune_math.answers.reading.reader import read
from evoltune_math.answers.reading.spoken import predicate
from evoltune_math.answers.units import known, part
from evoltune_math.answers.vocabulary import MODIFIERS, PARTS, number_in_words, word_set
from evoltune_math.boxes import Found
from evoltune_math.claims import NOTHING, claim, stated
from evoltune_math.labels import is_name
from evoltune_math.prose import (
    FORMULA,
    NUMBER,
    WORD,
    formula_content,
    is_bare_answer,
    is_formula,
    is_words_only,
    last_match,
    non_math_words,
    refuses,
    spelled_number,
    without_modifier,
)

MAX_NEAR = 40
MAX_SHORT_WORD = 3  # letters; a longer word behind a number is what is counted
MAX_NUMBERS = 3  # how many are looked at, from the end, if the text denies them
MAX_SENTENCE = 300  # an answer in words may be a sentence or two

_IN_BRACKETS = re.compile(r"\s*\((?:and )?(?:not|rather than|instead of)\b[^()]*\)$", re.I)
_DENIED = re.compile(r"(?:\b(?:not|cannot|never|might|may|could)|n['’]t)\s*$", re.I)
_CLAUSE = re.compile(r",\s+(?:so|and so|thus|hence|therefore)\b[^\d$\\]*", re.I)
_ODDS = re.compile(
    r"\bodds\b(?P<before>[^.\n\d]{0,60}?)(?P<first>\d{1,9})\$?\s?(?:[-\s]?to[-\s]?|:|\\colon)\s?\$?(?P<second>\d{1,9})(?P<behind>[^\d\n]*)$",
    re.I,
)
_OPTION_WITH_TEXT = re.compile(
    r"\b(?i:choice|option|answer)\b(?:[^.\n]{0,40}\bis:?|:)\s\(?([A-J])[).]\s?(\$[^$]{1,80}\$|-?\d[\d.,/]*\d?)\.?\s*$"
)
_CHOSEN = re.compile(
    r"\b(?i:choice|option) is:? (?:therefore |thus |hence |clearly )?\(?([A-J])\)?(?![\w)])"
    r"|\b(?i:choice|option) \(?([A-J])\)? is (?:therefore |thus |hence |clearly )?(?:the )?(?:correct|right|answer)\b"
)
_DAY_NAMED = re.compile(
    r"\b(?:falls on|lands on|is|was|be)\s(?:an?\s)?((?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day)[.!]?\s*$"
)
_COMPUTED = re.compile(r"(-?(?:\\?\$\s?)?\d[\d,]*(?:\.\d+)?%?)\s(?!to\s(?![A-Z]))([A-Za-z]+)")
_COMPUTES = re.compile(r"\d[^=.]*?\s?(?:[-+*/x×÷–]|\\times|\\cdot|\\div)\s?[^=]*?\d[^=]*$")
_COMPARED_TO = re.compile(
    r"(?:more|less|fewer|higher|lower|older|younger|taller|shorter)\sthan\s(?:[A-Z][a-z]+|him|her|them|his|their)\b"
)
_ADDS_NOTHING = re.compile(rf"{_COMPARED_TO.pattern}|\bleft over\b")
_JOINED = MODIFIERS | {"and"}
_TURNS_NUMBER = (
    MODIFIERS
    | PARTS.keys()
    | word_set("third thirds quarter quarters fourth fourths fifth fifths sixths eighths or and by mod out of if per")
)
"""Words right behind a number that may make it another one."""
_SAME_AS = re.compile(r"(?<![\d.,])(\d[\d,.]*\s([A-Za-z]{1,8})),?\s(?:or|which is|that is|i\.e\.,?)\s$")
"""Before the parts of `160 minutes, or 2 hours and 40 minutes`."""
NAMED_VALUES = re.compile(
    r"((?<![A-Za-z\\])[a-z]\s?=\s?-?[\d./]+(?:(?:,|,? and|,? or|\n\s*[-*])\s[a-z]\s?=\s?-?[\d./]+)+)\.?\s*$"
)
"""`x = 2, y = 3, and z = 4` at the end."""
_LISTED = re.compile(r", (?:and|or) |\n\s*[-*]\s")
_OUT_OF = re.compile(r"(?<![\w.])\d+ (?:[a-z]+ )?(?:out )?of (?:the |these |his |her |their )$")
"""Before the second number of `12 out of the 30 apples`."""
_PARTS = re.compile(
    r"(?<![\d.])(\d[\d,.]*\s([A-Za-z]{1,8})(?:,|\sand|,\sand)?\s\d[\d.]*\s([A-Za-z]{1,8}))(?:\s[a-z]+){0,3}\.?\s*$"
)
"""`4 hours and 30 minutes` at the end."""
_UNIT_AFTER = re.compile(r"[ ~]?(?!in\b)([A-Za-z]{2,12}|g)[²³]?(?![\w/^*-])")
_LONE_LETTER = re.compile(r"(?<![\w'])[A-J](?!\w)")
_OPTION = re.compile(
    r"\b(?i:choice|option|answer)\b[^.\n]{0,40}\bis\s{1,3}\(?(?P<named>[A-J])\)?(?![\w)])"
    r"|\b(?i:choice|option)\s{1,3}\(?(?P<option>[A-J])\)?(?![\w)])"
    r"|(?<![\w'])\(?(?P<right>[A-J])\)?\s{1,3}(?:is|must be)\s(?:the\s)?(?:correct|right|answer|only (?:option|choice|answer))\b"
    r"|(?:^|, |\b(?i:only|so|that|hence|thus|and)\s)\((?P<bracketed>[A-J])\)\s(?=satisf|works|holds|is\b|fits)"
    r"|^\(?(?P<first>[A-J])\)?,?\s(?:because|since)\b|\b[Ss]o\s(?P<so>[A-J])(?=[.!]?\s*$)"
    r"|\b(?:is|it['’]?s|be|it|choose|pick|select)\s\(?(?P<last>[B-HJ]|A(?!\s?[a-z]))\)?(?=[.!]?\s*$|[.,;])"
)
"""An option that a sentence names: `option B is correct`, `only (C) satisfies both`, `that makes it A`."""
_VERB_OR_EQUALS = re.compile(r"\b(?:is|are|equals|be)\b|=")
_NAME_BEFORE = re.compile(r"\b(?:line|plane|asymptote|axis|equation|solution)\b[^.=]{0,20}?\s([a-z])\s*$")
"""The letter of `the line y = 3`: there the equation is the answer."""
_RUNS_ON = re.compile(r"\d [a-z]+, (?:(?:minus|plus|times|less)\b.*, )?-?(?:\\?\$)?\d[\d.,]*(?: [a-z]+){0,4}$")
"""After one value, a clause that goes on to another: `80 dollars, minus the discount, $64`."""
_TAIL = re.compile(r"-?(?:\\?\$)?\d[\d.,]*(?: [A-Za-z'’]+){4,}")
"""A number and a tail of words: `$18 every day at the market`."""
LAST_SENTENCE = re.compile(r"(?<=[.!:])\s+(?=[A-Z$\d\\-])")


def odds(text: str) -> Found | None:
    """The odds that a text ends in: `The odds are 5 to 16`, which is no 5/16."""
    found = _ODDS.search(text) if "dds" in text else None
    if found is None or (found["behind"] + found["before"]).lower().count("not"):
        return None
    said = f"{found['before']} {found['behind']}".lower()
    side = "against " if "against" in said else "in favor " if "favo" in said else ""
    return Found(f"odds {side}{found['first']} to {found['second']}", "phrase")


def option_with_text(text: str) -> Found | None:
    """`The correct choice is (C) $2\\sqrt{3}$.`"""
    found = _OPTION_WITH_TEXT.search(text)
    return Found(f"({found[1]}) {found[2]}", "phrase") if found else None


def chosen_option(text: str) -> Found | None:
    """The option that the last sentence names as the answer before it gives a reason: `Option (B) is correct, since $x > 3$.`"""
    sentence = LAST_SENTENCE.split(text[-MAX_SENTENCE:])[-1]
    found = _CHOSEN.search(sentence) if "option" in sentence.lower() or "choice" in sentence.lower() else None
    if found is None or claim(sentence, *found.span(found.lastindex or 0)).denied:
        return None
    return Found(found[found.lastindex or 0], "phrase")


def in_sentence(text: str) -> Found | None:
    last = LAST_SENTENCE.split(text.strip().rpartition("\n")[2])[-1]
    if (said := predicate(last)) is not None and any(c.isdigit() for c in text):
        is_value = number_in_words(said) is not None or (last == text.strip() and not refuses(text))
        if is_value and not any(c.isdigit() for c in said):
            return Found(last, "bare")
    if day := _DAY_NAMED.search(last):
        return Found(day[1], "phrase")
    said = without_modifier(text)
    spelled = spelled_number(said)
    found = _first_sentence(text) or _option(text) or conclusion(said) or last_number(said)
    return found or (Found(spelled, "number") if spelled else None)


def _option(text: str) -> Found | None:
    """The last option that the text names and does not deny."""
    if not _LONE_LETTER.search(text):
        return None
    for found in reversed(deque(_OPTION.finditer(text), maxlen=MAX_NUMBERS)):
        if not claim(text, *found.span(str(found.lastgroup))).denied:
            return Found(found[str(found.lastgroup)], "phrase")
    return None


def last_number(text: str) -> Found | None:
    """The last number that the text does not deny (`7, not 5`); with its words, where these make it another statement."""
    denied = None
    for found in reversed(deque(NUMBER.finditer(text), maxlen=MAX_NUMBERS)):
        is_whole = _OUT_OF.search(text, max(0, found.start() - MAX_NEAR), found.start()) is not None
        if is_whole or is_name(text, found.start()):
            continue
        said = claim(text, *found.span())
        if not said.denied and "$" not in found[0] and (whole := _formula_around(text, *found.span())):
            return Found(stated(text, *whole.span(), formula_content(whole)), "formula")
        if not said.denied:
            unit = (
                _UNIT_AFTER.match(text, found.end())
                if said in (NOTHING, replace(NOTHING, turning=said.turning))
                else None
            )
            if unit and known(unit[1]):  # `72 seconds`, and of `after 72 seconds` the direction too
                words = said.turning if said.turning.startswith(unit[1]) else f"{unit[1]} {said.turning}".strip()
                return Found(
                    f"{found[0].strip()} {words}" if words == unit[1] else f"{found[0].strip()} \\text{{{words}}}",
                    "number",
                )
            return Found(said.of(found[0].strip()), "number")
        denied = denied or said.of(found[0].strip())
    return Found(denied, "number") if denied else None


def _formula_around(text: str, start: int, end: int) -> re.Match[str] | None:
    """The formula of which text[start:end] is only a part."""
    if "$" not in text and "\\" not in text:
        return None
    around = next((f for f in FORMULA.finditer(text) if f.start() <= start and end <= f.end()), None)
    return around if around is not None and is_formula(around) else None


def all_denied(sentence: str, text: str) -> Found | None:
    """The last number of a sentence, if the text denies each number that it has there."""
    at = text.rfind(sentence)
    numbers = deque(NUMBER.finditer(text, at, at + len(sentence)), maxlen=MAX_NUMBERS)
    if not numbers or not all(claim(text, *number.span()).denied for number in reversed(numbers)):
        return None
    return Found(f"not {numbers[-1][0]}", "number")


def value_after_denial(sentence: str) -> Found | None:
    """The number that the sentence claims, if it denies another one: `not 3, it is 4`."""
    numbers = deque(NUMBER.finditer(sentence), maxlen=MAX_NUMBERS)
    if len(numbers) < 2 or "$" in sentence or "\\" in sentence:
        return None
    denied = [claim(sentence, *number.span()).doubt != "" for number in numbers]
    return last_number(sentence) if any(denied) and not all(denied) else None


def _computed(sentence: str, equals: re.Match[str], behind: str) -> Found | None:
    """The number that a computation gives, without words that are no unit: `60 - 4 = 56 seats left for the 60 guests`."""
    found = _COMPUTED.match(behind)
    at = sentence.find(behind, equals.end()) if found else -1
    if found is None or at < 0 or not _COMPUTES.search(sentence, 0, equals.start()):
        return None
    unit = found[2] if len(found[2]) > 1 and known(found[2]) else ""
    if not any(map(str.isdigit, behind[found.end() :])):
        is_counted = unit != "" or len(found[2]) > MAX_SHORT_WORD
        if is_counted and _JOINED.isdisjoint(behind.lower().split()):
            return None
        whole = read(behind)
        if isinstance(whole, Value) and not symbols(whole.node):
            return None
    words = WORD.findall(_ADDS_NOTHING.sub("", behind[found.start(2) :]).lower())
    if any(number_in_words(word) is not None for word in words):
        return None
    if words[:1] and (words[0] in _TURNS_NUMBER or not MODIFIERS.isdisjoint(words[:2])):
        return None
    said = claim(sentence, at, at + found.end(1))
    if _COMPARED_TO.match(behind, found.start(2)):
        return Found(f"{found[1]} \\text{{{found[2]}}}", "number")
    return None if said.denied else Found(f"{said.of(found[1])} {unit if said == NOTHING else ''}".strip(), "number")


def _first_sentence(text: str) -> Found | None:
    """`x = 2 or x = 3. Both satisfy the equation.`: an answer, then a remark without a number."""
    head, _, rest = text.partition(". ")
    if not rest or re.search(r"[\d$\\]", rest) or len(head) > MAX_SENTENCE or non_math_words(head):
        return None
    return Found(head, "bare") if is_bare_answer(head) and not is_words_only(head) else None


def conclusion(text: str) -> Found | None:
    """The end of the last sentence, after `is` or `=`; several named values, or several parts of one, together."""
    start = max(0, len(text) - MAX_SENTENCE)
    if together := NAMED_VALUES.search(text, start):
        return Found(_LISTED.sub(", ", together[1]), "phrase")
    if (parts := _PARTS.search(text, start)) and part(parts[3], parts[2]) is not None:
        same = _SAME_AS.search(text, start, parts.start())
        return Found(f"{same[1]} or {parts[1]}" if same and known(same[2]) else parts[1], "phrase")
    last = text.rstrip(" .\n").rpartition("\n")[2]
    sentence = re.split(r"\.\s", last)[-1]
    verb = last_match(_VERB_OR_EQUALS, sentence)
    if verb is None or _DENIED.search(sentence, 0, verb.start()):
        return None
    name = _NAME_BEFORE.search(sentence, 0, verb.start()) if verb[0] == "=" else None
    said = sentence[verb.end() :].strip()
    clauses = _CLAUSE.findall(said)
    if clauses and not MODIFIERS.isdisjoint(WORD.findall(clauses[-1].lower())):  # `..., so at least 6`
        return None
    behind = _IN_BRACKETS.sub("", _CLAUSE.split(said)[-1])
    if verb[0] == "=" and (computed := _computed(sentence, verb, behind)) is not None:
        return computed
    if verb[0] != "are" and (_RUNS_ON.search(behind) or _TAIL.fullmatch(behind)):
        return None
    if not (behind and is_bare_answer(behind) and re.search(r"\d", behind)):
        return None
    return Found(f"{name[1]} = {behind}" if name else behind, "phrase")
