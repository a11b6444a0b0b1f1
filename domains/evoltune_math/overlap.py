"""Skeleton overlap: a row that is a problem of a suite in other words, with other names, or with other numbers.

Names and numbers become slots. What is left, the skeleton, is compared by the TF-IDF cosine over stems and pairs of stems.
A row gives a problem away if one of three rules holds (their error rates: tests/evoltune_math/test_overlap.py):

1. same numbers: wording and numbers together are similar (wording^a * numbers^(1-a); rare numbers weigh more, and the
   answer counts as one of the numbers if both answers are known);
2. new numbers: the skeletons are very similar and have equally many slots;
3. same function: the skeletons are rather similar, and the problem's own worked solution, computed with the row's numbers,
   gives the row's answer.

The result depends on the row and the suite only. The index of a suite is built once in a process.

    skeleton(record, tasks, context)     # ['gsm8k/17']
"""

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
from evoltune_math.worked_solutions import MARKED_ANSWER, Program, evaluate, number_slots, program_of, worked_answer

WORDING_POWER = 0.3
SAME_NUMBERS_AND_ANSWER = 0.42
SAME_NUMBERS = 0.56  # if an answer is unknown, or the row's is wrong
NEW_NUMBERS = 0.62
NEW_NUMBERS_AND_COUNT = 0.75
SAME_FUNCTION = 0.28
LEAST_SLOTS = 2  # with fewer numbers, the wording without them is too common
LEAST_WORDS = 5  # shorter skeletons (`compute # + #`) are alike without being copies
CANDIDATES = 12  # problems most similar in wording whose numbers are compared
COMMON = 0.05
"""Terms of more than this share of the problems do not propose candidates; they still count in the cosine."""
MAX_INDEXES = 8

QUESTION = re.compile(r"\A\s*(?:question|problem|q)\s*:\s*", re.IGNORECASE)
ANSWER = re.compile(r"\n[ \t]*(?:answer|a|solution)[ \t]*:.*\Z", re.IGNORECASE | re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_STOP_WORDS = frozenset(
    "a an the of to and in is are be for on at with it its that this as by from or was were he she his her him they their "
    "them has have had how many much if what does do did will would can each per than then there who when which after "
    "before so but".split()
)
_SUFFIXES = ("ing", "ed", "es", "s", "ly")


@dataclass(frozen=True, kw_only=True)
class View:
    """A problem without names."""

    terms: Mapping[str, int]  # stems and pairs of stems with their counts
    words: int
    slots: tuple[Fraction, ...]
    numbers: frozenset[float]  # the distinct slots; floats, because a Fraction's hash costs ten times as much


@dataclass(frozen=True, kw_only=True)
class Index:
    """A suite, prepared for queries; all sequences are in the order of its tasks."""

    names: Sequence[str]
    views: Sequence[View]
    vectors: Sequence[Mapping[str, float]]  # unit-length TF-IDF weights
    postings: Mapping[str, Sequence[tuple[int, float]]]  # term -> (problem, weight)
    weights: Mapping[str, float]
    unseen: float  # the weight of a term that no problem has
    rarity: Mapping[float, float]
    rarest: float  # the weight of a number that no problem has
    answers: Sequence[Fraction | None]
    programs: Sequence[Program | None]
    common_words: frozenset[str]  # words that the suite writes in lower case; other capitalised words are names


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    suffix = next((s for s in _SUFFIXES if word.endswith(s) and len(word) - len(s) >= 3), "")
    return word.removesuffix(suffix)


def view(text: str, common_words: frozenset[str]) -> View:
    text = ANSWER.sub("", QUESTION.sub("", text))
    stems = [stem(w.lower()) for w in _WORD.findall(text) if w.islower() or w.lower() in common_words]
    terms = Counter(s for s in stems if s not in _STOP_WORDS)
    words = len(terms)
    terms.update(f"{a} {b}" for a, b in pairwise(stems))
    slots = number_slots(text)
    return View(terms=terms, words=words, slots=slots, numbers=frozenset(map(float, slots)))


def build(tasks: Sequence[Task]) -> Index:
    """The index of a suite, in time linear in its text."""
    common_words = frozenset(w for t in tasks for w in _WORD.findall(t.instruction) if w.islower())
    views = [view(t.instruction, common_words) for t in tasks]
    seen = Counter(term for v in views for term in v.terms)
    weights = {term: 1 + log((1 + len(tasks)) / (1 + n)) for term, n in seen.items()}
    unseen = 1 + log(1 + len(tasks))
    vectors = [_unit_vector(v.terms, weights, unseen) for v in views]
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
        programs=[program_of(str(t.fields.get("solution", "")), v.slots) for t, v in zip(tasks, views, strict=True)],
        common_words=common_words,
    )


