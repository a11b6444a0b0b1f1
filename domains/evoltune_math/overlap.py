"""Skeleton overlap: a row that is a suite's problem in other words, with other names, or with other numbers.

Names and numbers become slots; what is left, the skeleton, is compared by TF-IDF cosine over stems and pairs of stems.
Three rules, cheap to dear; a row gives a problem away if one holds (thresholds: tests/evoltune_math/test_overlap.py):

1. same numbers: wording and numbers together are near (wording^a x numbers^(1-a); numbers weigh by rarity, and the
   answer counts as one of them where both are known);
2. new numbers: the skeletons are very near and have as many slots;
3. same function: the skeletons are somewhat near, and the problem's own worked solution, run on the row's numbers,
   gives the row's answer.

Invariant: the result depends on the row and the suite only. The index of a suite is built once in a process.

    skeleton(record, tasks, context)     # ['gsm8k/17']
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from heapq import nsmallest
from itertools import pairwise
from math import log

from evoltune.domain import Context
from evoltune.record import Record, Task
from evoltune_math.worked_solutions import MARKED, Program, evaluate, number_slots, program_of, worked_answer

WORDING_POWER = 0.3
SAME_NUMBERS_AND_ANSWER = 0.42
SAME_NUMBERS = 0.56
"""Without the answers: they are unknown, or the row's is wrong."""
NEW_NUMBERS = 0.62
NEW_NUMBERS_AND_COUNT = 0.75
SAME_FUNCTION = 0.28
LEAST_SLOTS = 2
"""With fewer numbers, a wording without them is too common."""
LEAST_WORDS = 5
"""Shorter skeletons (`compute # + #`) are alike without being copies."""
CANDIDATES = 12
"""Problems nearest in wording whose numbers are compared."""
COMMON = 0.05
"""Terms of more than this share of the problems do not propose candidates; they still count in the cosine."""
KEPT_INDEXES = 8

QUESTION = re.compile(r"\A\s*(?:question|problem|q)\s*:\s*", re.IGNORECASE)
ANSWER = re.compile(r"\n[ \t]*(?:answer|a|solution)[ \t]*:.*\Z", re.IGNORECASE | re.DOTALL)
WORD = re.compile(r"[A-Za-z]+")
STOP_WORDS = (
    "a an the of to and in is are be for on at with it its that this as by from or was were he she his her him they their them "
    "has have had how many much if what does do did will would can each per than then there who when which after before so but"
)
STOP = frozenset(STOP_WORDS.split())
SUFFIXES = ("ing", "ed", "es", "s", "ly")


@dataclass(frozen=True, kw_only=True)
class View:
    """A problem without names: stems and pairs of stems with their counts, and its numbers in order."""

    terms: Mapping[str, int]
    words: int
    slots: tuple[Fraction, ...]
    numbers: frozenset[float]
    """The distinct slots; floats, because a Fraction's hash costs ten times as much."""


@dataclass(frozen=True, kw_only=True)
class Index:
    """A suite, ready to be asked. `vectors`: unit-length TF-IDF weights; `postings`: term -> (problem, weight)."""

    names: Sequence[str]
    views: Sequence[View]
    vectors: Sequence[Mapping[str, float]]
    postings: Mapping[str, Sequence[tuple[int, float]]]
    weights: Mapping[str, float]
    unseen: float
    rarity: Mapping[float, float]
    rarest: float
    """The weight of a number that no problem of the suite has."""
    answers: Sequence[Fraction | None]
    programs: Sequence[Program | None]
    common_words: frozenset[str]


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    suffix = next((s for s in SUFFIXES if word.endswith(s) and len(word) - len(s) >= 3), "")
    return word.removesuffix(suffix)


def view(text: str, common_words: frozenset[str]) -> View:
    """Capitalised words that the suite never writes small are names and are left out."""
    text = ANSWER.sub("", QUESTION.sub("", text))
    stems = [stem(w.lower()) for w in WORD.findall(text) if w.islower() or w.lower() in common_words]
    terms = Counter(s for s in stems if s not in STOP)
    words = len(terms)
    terms.update(f"{a} {b}" for a, b in pairwise(stems))
    slots = number_slots(text)
    return View(terms=terms, words=words, slots=slots, numbers=frozenset(map(float, slots)))


def build(tasks: Sequence[Task]) -> Index:
    """Linear in the suite's text."""
    small = frozenset(w for t in tasks for w in WORD.findall(t.instruction) if w.islower())
    views = [view(t.instruction, small) for t in tasks]
    seen = Counter(term for v in views for term in v.terms)
    weights = {term: 1 + log((1 + len(tasks)) / (1 + n)) for term, n in seen.items()}
    unseen = 1 + log(1 + len(tasks))
    vectors = [_unit(v.terms, weights, unseen) for v in views]
    postings: dict[str, list[tuple[int, float]]] = {}
    limit = max(3, COMMON * len(tasks))
    for number, vector in enumerate(vectors):
        for term, weight in vector.items():
            if seen[term] <= limit:
                postings.setdefault(term, []).append((number, weight))
    numbers = Counter(n for v in views for n in v.numbers)
    return Index(
        names=[t.name for t in tasks],
        views=views,
        vectors=vectors,
        postings=postings,
        weights=weights,
        unseen=unseen,
        rarest=0.3 + log(1 + len(tasks)),
        rarity={n: 0.3 + log((1 + len(tasks)) / (1 + c)) for n, c in numbers.items()},
        answers=[worked_answer([t.reference]) for t in tasks],
        programs=[
            program_of(str(t.fields.get("solution", "")), v.slots) for t, v in zip(tasks, views, strict=True)
        ],
        common_words=small,
    )


