"""Rules about words of our own prompts, and of other people's evolving prompts, in what the teacher wrote.

    labels_of("Rules:\n- short\n\nTask:\n{instruction}\n\nNew task:\n")   ->  Labels(any=(...), output=("new task",))
    repeats_label(labels, parent, Task(instruction="New task:\nSort it."))  ->  True

Invariant: what the parent (of an instruction) or the instruction (of an answer) says itself is no leak.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from evoltune.record import Task
from evoltune.text.prompts import read_prompt
from evoltune.text.residue import is_residue
from evoltune.text.words import ngrams, prose_words

ECHO_WORDS = 8
CORE_TEMPLATES = tuple(read_prompt("evoltune.evolve", name) for name in ("self_instruct", "snippet", "equal"))
_LABEL_LINE = re.compile(r"^[ \t]*([^\n:{}]{2,60}?)[ \t]*:[ \t]*(\{\w+\})?[ \t]*$", re.MULTILINE)
_LONGEST_LABEL = 8  # words; a longer line is a sentence, which the echo of eight words finds
_OPEN = r"[\s#*_`'\"“”«»\[\](){}<>【】「」『』~-]*"
_CLOSE = r"[ \t*_`'\"”»\])}>】」』~#]*"


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The labels of a domain's prompts, as patterns over the text of a child."""

    at_head: re.Pattern[str]
    """Any label, where it heads the text."""
    anywhere: re.Pattern[str]
    """A label of several words that stands next to a slot or ends a prompt, on a line of its own."""


def leaks_prompt(parent: Task | None, child: Task, text: str) -> bool:
    """Words of the evolving prompt leaked (2304.12244 section 3.3, rule 4)."""
    # Also mangled or translated: see evoltune.text.residue. What the parent itself says is allowed.
    return is_residue(text, is_next_turn=bool(child.history)) and not (parent and is_residue(parent.instruction))


def answer_leaks_prompt(parent: Task | None, child: Task, text: str) -> bool:
    """Words of an evolving prompt of which the instruction does not speak."""
    return is_residue(text, asked=child.instruction) and not (parent and is_residue(parent.instruction))


def repeats_label(templates: Iterable[str], parent: Task | None, child: Task) -> bool:
    """Whether the child has a label of one of these prompts ("New task:") that the parent does not have."""
    labels = _labels(tuple(templates))
    text, before = child.instruction, parent.instruction if parent else ""
    if labels.at_head.match(text) and not labels.at_head.match(before):
        return True
    return (":" in text or "：" in text) and bool(labels.anywhere.search(text)) and not labels.anywhere.search(before)


def label_lines(template: str) -> list[tuple[str, bool]]:
    """(label, whether it stands next to a slot or ends the prompt) of each short line of a prompt that ends in a colon."""
    found = []
    for match in _LABEL_LINE.finditer(template):
        rest = template[match.end() :].strip()
        if len(match[1].split()) <= _LONGEST_LABEL:
            found.append((match[1].strip("#*[]() "), bool(match[2]) or not rest or rest.startswith("{")))
    return found


@lru_cache(maxsize=32)
def _labels(templates: tuple[str, ...]) -> Labels:
    lines = {line for template in (*templates, *CORE_TEMPLATES) for line in label_lines(template) if line[0]}
    words = {label: r"[\s_-]+".join(map(re.escape, label.split())) for label, _ in lines}
    every = "|".join(sorted(set(words.values()), key=len, reverse=True)) or r"(?!)"
    several = {words[label] for label, is_next_to_slot in lines if is_next_to_slot and " " in label}
    some = "|".join(sorted(several, key=len, reverse=True)) or r"(?!)"
    bare = "|".join(sorted({words[label] for label, _ in lines if " " in label}, key=len, reverse=True)) or r"(?!)"
    return Labels(
        at_head=re.compile(
            rf"\A{_OPEN}(?:(?:{every}){_CLOSE}(?:\d{_CLOSE})?[:：]|(?:{every})[*_\])}}>】」』#]+|(?:{bare}){_CLOSE}\n)",
            re.IGNORECASE,
        ),
        anywhere=re.compile(rf"^{_OPEN}(?:{some}){_CLOSE}[:：]", re.IGNORECASE | re.MULTILINE),
    )


def echoes_operator(template: str, parent: Task, child: Task) -> bool:
    """Whether the child repeats eight words in a row of the operator's prompt that the parent does not have."""
    return _echoes(template, child.instruction, parent.instruction)


def echoes_answer_prompt(template: str, child: Task, answer: str) -> bool:
    """Whether an answer repeats eight words in a row of the prompt that asked for it, and not of the instruction."""
    return _echoes(template, answer, child.instruction)


def _echoes(template: str, text: str, before: str) -> bool:
    """Whether the text has eight words in a row of a prompt, and not all of them stood in the text before it."""
    shared = _runs_of_prompt(template).intersection(_word_runs(text))
    return bool(shared) and not shared.issubset(_word_runs(before))


@lru_cache(maxsize=64)
def _runs_of_prompt(template: str) -> frozenset[tuple[str, ...]]:
    return frozenset(_word_runs(template))


def _word_runs(text: str) -> Iterator[tuple[str, ...]]:
    return ngrams(prose_words(text), ECHO_WORDS)
