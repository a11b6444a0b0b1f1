"""Answers in boxes: `\\boxed{5}`, several that belong together, and the signs beside a box that belong to its number.

boxed("$-\\\\boxed{5}$")  ->  Found("-5", "boxed");      boxed("\\\\boxed{2} and \\\\boxed{3}")  ->  Found("2, 3", "boxed")
"""

import re
from dataclasses import dataclass

from evoltune_math.answers.reading.cleanup import closing_brace


@dataclass(frozen=True)
class Found:
    text: str  # the answer as written
    method: str  # bare, boxed, tagged, hashes, phrase, formula or number


MAX_GAP = 90  # characters between two boxes that belong together
MAX_BESIDE = 40  # characters before and after a box that are read with it
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*(\{)?")
_BOXED_WORD = re.compile(r"[-+]?[\w.,/]*[^\W_][\w.,/]*")
_JOIN = re.compile(r"(?<![A-Za-z])(?:and|or)(?![A-Za-z])|[,;]|\\q?quad|&|\\\\")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n\s*\n|。")
_APPROXIMATELY = re.compile(r"\\approx|\\simeq|≈|approx|numerical|\babout\b|\broughly\b|decimal", re.I)
_PERCENT_AFTER = re.compile(r"[\s$\\)}]*(?:\\?%|percent)")
_MINUS_BEFORE = re.compile(r"(?:^|[$=(:,{\[]|\\\(|\\\[|\s)\s*-\s?(?:\\[,!;: ])?$")
_DASH_BEFORE = re.compile(r"\w\s+-\s$")
_OTHER_BEFORE = re.compile(
    r"\b(not|n['’]t|never|at least|at most|(?:more|less|fewer|greater) than|up to|minus|negative|half of|twice)[\s$:(\\]*$",
    re.I,
)
"""Words before a box that make its number another statement."""
_FACTOR_BEFORE = re.compile(
    r"(?:(?:^|\$|\\\(|\\\[|=)[ ~]*(\d+(?:\.\d+)?(?:[ ~]*\\(?:cdot|times))?[ ~]*)|(-?\d*\\[dt]?frac\s?\{[^{}]{1,20}\}\{|\d*\\sqrt\{))$"
)
"""A number or an open bracket before a box, in its formula: `$2\\boxed{9}$`, `\\frac{1}{\\boxed{9}}`."""
_PART_AFTER = re.compile(
    r"\d+|\.\d+|[nxyz](?![A-Za-z])|\^\s*(?:\{[^{}]{1,20}\}|\w)|!(?![\s$]|$)|\\pi(?![A-Za-z])|\\sqrt(?:\{[^{}]{1,20}\}|\d)|\s*\\(?:times|cdot)\s*10\^(?:\{-?\d+\}|\d)"
    r"|[\s$]*(?:\\(?:text|mathrm)\{\s*)?(?:(?:hundred|thousand|million|billion|trillion|dozen|squared|cubed)\b|(?:or|and) (?:more|less|fewer|greater|up)\b)"
)
"""What follows a box and is part of its number: the 0 of `\\boxed{5}0`, the `million` of `\\boxed{5} million`."""


def boxed(text: str) -> Found | None:
    """The last box, with those before it that belong to it: `$\\boxed{2}$ and $\\boxed{3}$` are one answer.

    A box that only approximates the one before it is left out.
    """
    boxes = _boxes(text)
    if not boxes:
        return None
    if len(boxes) > 1 and _is_rounding(text, boxes[-2], boxes[-1]):
        boxes.pop()
    first = len(boxes) - 1
    while first:
        gap = text[boxes[first - 1][1] : boxes[first][0]]
        if len(gap) > MAX_GAP or _SENTENCE_END.search(gap) or not _JOIN.search(gap):
            break
        first -= 1
    parts = [_with_signs(text, box) for box in boxes[first:]]
    if len(set(parts)) == 1:
        parts = parts[:1]
    answer, end = ", ".join(parts).strip(), boxes[-1][1]
    if not answer:
        return None
    if len(parts) == 1 and "%" not in answer and _PERCENT_AFTER.match(text[end : end + 16]):
        answer += "\\%"
    return Found(answer, "boxed")


def last_box(text: str) -> int:
    """Where the last box ends."""
    boxes = _boxes(text)
    return boxes[-1][1] if boxes else 0


def _is_rounding(text: str, exact: tuple[int, int, str], rounded: tuple[int, int, str]) -> bool:
    gap = text[exact[1] : rounded[0]]
    if len(gap) > MAX_GAP or not any(c.isdigit() for c in rounded[2]):
        return False
    return bool(_APPROXIMATELY.search(gap) or rounded[2].lstrip().startswith(("\\approx", "≈", "\\simeq")))


def _with_signs(text: str, box: tuple[int, int, str]) -> str:
    """The content of a box with the sign before it and the digits, powers and scales after it."""
    start, end, content = box[0], box[1], box[2].strip()
    before = text[max(0, start - MAX_BESIDE) : start]
    after = _PART_AFTER.match(text, end, end + MAX_BESIDE)
    if after and content:
        part = after[0].replace("$", " ")
        opened = part.count("{") - part.count("}")
        content += part + "}" * opened
    if content and (factor := _FACTOR_BEFORE.search(before if start <= MAX_BESIDE else f" {before}")):
        lead = factor[1] or factor[2]
        content = lead + content + "}" * (lead.count("{") - lead.count("}"))
    if _MINUS_BEFORE.search(before) and not _DASH_BEFORE.search(before) and content:
        content = f"-{content}" if content[0] not in "-+" else f"-({content})"
    elif (other := _OTHER_BEFORE.search(before)) and content:
        content = f"{other[1]} {content}"
    return content


def _boxes(text: str) -> list[tuple[int, int, str]]:
    """(start, end, content) of each box; a box in a box is part of its content."""
    boxes: list[tuple[int, int, str]] = []
    for found in _BOX.finditer(text):
        if boxes and found.start() < boxes[-1][1]:
            continue
        if not found[1]:
            word = _BOXED_WORD.match(text, found.end())
            if word:
                boxes.append((found.start(), word.end(), word[0]))
            continue
        end = closing_brace(text, found.end() - 1)
        if end >= 0:
            boxes.append((found.start(), end + 1, text[found.end() : end]))
            continue
        rest = text[found.end() :].split("\n")[0].strip().rstrip("$").strip()
        if not boxes and rest:  # the response was cut off
            boxes.append((found.start(), len(text), rest))
        break
    return boxes
