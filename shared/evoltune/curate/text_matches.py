"""Text that a row shares with a benchmark: n-grams, near-duplicates by Jaccard, containment, paraphrase.

Overlaps are exact: targets are few (thousands), so an inverted index of their shingles gives the true Jaccard with each
in one pass over the row's shingles, and nothing has to be estimated. What many tasks share (`frames`) counts for no method.

    index = build_index({"gsm8k": tasks}, Curate())
    find_hits(index, "Janet's ducks lay 16 eggs ...", ["18"])  ->  [Hit(suite="gsm8k", task="gsm8k/0", ...)]
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeVar

from evoltune.curate.frames import Template, shared_by_many, templates, tokens_of
from evoltune.curate.paraphrase import Features, ParaphraseIndex, build_paraphrase_index, features, find_paraphrases
from evoltune.recipe import Curate
from evoltune.record import Task
from evoltune.text.words import SHINGLE, ngrams, shingles, words

CONTAINMENT = 0.8  # share of a problem's shingles that a longer row may hold
T = TypeVar("T", bound=Hashable)
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
    """Problems shorter than the longest n-gram, or of a frame alone, word for word."""
    by_shingle: Mapping[str, Sequence[int]]
    """shingle -> targets whose problem has it; frames are left out."""
    shingle_counts: Sequence[int]
    """Shingles of each target's problem, without frames."""
    frames: Set[str]
    """Shingles that many tasks or seeds have."""
    templates: Sequence[Template | None]
    """Of each target, where some other tasks or seeds are like it but for some words."""
    paraphrases: Mapping[int, ParaphraseIndex]
    """First target of a suite -> its paraphrase index: one per suite, so that scores do not depend on other suites."""


def build_index(suites: Mapping[str, Sequence[Task]], options: Curate, seeds: Iterable[str] = ()) -> TextIndex:
    """Indexes problems, solutions and reference answers of all suites. `seeds`: the domain's own, of which frames are learnt."""
    seeds = list(dict.fromkeys(seeds))
    tasks = [(suite, task) for suite, found in suites.items() for task in found]
    of_tasks = {suite: [shingles(task.instruction) for task in found] for suite, found in suites.items()}
    frames = set[str]().union(*map(shared_by_many, [[shingles(seed) for seed in seeds], *of_tasks.values()]))
    by_ngram = {n: _by_ngram([task for _, task in tasks], frames, n) for n in options.ngrams}
    found_by_ngram = {target for known in by_ngram.values() for targets in known.values() for target in targets}
    own = [found - frames for suite in suites for found in of_tasks[suite]]
    by_words: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for target, (_, task) in enumerate(tasks):
        if (problem := words(task.instruction)) and (
            len(problem) < max(options.ngrams, default=0) or target not in found_by_ngram
        ):
            by_words[tuple(problem)].append(target)
    paraphrases, first = {}, 0
    known = [features(seed) for seed in seeds] if options.paraphrase else []
    for found in suites.values():
        if options.paraphrase and found:
            paraphrases[first] = build_paraphrase_index([_features(task) for task in found], known)
        first += len(found)
    return TextIndex(
        targets=[(suite, task.name or task.instruction[:60]) for suite, task in tasks], jaccard=options.contamination_jaccard,
        by_ngram=by_ngram, by_words=dict(by_words), by_shingle=_postings(own), shingle_counts=[*map(len, own)], frames=frames,
        templates=[template for suite in suites for template in templates([t.instruction for t in suites[suite]], seeds)],
        paraphrases=paraphrases,
    )  # fmt: skip


def _by_ngram(tasks: Sequence[Task], frames: Set[str], n: int) -> dict[tuple[str, ...], list[int]]:
    """n-gram -> targets. One that is frame for the most part says nothing, though its last word may be a task's own."""
    found = []
    for task in tasks:
        grams = {gram for text in _texts_of(task) for gram in ngrams(words(text), n)}
        found.append({gram for gram in grams if not _is_frame(gram, frames)} if frames else grams)
    return _postings(found)


def _is_frame(gram: tuple[str, ...], frames: Set[str]) -> bool:
    own = [*map(" ".join, ngrams(gram, SHINGLE))]
    return bool(own) and 2 * sum(shingle in frames for shingle in own) > len(own)


def _postings(items: Sequence[set[T]]) -> dict[T, list[int]]:
    """item -> the targets that have it."""
    found: dict[T, list[int]] = defaultdict(list)
    for target, own in enumerate(items):
        for item in own:
            found[item].append(target)
    return dict(found)


def _texts_of(task: Task) -> list[str]:
    """The problem, the reference, and the solutions that the suite carries in fields."""
    return [t for t in (task.instruction, task.reference, *task.fields.values()) if isinstance(t, str) and t]


def _features(task: Task) -> Features:
    question, *others = _texts_of(task) or [""]
    return features(question, others)


def find_hits(index: TextIndex, question: str, others: Iterable[str] = ()) -> list[Hit]:
    """All targets that the row's question or its other texts (answers, reference) give away, by suite, task, method."""
    others = list(others)
    asked, tokens = words(question), tokens_of(question)

    def fits(target: int) -> bool:
        template = index.templates[target]
        return template is None or not template.is_filled_otherwise(tokens)

    found = [*_ngram_hits(index, [asked], fits), *_ngram_hits(index, [*map(words, others)])]
    found += [_hit(index, target, "exact") for target in index.by_words.get(tuple(asked), ()) if fits(target)]
    found += _near_hits(index, question, fits)
    if not found and index.paraphrases:  # the most expensive and least precise method, so it runs last
        row = features(question, others)
        found = [
            _hit(index, first + target, "paraphrase", score)
            for first, known in index.paraphrases.items()
            for target, score in find_paraphrases(known, row)
            if (row.code and known.targets[target].code)
            or fits(first + target)  # a program says more than its question
        ]
    return sorted(set(found), key=lambda h: (h.suite, h.task, h.method))


def _hit(index: TextIndex, target: int, method: str, score: float = 1.0) -> Hit:
    suite, task = index.targets[target]
    return Hit(suite=suite, task=task, method=method, score=round(score, 4))


def _ngram_hits(
    index: TextIndex, texts: Iterable[Sequence[str]], fits: Callable[[int], bool] = lambda target: True
) -> Iterator[Hit]:
    for tokens in texts:
        for n, known in index.by_ngram.items():
            if known.keys().isdisjoint(ngrams(tokens, n)):
                continue
            for target in {t for gram in ngrams(tokens, n) for t in known.get(gram, ()) if fits(t)}:
                yield _hit(index, target, f"{n}-gram")


def _near_hits(index: TextIndex, question: str, fits: Callable[[int], bool]) -> Iterator[Hit]:
    if index.jaccard >= 1:
        return
    own = shingles(question) - index.frames
    shared_counts = Counter(t for s in own if s in index.by_shingle for t in index.by_shingle[s])
    for target, shared in shared_counts.items():
        size = index.shingle_counts[target]
        jaccard = shared / (len(own) + size - shared)
        if jaccard >= index.jaccard:
            if fits(target):
                yield _hit(index, target, "jaccard", jaccard)
        elif size >= MIN_SHINGLES and shared / size >= CONTAINMENT and fits(target):
            yield _hit(index, target, "containment", shared / size)
