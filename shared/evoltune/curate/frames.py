"""The frame of a domain: what many of its tasks share, so that a row that has it gives nothing away.

    frames = shared_by_many([shingles(t) for t in tasks])     # {"write a regular", "a regular expression", ...}

Every task of a small domain may read "Write a regular expression that matches every string which ...": without its frame, a
row about other strings is no copy of any of them. Counted are the tasks of a suite and the domain's own seeds, each against
its own number, so that neither hides the other's.

A domain of several frames ("Name the compound ...", "What is the product of ... and ...") has none of them in many of its texts. So
each task also has a template of its own, learnt from the few texts that are like it but for some words: a row that has the frame
of a template gives the task away only where it fills the slots with the same names, numbers and words.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from difflib import Match, SequenceMatcher
from math import ceil
from typing import TypeVar

MIN_TEXTS, SHARE = 3, 0.05
"""A frame is in at least this many texts, and in this share of all of them. Ten rewordings of each problem among the seeds of
a suite of 30 make no frame."""
T = TypeVar("T", bound=Hashable)


def shared_by_many(texts: Sequence[Iterable[T]], share: float = SHARE) -> set[T]:
    """The items (words, shingles) that many of the texts have."""
    needed = max(MIN_TEXTS, ceil(len(texts) * share))
    counts = Counter(item for text in texts for item in set(text))
    return {item for item, n in counts.items() if n >= needed}


# ---- the template of one task

LONGEST, MOST_SEEDS = 60, 10_000
"""Tokens of a text that may have a template, and seeds of which templates are learnt."""
ALIKE = 0.5
"""Share of the longer text's tokens that two texts of one template have in common, in the same order."""
WITNESSES = 2
"""Texts besides the task in which a word stands at the same place, before it is of the frame."""
TRIED = 24
"""Texts that are compared with a task, those with most pairs of words in common first."""
FOLLOWED = 0.8
"""Share of a frame, in its order, that a row has which follows the template."""
_TOKEN = re.compile(r"[^\W_]+|[-+*/=<>|&^!~%]+")
_SIGNS = str.maketrans({"→": "->", "⇒": "->", "∧": "&", "∨": "|", "¬": "!", "×": "*", "·": "*", "÷": "/", "−": "-"})
_LITTLE = frozenset("a an the of to and or in is are be for on at with it its that this as by from please".split())


@dataclass(frozen=True, kw_only=True)
class Template:
    """What a task shares with the texts that are like it, and what is its own."""

    frame: tuple[str, ...]
    """The shared tokens, in their order."""
    own: frozenset[str]
    """The tokens in its slots."""

    def is_filled_otherwise(self, tokens: Sequence[str]) -> bool:
        """Whether a text has this frame around other names, numbers or words than the task: then it gives nothing away."""
        followed = sum(block.size for block in _aligned(self.frame, tokens))
        found = {*tokens}
        others = found - {*self.frame} - self.own - _LITTLE
        if followed < FOLLOWED * len(self.frame) or not others:
            return False
        numbers = _numbers(self.own)
        if numbers and not numbers & found and _numbers(others):
            return True
        return 2 * len(self.own & found) <= len(self.own)


def _numbers(tokens: Iterable[str]) -> set[str]:
    return {token for token in tokens if token.isdigit()}


def tokens_of(text: str) -> list[str]:
    """Lower-case words, numbers, formulas, and signs of operation."""
    found = _TOKEN.findall(unicodedata.normalize("NFKC", text).translate(_SIGNS).lower())
    return [token for token in found if token != "-"]


def templates(tasks: Sequence[str], seeds: Sequence[str]) -> list[Template | None]:
    """For each task its template, or None where fewer than two of the other tasks and seeds are like it."""
    known = dict.fromkeys([*tasks, *seeds[:MOST_SEEDS]])
    texts = [tokens for tokens in map(tokens_of, known) if len(tokens) <= LONGEST]
    by_pair: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, tokens in enumerate(texts):
        for pair in {*_pairs(tokens)}:
            by_pair[pair].append(i)
    return [_template(tokens_of(task), texts, by_pair) for task in tasks]


def _pairs(tokens: Sequence[str]) -> Iterable[tuple[str, str]]:
    return zip(["", *tokens], tokens, strict=False)


def _template(
    task: Sequence[str], texts: Sequence[Sequence[str]], by_pair: dict[tuple[str, str], list[int]]
) -> Template | None:
    if not 3 <= len(task) <= LONGEST:
        return None
    shared = Counter(i for pair in {*_pairs(task)} for i in by_pair.get(pair, ()))
    near = [i for i, n in shared.most_common(TRIED) if 4 * n >= len(task) and texts[i] != task]
    seen = Counter(place for i in near for place in _common_places(task, texts[i]))
    frame = [place for place in range(len(task)) if seen[place] >= WITNESSES]
    own = {token for place, token in enumerate(task) if seen[place] < WITNESSES} - {task[place] for place in frame}
    if 2 * len(frame) < len(task) or not own - _LITTLE:
        return None
    return Template(frame=tuple(task[place] for place in frame), own=frozenset(own - _LITTLE))


def _common_places(task: Sequence[str], other: Sequence[str]) -> list[int]:
    """The places of a task's tokens that another text has too; none where it is no text of the same frame: it is another one
    altogether, or has all that the task has (a copy), or its numbers (a rewording)."""
    blocks = _aligned(task, other)
    places = [place for block in blocks for place in range(block.a, block.a + block.size)]
    lost, more = {*task} - {*other} - _LITTLE, {*other} - {*task} - _LITTLE
    numbers = _numbers(task)
    reworded = len(numbers) > 1 and numbers <= {*other}
    if len(places) < ALIKE * max(len(task), len(other)) or not lost or not more or reworded:
        return []
    return places


def _aligned(a: Sequence[str], b: Sequence[str]) -> Sequence[Match]:
    return SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
