"""Answers in boxes and tags: `\\boxed{5}`, `<answer>5</answer>`, several that belong together, and what stands beside one and belongs
to its number.

boxed("$-\\\\boxed{5}$")  ->  Found("-5", "boxed");      boxed("\\\\boxed{2} and \\\\boxed{3}")  ->  Found("2, 3", "boxed")
"""

import re
from dataclasses import dataclass

from evoltune.text.responses import json_object
from evoltune_math.answers.reading.cleanup import closing_brace
from evoltune_math.claims import NOTHING, claim
from evoltune_math.formulas import part_of, without_boxes
from evoltune_math.units_behind import unit_after

Box = tuple[int, int, str]  # (start, end, content)


@dataclass(frozen=True)
class Found:
    text: str  # the answer as written
    method: str  # bare, boxed, tagged, hashes, phrase, formula or number


_TAGS = (
    ("<answer>", "</answer>"),
    ("<final_answer>", "</final_answer>"),
    ("<|begin_of_box|>", "<|end_of_box|>"),
)  # the second: GLM's
_BETWEEN_TAGS = re.compile(r"\s*(?:[,;]|[,;]?\s*(?:and/or|and|or))\s*", re.I)
MAX_GAP = 90  # characters between two boxes that belong together
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*(\{)?")
_BOXED_WORD = re.compile(r"[-+]?[\w.,/]*[^\W_][\w.,/]*")
MAX_PART = 1_500
_PART_LABEL = re.compile(r"(?:^|(?<=[\s*#]))(?:(?i:part)\s\(?([A-Fa-f])\)?(?=[\s.:*])|\(([a-f])\)(?=[\s*:]))")
_JOIN = re.compile(r"(?<![A-Za-z])(?:and|or)(?![A-Za-z])|[,;]|\\q?quad|&|\\\\")
_LABEL = re.compile(r"(?:^|[.;,\n])[\s$*#-]*([A-Za-z][A-Za-z' ]{2,30})\**\s?[:=]\**\s?\$?$")
_NO_QUANTITY = re.compile(
    r"\b(?:answers?|total|result|step|case|part|check\w*|verif\w+|final\w*|correct\w*|so|thus|hence|therefore|wait|actually|first|second|attempt|trial|try|guess|exact\w*|approx\w*|decimal|simplif\w+|or|that is|also|again|solution|method|way)\b",
    re.I,
)
"""Labels of steps, restatements and conclusions."""
_SAME = re.compile(r"\bequivalent|in other words|\bi\.e\.|\bthat is,")
"""Between two boxes of one answer: `\\boxed{2\\sqrt3}, or equivalently \\boxed{\\sqrt{12}}`."""
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n\s*\n|。")
_APPROXIMATELY = re.compile(r"\\approx|\\simeq|≈|approx|numerical|\babout\b|\broughly\b|decimal", re.I)
_PERCENT_AFTER = re.compile(r"[\s$\\)}]*(?:\\?%|per\s?cent)")
_FACTORIAL_AFTER = re.compile(r"[$\\)]*!(?=\s[a-z])")
"""Behind a box in the middle of a sentence: `$\\boxed{7}$! ways`."""
_BOUND_BEFORE = re.compile(r"(?:[≤≥]|\\(?:le|ge|leq|geq|leqslant|geqslant)(?![A-Za-z])|[<>]=)\s*$")
_REACHED = re.compile(r"\b(?:equality|attained|achieved|reached|attainable|achievable|sharp|tight)\b", re.I)
"""What makes a bound the extreme value: `$S \\le \\boxed{36}$ with equality at $a=b$`."""
_DIGITS = re.compile(r"[\d.,]+")


def boxed(text: str) -> Found | None:
    """The last box, with those before it that belong to it: `$\\boxed{2}$ and $\\boxed{3}$` are one answer.

    A box that only approximates the one before it is left out, and so is one that the text denies, if another is left.
    """
    boxes = _boxes(text)
    if len(boxes) > 1 and _is_rounding(text, boxes[-2], boxes[-1]):
        boxes.pop()
    denied = None
    while boxes:
        first = _first_of_group(text, boxes)
        statements = [
            s for s in (_statement(text, boxes, at, first) for at in range(first, len(boxes))) if s is not None
        ]
        parts = [s for s, is_denied in statements if not is_denied]
        if parts and parts[-1] == boxes[-1][2].strip():  # a bound of it before it says no more
            parts = [
                p for p, box in zip(parts, boxes[first:], strict=False) if p == parts[-1] or box[2] != boxes[-1][2]
            ]
        if parts:
            gap = text[boxes[-2][1] : boxes[-1][0]] if len(parts) == 2 else ""
            return _joined(parts, text[boxes[-1][1] :], " = " if _SAME.search(gap) else ", ")
        denied = denied or Found(", ".join(s for s, _ in statements), "boxed")
        boxes = boxes[:first]
    return denied


def _first_of_group(text: str, boxes: list[Box]) -> int:
    """The first of the boxes that belong to the last one."""
    first = len(boxes) - 1
    if (parts := _labelled_parts(text, boxes)) > 1:
        return len(boxes) - parts
    while first:
        gap = text[boxes[first - 1][1] : boxes[first][0]]
        if _is_labelled(gap) and _is_labelled(text[max(0, boxes[first - 1][0] - MAX_GAP) : boxes[first - 1][0]]):
            first -= 1
            continue
        if len(gap) > MAX_GAP or _SENTENCE_END.search(_SAME.sub("", gap)) or not _JOIN.search(gap):
            break
        first -= 1
    return first


def _is_labelled(before: str) -> bool:
    """Whether a label of words that names a quantity stands before a box: `Area: `."""
    label = _LABEL.search(before)
    return label is not None and _NO_QUANTITY.search(label[1]) is None


def _labelled_parts(text: str, boxes: list[Box]) -> int:
    """How many of the last boxes are the answers to parts (a), (b) ..., one each; 0 if the text has no such labels."""
    labels: list[str] = []
    since = 0
    for start, end, _ in boxes:
        marks = list(_PART_LABEL.finditer(text, max(since, start - MAX_PART), start))
        mark = marks[0 if labels else -1] if marks else None
        labels.append(((mark[1] or mark[2]) if mark else "").lower())
        since = end
    return len(boxes) if "".join(labels) == "abcdef"[: len(boxes)] else 0


def _joined(parts: list[str], after: str, sign: str) -> Found | None:
    parts = parts[:1] if len(set(parts)) == 1 else parts
    answer = sign.join(parts).strip()
    if not answer:
        return None
    if len(parts) == 1 and "%" not in answer and _PERCENT_AFTER.match(after[:16]):
        answer += "\\%"
    if _DIGITS.fullmatch(answer) and _FACTORIAL_AFTER.match(after[:16]):
        answer += "!"
    return Found(answer, "boxed")


def tagged(text: str) -> Found | None:
    """The last answer between tags, with the one before it that only `or`, `and` or a comma separates from it."""
    low = text.lower()
    for opening, closing in _TAGS:
        end = low.rfind(closing)
        start = low.rfind(opening, 0, end) if end >= 0 else -1
        if start < 0 or not (inside := text[start + len(opening) : end].strip()):
            continue
        before = low.rfind(closing, 0, start)
        if before >= 0 and _BETWEEN_TAGS.fullmatch(text[before + len(closing) : start]):
            other = text[low.rfind(opening, 0, before) + len(opening) : before].strip()
            return Found(inside if other == inside else f"{other}, {inside}", "tagged")
        return Found(inside + unit_after(text, end + len(closing), inside), "tagged")
    return None


def structured(text: str) -> Found | None:
    """The answer of structured output, a JSON object alone or in a fence: `{"reasoning": "...", "answer": 42}`."""
    fields = json_object(text, number=str) or {}
    values = {re.sub(r"[\W_]", "", key.lower()): value for key, value in fields.items()}
    answer = values.get("finalanswer", values.get("answer"))
    if not isinstance(answer, str | bool) or not (written := str(answer).strip()):
        return None
    return Found(written, "tagged")


def last_box(text: str) -> int:
    """Where the last box ends."""
    boxes = _boxes(text)
    return boxes[-1][1] if boxes else 0


def _is_rounding(text: str, exact: Box, rounded: Box) -> bool:
    gap = text[exact[1] : rounded[0]]
    if len(gap) > MAX_GAP or not any(c.isdigit() for c in rounded[2]):
        return False
    return bool(_APPROXIMATELY.search(gap) or rounded[2].lstrip().startswith(("\\approx", "≈", "\\simeq")))


def _statement(text: str, boxes: list[Box], at: int, first: int) -> tuple[str, bool] | None:
    """What the text says with a box, and whether it denies that; None for a box that is part of the next one's formula."""
    start, end, content = boxes[at]
    content = content.strip()
    lead, tail = part_of(text, start, end)
    if at + 1 < len(boxes) and "\\boxed" in tail:
        return None
    if _BOUND_BEFORE.search(lead) and _REACHED.search(text[end : end + MAX_GAP]):
        lead = tail = ""
    if content and (lead or tail) and lead.strip() != content:
        is_number = _DIGITS.fullmatch(content) is not None
        content = without_boxes(lead) + (content if is_number else f"({content})") + without_boxes(tail)
    since = boxes[at - 1][1] if at > first else 0
    until = boxes[at + 1][0] if at + 1 < len(boxes) else len(text)
    said = claim(
        text[since:until] + " box" * (until < len(text)), max(start - len(lead) - since, 0), end + len(tail) - since
    )
    if said == NOTHING and not (lead or tail):
        return content + unit_after(text, end, content), False
    return (said.of(content) if content else content), said.denied


def _boxes(text: str) -> list[Box]:
    """(start, end, content) of each box; a box in a box is part of its content."""
    boxes: list[Box] = []
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
