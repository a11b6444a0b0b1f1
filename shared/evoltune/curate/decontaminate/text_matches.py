"""Text that a row shares with a benchmark: n-grams, near-duplicates by Jaccard, containment, paraphrase.

Overlaps are exact: targets are few (thousands), so an inverted index of their shingles gives the true Jaccard with each
in one pass over the row's shingles, and no sketch has to estimate it.

    index = build_index({"gsm8k": tasks}, ngrams=(13,), jaccard=0.6)
    hits(index, question="Janet's ducks lay 16 eggs ...", others=["18"])  ->  [Hit(suite="gsm8k", task="gsm8k/0", ...)]
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evoltune.curate.decontaminate.paraphrase import Paraphrases, View, build_paraphrases, paraphrased, view
from evoltune.record import Task
from evoltune.text.words import ngrams as cut
from evoltune.text.words import shingles, words

CONTAINMENT = 0.8  # share of a target's shingles that a longer row may hold
LEAST_SHINGLES = 8  # a shorter target is held by chance


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A row gives away a suite's task: by which method, how strongly (1.0 for exact methods)."""

    suite: str
    task: str
    method: str
    score: float = 1.0


@dataclass(frozen=True, kw_only=True)
class TextIndex:
    """The suites' texts, ready to be asked. Built once, read by every row."""

    names: Sequence[tuple[str, str]]
    """(suite, task) of each target."""
    ngrams: tuple[int, ...]
    jaccard: float
    grams: Mapping[int, Mapping[tuple[str, ...], Sequence[int]]]
    """n -> n-gram -> targets."""
    whole: Mapping[tuple[str, ...], Sequence[int]]
    """Problems shorter than the longest n-gram, word for word."""
    postings: Mapping[str, Sequence[int]]
    """shingle -> problems that hold it."""
    sizes: Sequence[int]
    """Shingles of each problem."""
    paraphrases: Mapping[int, Paraphrases]
    """First target of a suite -> its paraphrase index: one per suite, so that scores do not depend on its company."""


def build_index(
    suites: Mapping[str, Sequence[Task]],
    *,
    ngrams: Sequence[int] = (13,),
    jaccard: float = 0.6,
    paraphrase: bool = True,
) -> TextIndex:
    """Indexes problems, solutions and reference answers of all suites."""
    names: list[tuple[str, str]] = []
    grams: dict[int, dict[tuple[str, ...], list[int]]] = {n: defaultdict(list) for n in ngrams}
    whole: dict[tuple[str, ...], list[int]] = defaultdict(list)
    postings: dict[str, list[int]] = defaultdict(list)
    sizes = []
    paraphrases = {}
    for suite, tasks in suites.items():
        if paraphrase and tasks:
            paraphrases[len(names)] = build_paraphrases([_view(task) for task in tasks])
        for task in tasks:
            target = len(names)
            names.append((suite, task.name or task.instruction[:60]))
            for n in ngrams:
                for gram in {g for text in texts_of(task) for g in cut(words(text), n)}:
                    grams[n][gram].append(target)
            problem = words(task.instruction)
            if problem and len(problem) < max(ngrams, default=0):
                whole[tuple(problem)].append(target)
            own = shingles(task.instruction)
            sizes.append(len(own))
            for shingle in own:
                postings[shingle].append(target)
    return TextIndex(
        names=names, ngrams=tuple(ngrams), jaccard=jaccard, sizes=sizes,
        grams={n: dict(g) for n, g in grams.items()}, whole=dict(whole), postings=dict(postings),
        paraphrases=paraphrases,
    )  # fmt: skip


def texts_of(task: Task) -> list[str]:
    """A target's texts: the problem, the reference, and the solutions that its suite carries in fields."""
    return [t for t in (task.instruction, task.reference, *task.fields.values()) if isinstance(t, str) and t]


def _view(task: Task) -> View:
    question, *others = texts_of(task) or [""]
    return view(question, others)


def hits(index: TextIndex, question: str, others: Iterable[str] = ()) -> list[Hit]:
    """All targets that the row's question, or its other texts (answers, reference), give away; best method first."""
    others = list(others)
    asked = words(question)
    found = [*_ngram_hits(index, [asked, *map(words, others)])]
    found += [_hit(index, target, "exact") for target in index.whole.get(tuple(asked), ())]
    found += _near_hits(index, question)
    if (
        not found and index.paraphrases
    ):  # the dearest method, and the weakest: only for rows that nothing else found
        mine = view(question, others)
        found = [
            _hit(index, first + target, "paraphrase", score)
            for first, known in index.paraphrases.items()
            for target, score in paraphrased(known, mine)
        ]
    return sorted(set(found), key=lambda h: (h.suite, h.task, h.method))


def _hit(index: TextIndex, target: int, method: str, score: float = 1.0) -> Hit:
    suite, task = index.names[target]
    return Hit(suite=suite, task=task, method=method, score=round(score, 4))


def _ngram_hits(index: TextIndex, texts: Iterable[Sequence[str]]) -> Iterable[Hit]:
    for tokens in texts:
        for n in index.ngrams:
            known = index.grams[n]
            if known.keys().isdisjoint(cut(tokens, n)):
                continue
            for target in {t for gram in cut(tokens, n) for t in known.get(gram, ())}:
                yield _hit(index, target, f"{n}-gram")


def _near_hits(index: TextIndex, question: str) -> Iterable[Hit]:
    if index.jaccard >= 1:
        return
    own = shingles(question)
    shared = Counter(t for s in own if s in index.postings for t in index.postings[s])
    for target, both in shared.items():
        size = index.sizes[target]
        jaccard = both / (len(own) + size - both)
        if jaccard >= index.jaccard:
            yield _hit(index, target, "jaccard", jaccard)
        elif size >= LEAST_SHINGLES and both / size >= CONTAINMENT:
            yield _hit(index, target, "containment", both / size)