def _unit_vector(terms: Mapping[str, int], weights: Mapping[str, float], unseen: float) -> dict[str, float]:
    raw = {term: (1 + log(n)) * weights.get(term, unseen) for term, n in terms.items()}
    norm = sum(w * w for w in raw.values()) ** 0.5 or 1.0
    return {term: weight / norm for term, weight in raw.items()}


_INDEXES: OrderedDict[int, tuple[Sequence[Task], Index]] = OrderedDict()


def index_of(tasks: Sequence[Task]) -> Index:
    """The suite's index, cached by identity, else by content: a worker gets a new copy of the suite with each batch."""
    cached = _INDEXES.get(id(tasks))
    if cached is None:
        equal = next((key for key, (held, _) in _INDEXES.items() if list(held) == list(tasks)), None)
        index = build(tasks) if equal is None else _INDEXES.pop(equal)[1]
        cached = _INDEXES[id(tasks)] = (tasks, index)
        while len(_INDEXES) > MAX_INDEXES:
            _INDEXES.popitem(last=False)
    return cached[1]


def skeleton(record: Record, tasks: Sequence[Task], context: Context) -> Sequence[str]:
    """`Overlap`: names of the suite's tasks that the record gives away, the most similar first."""
    index = index_of(tasks)
    text = record.task.instruction
    answers = [record.task.reference, *(a.text for a in record.answers[:1]), *MARKED_ANSWER.findall(text)[-1:]]
    return [index.names[number] for number, _ in hits(index, text, worked_answer(answers))]


def hits(index: Index, text: str, answer: Fraction | None) -> list[tuple[int, str]]:
    """(problem, rule) for each problem that the row gives away, the most similar first."""
    row = view(text, index.common_words)
    if row.words < LEAST_WORDS:
        return []
    vector = _unit_vector(row.terms, index.weights, index.unseen)
    shared: dict[int, float] = {}
    for term, weight in vector.items():
        for number, other in index.postings.get(term, ()):
            shared[number] = shared.get(number, 0.0) + weight * other
    candidates = nsmallest(CANDIDATES, shared, key=lambda number: (-shared[number], number))
    wording = {
        number: sum(weight * index.vectors[number].get(term, 0.0) for term, weight in vector.items())
        for number in candidates
    }
    ranked = sorted(candidates, key=lambda number: (-wording[number], number))
    found = [(number, _rule(index, number, row, wording[number], answer)) for number in ranked]
    return [(number, rule) for number, rule in found if rule]


def _rule(index: Index, number: int, row: View, wording: float, answer: Fraction | None) -> str:
    """The name of the rule that holds, or ""."""
    problem = index.views[number]
    if problem.words < LEAST_WORDS:
        return ""
    if _same_numbers(index, wording, row, problem, answer, index.answers[number]):
        return "same numbers"
    if min(len(row.slots), len(problem.slots)) < LEAST_SLOTS:
        return ""
    if wording >= (NEW_NUMBERS if len(row.slots) == len(problem.slots) else NEW_NUMBERS_AND_COUNT):
        return "new numbers"
    program = index.programs[number]
    if wording < SAME_FUNCTION or program is None or answer is None:
        return ""
    return "same function" if evaluate(program, row.slots) == answer else ""


def _same_numbers(
    index: Index, wording: float, row: View, problem: View, ours: Fraction | None, theirs: Fraction | None
) -> bool:
    """Rule 1, where `numbers` is the Jaccard similarity weighted by rarity in the suite."""
    common = _weight(index, row.numbers & problem.numbers)
    total = _weight(index, row.numbers | problem.numbers)
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
