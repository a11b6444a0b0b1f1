"""Reading a judge's reply: the values of the answers in the order in which they were shown.

    read_reply("scores", "7 8\\nBecause ...", 2)           # (7.0, 8.0)
    read_reply("preference", "A good start.", 2)          # None: an article is no verdict

Invariant: a reply that does not say its verdict in so many words is None, never a guess: the numbers of a sentence, the scale said
again, the article "a", a word behind "not" and two verdicts that differ are none.
"""

import re
from collections.abc import Iterator
from statistics import fmean

from evoltune.arena.study import CRITERIA, GRADES
from evoltune.text.ratings import numbers_in

_PREFERENCES = {"A": (1.0, 0.0), "B": (0.0, 1.0), "TIE": (0.5, 0.5)}
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_LABELS = frozenset(
    "a b and vs the for of to is are get gets my final answer answers assistant response score scores scored rating ratings rank ranks "
    "grade verdict decision judgement judgment winner choice preference result better best overall".split()
) | {*CRITERIA}
"""Words that stand around a verdict and say nothing else."""
_NUMBERED = re.compile(r"^\s*\d+[.)]\s+(?=[^\W\d])|\b(?:answers?|assistants?|responses?)\s*#?\d+\b", re.IGNORECASE)
"""The number of a line or of an answer: "1. A: 9", "Answer 2"."""
_SCALE = re.compile(r"\b(?:0|1|one)\s*(?:to|through|[-–—])\s*(?:5|10|five|ten)\b", re.IGNORECASE)
_NEGATIVE = re.compile(r"(?<![^\s:([*])[-−]\d")
_DENIED = re.compile(
    r"\b(?:not|no|nor|neither|never|cannot|without|worse|worst|loses|anything but|far from|nicht|kein|keine)\b|n['’]t\b", re.IGNORECASE
)  # fmt: skip
_RATES = frozenset("score scores scored rate rated rating ratings rank ranks give gave gets".split())
_STAND_ALONE = re.compile(r"(?:^|[:=：])[^\w]*\d+(?:[.]\d+)?[^\w]+\d+(?:[.]\d+)?\W*$")
"""Two numbers with nothing behind them, and a colon or nothing before them."""
_BEHIND_LABEL = re.compile(
    r"\W*(?:(?:answer|assistant|response)\s*#?(?P<number>\d)|(?:(?:answer|assistant|response)\s+)?(?P<letter>[A-I]))\W*[:=：]\W*"
    r"(?:(?:score|rating|rank)\W*)?(?P<value>\d+(?:\.\d+)?)(?:\s*\.?\s*$|\s*[-–—,;(*\])])",
    re.IGNORECASE,
)
"""A line of one answer: "A: 8", "Answer 2: 6 - it is cut off"."""
_OUT_OF = re.compile(r"(\d)\s*(?:/|out of)\s*(?:10|ten)\b", re.IGNORECASE)
_BRACKETED = re.compile(r"\[\[(A|B|C|TIE)\]\]")
"""The verdict in the form of MT-Bench's judge (2306.05685); C is a tie."""
EDGE = 10_000
"""Characters at either end of a longer reply that are read: a verdict stands first or last, and megabytes took minutes."""
_IS_SAID_OF_A = frozenset("is was has wins gives by because over".split())
"""Words behind an "A" at the head of a sentence that is a name; before others it is an article."""


def read_reply(protocol: str, text: str, count: int) -> tuple[float, ...] | None:
    """The values of a reply, higher is better; None for nonsense and for a number that is missing or out of range."""
    if len(text) > 2 * EDGE:
        text = f"{text[:EDGE]}\n{text[-EDGE:]}"
    if protocol == "criteria":
        found = read_criteria(text, count)
        return tuple(fmean(scores) for scores in found) if found else None
    if protocol == "preference" and (named := set(_BRACKETED.findall(text))):
        return _PREFERENCES.get(named.pop().replace("C", "TIE")) if len(named) == 1 else None
    if protocol in ("preference", "grades"):
        last = next((line for line in reversed(text.splitlines()) if _WORD.search(line)), "")
        return _preference(last) if protocol == "preference" else _grade(last)
    numbers = _numbers(text, count, 10 if protocol == "scores" else 5)
    return numbers if numbers is None or protocol == "scores" else tuple(-n for n in numbers)