def _unit(terms: Mapping[str, int], weights: Mapping[str, float], unseen: float) -> dict[str, float]:
    raw = {term: (1 + log(n)) * weights.get(term, unseen) for term, n in terms.items()}
    norm = sum(w * w for w in raw.values()) ** 0.5 or 1.0
    return {term: weight / norm for term, weight in raw.items()}


_INDEXES: OrderedDict[int, tuple[Sequence[Task], Index]] = OrderedDict()


def index_of(tasks: Sequence[Task]) -> Index:
    """The suite's index, kept for this process: by identity (the suite is held, so that no other can take it over),
    else by content, since a worker gets a fresh copy of the suite with each batch.
    """
    known = _INDEXES.get(id(tasks))
    if known is None:
        twin = next((key for key, (held, _) in _INDEXES.items() if _same(held, tasks)), None)
        index = build(tasks) if twin is None else _INDEXES.pop(twin)[1]
        known = _INDEXES[id(tasks)] = (tasks, index)
        while len(_INDEXES) > KEPT_INDEXES:
            _INDEXES.popitem(last=False)
    return known[1]


def _same(one: Sequence[Task], other: Sequence[Task]) -> bool:
    return len(one) == len(other) and all(a == b for a, b in zip(one, other, strict=True))


def skeleton(record: Record, tasks: Sequence[Task], context: Context) -> Sequence[str]:
    """`Overlap`: names of the suite's tasks that the record gives away, nearest first."""
    index = index_of(tasks)
    text = record.task.instruction
    answers = [record.task.reference, *(a.text for a in record.answers[:1]), *MARKED.findall(text)[-1:]]
    return [index.names[number] for number, _ in hits(index, text, worked_answer(answers))]


def hits(index: Index, text: str, answer: Fraction | None) -> list[tuple[int, str]]:
    """(problem, rule) for each problem that the row gives away, nearest first."""
    row = view(text, index.common_words)
    if row.words < LEAST_WORDS:
        return []
    vector = _unit(row.terms, index.weights, index.unseen)
    shared: dict[int, float] = {}
    for term, weight in vector.items():
        for number, other in index.postings.get(term, ()):
            shared[number] = shared.get(number, 0.0) + weight * other
    nearest = nsmallest(CANDIDATES, shared, key=lambda number: (-shared[number], number))
    near = {number: _cosine(vector, index.vectors[number]) for number in nearest}
    found = [(number, _rule(index, number, row, near[number], answer)) for number in nearest]
    return [(number, rule) for number, rule in sorted(found, key=lambda f: (-near[f[0]], f[0])) if rule]


def _cosine(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    return sum(weight * b[term] for term, weight in a.items() if term in b)


def _rule(index: Index, number: int, row: View, wording: float, answer: Fraction | None) -> str:
    target, theirs = index.views[number], index.answers[number]
    if target.words < LEAST_WORDS:
        return ""
    if _same_numbers(index, wording, row, target, answer, theirs):
        return "same numbers"
    if min(len(row.slots), len(target.slots)) < LEAST_SLOTS:
        return ""
    if wording >= (NEW_NUMBERS if len(row.slots) == len(target.slots) else NEW_NUMBERS_AND_COUNT):
        return "new numbers"
    program = index.programs[number]
    if wording < SAME_FUNCTION or program is None or answer is None:
        return ""
    return "same function" if evaluate(program, row.slots) == answer else ""


def _same_numbers(
    index: Index, wording: float, row: View, target: View, ours: Fraction | None, theirs: Fraction | None
) -> bool:
    """wording^a x numbers^(1-a). Numbers: Jaccard, weighted by rarity in the suite; the answers stand for one more."""
    common, total = _weight(index, row.numbers & target.numbers), _weight(index, row.numbers | target.numbers)
    words: float = wording**WORDING_POWER
    if total and words * (common / total) ** (1 - WORDING_POWER) >= SAME_NUMBERS:
        return True
    if ours is None or theirs is None:
        return False
    answers = _weight(index, {float(ours), float(theirs)})
    common += answers if ours == theirs else 0.0
    numbers: float = (common / (total + answers)) ** (1 - WORDING_POWER)
    return words * numbers >= SAME_NUMBERS_AND_ANSWER


def _weight(index: Index, numbers: AbstractSet[float]) -> float:
    return sum(index.rarity.get(n, index.rarest) for n in numbers)
