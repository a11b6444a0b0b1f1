"""Rules about run-ons: after the text comes another task, as base models write it."""

import re
from itertools import pairwise

from evoltune.record import Task
from evoltune.text.words import SENTENCE_END, prose_words

_LABEL = re.compile(
    r"^[ \t#*>\[]*(input|output|instructions?|question|answer|response|human|assistant|user|student|q|a|example|task)"
    r"[ \t]*\d*[\]*]*[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_TEMPLATE_TURN = re.compile(
    r"<\|im_(start|end)\||<\|(user|assistant|system|endoftext|end|eot_id)\|>|\[/?INST\]|^\s*#{2,4}\s*(instruction|response|input)\s*:",
    re.IGNORECASE | re.MULTILINE,
)
_PAIRS = frozenset(
    {
        ("input", "output"), ("question", "answer"), ("q", "a"), ("human", "assistant"), ("user", "assistant"),
        ("instruction", "response"), ("instruction", "output"), ("task", "output"), ("output", "input"),
        ("instruction", "input"),
    }
)  # fmt: skip
_WANTS_LABELS = re.compile(
    r"\b(questions?|quiz|faq|interview|dialog(ue)?|conversation|chat|q&a|q/a|examples?|test cases?|inputs?|outputs?|exercises?|"
    r"flash ?cards?|role-?play|script|trivia|riddles?|survey)\b",
    re.IGNORECASE,
)
_BARE_INPUT = re.compile(r"^\s*input:\s*$", re.IGNORECASE | re.MULTILINE)


def has_template_turns(parent: Task | None, child: Task, text: str) -> bool:
    """Turns of a chat template inside."""
    return bool(_TEMPLATE_TURN.search(text))


def runs_on(parent: Task | None, child: Task, text: str) -> bool:
    """Goes on with another task: template turns, Input/Output pairs, the instruction once more."""
    asked = child.instruction
    if _TEMPLATE_TURN.search(text) and not _TEMPLATE_TURN.search(asked):
        return True
    return _opens_another_task(text, asked) or _restates(asked, text)


def _labels(text: str) -> list[str]:
    """Labels that open a line (`Input:`, `Questions:`), in order, without their number and plural."""
    return [match[1].casefold().rstrip("s") for match in _LABEL.finditer(text)]


def _opens_another_task(text: str, asked: str) -> bool:
    labels, known = _labels(text), set(_labels(asked))
    new = [label for label in labels if label not in known or labels.count(label) > 2]
    pairs = sum(pair in _PAIRS for pair in pairwise(new))
    if not pairs:
        return False
    return pairs >= 3 or not _WANTS_LABELS.search(asked) or bool(_BARE_INPUT.search(text))


def _restates(asked: str, text: str) -> bool:
    """The first sentence of the instruction occurs twice in the answer, or later in an answer that is much longer."""
    whole = " ".join(asked.split())
    first = SENTENCE_END.split(whole)[0].strip()
    if len(prose_words(first)) < 6:
        first = whole
    if len(prose_words(first)) < 6:
        return False
    body, first = " ".join(text.split()).casefold(), first.casefold()
    return body.count(first) >= 2 or (body.find(first) > 0 and len(body) > 4 * len(first) + 200)