def read_criteria(text: str, count: int) -> tuple[tuple[float, ...], ...] | None:
    """The scores of each answer by CRITERIA, from the first lines of a reply; None where it has no such lines."""
    lines = [line for line in text.splitlines() if line.strip()][:count]
    found = [_values(line, len(CRITERIA), 10) for line in lines]
    if len(found) < count or not all(found):
        return None
    labels = [re.match(r"\W*(?:answer\s+|assistant\s+)?([ab])\b", line, re.IGNORECASE) for line in lines]
    named = [label[1].upper() for label in labels if label]
    if named and (len(named) < count or len(set(named)) < count):
        return None
    return tuple(values for _, values in sorted(zip(named, found, strict=True))) if named else tuple(found)


def _values(line: str, count: int, most: int) -> tuple[float, ...]:
    """The numbers of a line, if it has just so many of 1 to `most`; else none."""
    numbers = numbers_in(_NUMBERED.sub(" ", _SCALE.sub(" ", line)))
    is_right = len(numbers) == count and all(1 <= n <= most for n in numbers) and not _NEGATIVE.search(line)
    return tuple(numbers) if is_right else ()


def _numbers(text: str, count: int, most: int) -> tuple[float, ...] | None:
    """The numbers of the first three lines, or of a line for each answer. Lines that hold nothing else come before sentences."""
    text = text.strip()
    if len(_OUT_OF.findall(text)) == count > 1:  # "10/10" once is two scores
        text = _OUT_OF.sub(r"\1", text)
    if values := _line_by_line(text, count, most):
        return values
    lines = text.splitlines()[:3]
    found = [(line, values) for line in lines if (values := _values(line, count, most))]
    bare = {_in_order(line, values) for line, values in found if {w.casefold() for w in _WORD.findall(line)} <= _LABELS}
    if bare:
        return bare.pop() if len(bare) == 1 else None
    return next((_in_order(line, values) for line, values in found if _is_rating(line)), None)


def _line_by_line(text: str, count: int, most: int) -> tuple[float, ...]:
    """One number from each of the first lines, each behind the name of its answer; none where one is missing or said twice."""
    lines = [line for line in text.splitlines() if line.strip()][: 2 * count]
    found = [match for line in lines if (match := _BEHIND_LABEL.match(line))]
    places = [int(m["number"]) if m["number"] else ord(m["letter"].upper()) - ord("A") + 1 for m in found]
    values = {place: float(match["value"]) for place, match in zip(places, found, strict=True)}
    is_right = sorted(places) == [*range(1, count + 1)] and all(1 <= value <= most for value in values.values())
    return tuple(values[place] for place in sorted(values)) if is_right and count > 1 else ()


def _is_rating(line: str) -> bool:
    """Whether the numbers of a sentence are scores, and do not count something else."""
    words = {word.casefold() for word in _WORD.findall(line)}
    return bool(words & _RATES or _STAND_ALONE.search(line))


def _in_order(line: str, values: tuple[float, ...]) -> tuple[float, ...]:
    """The values of A and B, where a line has them the other way round."""
    names = [word for word in _WORD.findall(line) if word in ("A", "B")]
    return values[::-1] if names == ["B", "A"] and len(values) == len(names) else values


def _preference(line: str) -> tuple[float, ...] | None:
    named = set(_named(line))
    if len(named) != 1 or (named != {"TIE"} and _DENIED.search(line)):
        return None
    return _PREFERENCES.get(named.pop())


def _named(line: str) -> Iterator[str]:
    """The verdicts that a line names, and "?" for an "A" that may be an article. In small letters A and B are names only at the end of
    a line that says nothing else."""
    words = list(_WORD.finditer(line))
    is_bare = {word[0].casefold() for word in words} <= _LABELS
    has_tie = any(word[0].upper() == "TIE" for word in words)
    for place, word in enumerate(words):
        is_last = place + 1 == len(words)
        following = "" if is_last else line[word.end() : words[place + 1].end()]
        is_head = not place or re.search(r"[.!?:]\W*$", line[: word.start()])
        if word[0].upper() == "TIE":
            yield "TIE"
        elif word[0] == "A" and is_head and re.match(r"\s+[a-z]", following):
            if following.strip() in _IS_SAID_OF_A:
                yield "A"
            elif not has_tie:
                yield "?"
        elif word[0] in ("A", "B") or (word[0] in ("a", "b") and is_last and is_bare):
            yield word[0].upper()


def _grade(line: str) -> tuple[float, ...] | None:
    words = _WORD.findall(line)
    is_bare = {word.casefold() for word in words} <= _LABELS | {grade.casefold() for grade in GRADES}
    found = {word.upper() for word in words if word.upper() in GRADES and (is_bare or word.isupper())}
    if len(found) != 1 or _DENIED.search(line):
        return None
    return (float(GRADES.index(found.pop())),)
