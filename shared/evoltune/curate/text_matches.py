"""Text that a row shares with a benchmark: n-grams, near-duplicates by Jaccard, containment, paraphrase.

Overlaps are exact: targets are few (thousands), so an inverted index of their shingles gives the true Jaccard with each
in one pass over the row's shingles, and nothing has to be estimated.

    index = build_index({"gsm8k": tasks}, Curate())
    find_hits(index, "Janet's ducks lay 16 eggs ...", ["18"])  ->  [Hit(suite="gsm8k", task="gsm8k/0", ...)]
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from evoltune.curate.paraphrase import Features, ParaphraseIndex, build_paraphrase_index, features, find_paraphrases
from evoltune.recipe import Curate
from evoltune.record import Task
from evoltune.text.words import ngrams, shingles, words

CONTAINMENT = 0.8  # share of a problem's shingles that a longer row may hold
MIN_SHINGLES = 8  # a shorter problem is contained by chance


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A row gives away a suite's task: by which method, how strongly (1.0 for exact methods)."""

    suite: str
    task: str
    method: str
    score: float = 1.0


@dataclass(frozen=True, kw_only=True)
class TextIndex:
    """The suites' texts, prepared for look-ups. Built once, read for every row. Targets are numbered over all suites."""

    targets: Sequence[tuple[str, str]]
    """(suite, task) of each target."""
    jaccard: float
    by_ngram: Mapping[int, Mapping[tuple[str, ...], Sequence[int]]]
    """n -> n-gram -> targets."""
    by_words: Mapping[tuple[str, ...], Sequence[int]]
    """Problems shorter than the longest n-gram, word for word."""
    by_shingle: Mapping[str, Sequence[int]]
    """shingle -> targets whose problem has it."""
    shingle_counts: Sequence[int]
    """Shingles of each target's problem."""
    paraphrases: Mapping[int, ParaphraseIndex]
    """First target of a suite -> its paraphrase index: one per suite, so that scores do not depend on other suites."""


def build_index(suites: Mapping[str, Sequence[Task]], options: Curate) -> TextIndex:
    """Indexes problems, solutions and reference answers of all suites."""
    targets: list[tuple[str, str]] = []
    by_ngram: dict[int, dict[tuple[str, ...], list[int]]] = {n: defaultdict(list) for n in options.ngrams}
    by_words: dict[tuple[str, ...], list[int]] = defaultdict(list)
    by_shingle: dict[str, list[int]] = defaultdict(list)
    shingle_counts = []
    paraphrases = {}
    for suite, tasks in suites.items():
        if options.paraphrase and tasks:
            paraphrases[len(targets)] = build_paraphrase_index([_features(task) for task in tasks])
        for task in tasks:
            target = len(targets)
            targets.append((suite, task.name or task.instruction[:60]))
            for n, known in by_ngram.items():
                for gram in {g for text in _texts_of(task) for g in ngrams(words(text), n)}:
                    known[gram].append(target)
            problem = words(task.instruction)
            if problem and len(problem) < max(options.ngrams, default=0):
                by_words[tuple(problem)].append(target)
            own = shingles(task.instruction)
            shingle_counts.append(len(own))
            for shingle in own:
                by_shingle[shingle].append(target)
    return TextIndex(
        targets=targets, jaccard=options.contamination_jaccard, shingle_counts=shingle_counts, paraphrases=paraphrases,
        by_ngram={n: dict(known) for n, known in by_ngram.items()}, by_words=dict(by_words), by_shingle=dict(by_shingle),
    )  # fmt: skip


def _texts_of(task: Task) -> list[str]:
    """The problem, the reference, and the solutions that the suite carries in fields."""
    return [t for t in (task.instruction, task.reference, *task.fields.values()) if isinstance(t, str) and t]


def _features(task: Task) -> Features:
    question, *others = _texts_of(task) or [""]
    return features(question, others)


def find_hits(index: TextIndex, question: str, others: Iterable[str] = ()) -> list[Hit]:
    """All targets that the row's question or its other texts (answers, reference) give away, by suite, task, method."""
    others = list(others)
    asked = words(question)
    found = [*_ngram_hits(index, [asked, *map(words, others)])]
    found += [_hit(index, target, "exact") for target in index.by_words.get(tuple(asked), ())]
    found += _near_hits(index, question)
    if not found and index.paraphrases:  # the most expensive and least precise method, so it runs last
        row = features(question, others)
        found = [
            _hit(index, first + target, "paraphrase", score)
            for first, known in index.paraphrases.items()
            for target, score in find_paraphrases(known, row)
        ]
    return sorted(set(found), key=lambda h: (h.suite, h.task, h.method))


def _hit(index: TextIndex, target: int, method: str, score: float = 1.0) -> Hit:
    suite, task = index.targets[target]
    return Hit(suite=suite, task=task, method=method, score=round(score, 4))


def _ngram_hits(index: TextIndex, texts: Iterable[Sequence[str]]) -> Iterator[Hit]:
    for tokens in texts:
        for n, known in index.by_ngram.items():
            if known.keys().isdisjoint(ngrams(tokens, n)):
                continue
            for target in {t for gram in ngrams(tokens, n) for t in known.get(gram, ())}:
                yield _hit(index, target, f"{n}-gram")


def _near_hits(index: TextIndex, question: str) -> Iterator[Hit]:
    if index.jaccard >= 1:
        return
    own = shingles(question)
    shared_counts = Counter(t for s in own if s in index.by_shingle for t in index.by_shingle[s])
    for target, shared in shared_counts.items():
        size = index.shingle_counts[target]
        jaccard = shared / (len(own) + size - shared)
        if jaccard >= index.jaccard:
            yield _hit(index, target, "jaccard", jaccard)
        elif size >= MIN_SHINGLES and shared / size >= CONTAINMENT:
            yield _hit(index, target, "containment", shared / size)
