"""Selection: a target size under quality x diversity, balanced over rounds or levels, or by LIMA's rules.

    stage = select(recipe)       # curate: {size: 1000, mode: quality_diversity, balance: level}

mode `all`: every row, or with `size` a uniform draw by the hash of (recipe seed, id): the plain baseline.
mode `quality_diversity`: k-center weighted by `quality`. mode `lima`: `lima.objection` first, 1,000 rows by default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import exp, log
from statistics import median

from evoltune.curate.difficulty import chosen_answers, difficulty, is_verified, level
from evoltune.curate.select.diversity import choose, fill
from evoltune.curate.select.lima import LIMA_SIZE, objection
from evoltune.recipe import Curate, Recipe
from evoltune.record import Drop, Record, Stage, digest
from evoltune.text.ratings import median_rating
from evoltune.text.vectors import numpy, vectors

JUDGE_NAMES = ("quality", "judge")
WEIGHTS = {"verified": 0.4, "difficulty": 0.2, "length": 0.2, "judge": 0.2}


def quality(records: Sequence[Record]) -> list[float]:
    """0 to 1 for each record: the weighted mean of verdict, difficulty, answer length and a judge's grade.

    Length is worth exp(-(ln(length / median))^2 / 2): answers far shorter or longer than the set's median lose.
    A part that is not known counts as one half, so that it neither helps nor hurts.
    """
    texts = [_answer(record) for record in records]
    typical = median([len(t) for t in texts if t] or [1])
    return [_quality(record, len(text), typical) for record, text in zip(records, texts, strict=True)]


def _quality(record: Record, length: int, typical: float) -> float:
    hard, grade = difficulty(record), _grade(record)
    parts = {
        "verified": 1.0 if is_verified(record) else 0.0,
        "difficulty": 0.5 if hard is None else hard / 10,
        "length": exp(-(log(length / typical) ** 2) / 2) if length else 0.0,
        "judge": 0.5 if grade is None else grade / 10,
    }
    return sum(WEIGHTS[name] * value for name, value in parts.items())


def _grade(record: Record) -> float | None:
    return median_rating(text for name in JUDGE_NAMES for text in record.evidence.get(name, ()))


def _answer(record: Record) -> str:
    answers = chosen_answers(record) or list(record.answers[:1])
    return answers[0].text if answers else ""


def select(recipe: Recipe) -> Stage:
    """The stage. Looks at the whole set (in memory), sorted by id: the order of arrival does not matter."""
    options = recipe.curate

    def stage(records: Iterable[Record]) -> Iterator[Record | Drop]:
        size = options.size or (LIMA_SIZE if options.mode == "lima" else 0)
        if not size:
            yield from records
            return
        rows = sorted(records, key=lambda r: r.id)
        open_ = []
        for record in rows:
            reason = objection(_answer(record)) if options.mode == "lima" else ""
            if reason:
                yield Drop(record=record, reason=f"lima: {reason}")
            else:
                open_.append(record)
        chosen = {r.id for r in pick(open_, options, size, recipe.seed)}
        for record in open_:
            yield record if record.id in chosen else Drop(record=record, reason="not selected")

    return stage


def pick(records: Sequence[Record], options: Curate, size: int, seed: int = 0) -> list[Record]:
    """At most `size` of the records, by the recipe's mode, quotas and balance."""
    groups = grouped(records, GROUPS[options.balance])
    shares = fill({name: len(rows) for name, rows in groups.items()}, size)
    if options.quotas:
        groups = grouped(records, source_of)
        shares = {name: min(options.quotas.get(name, 0), len(rows)) for name, rows in groups.items()}
    one = _uniform if options.mode == "all" else _quality_diversity
    return [r for name, rows in sorted(groups.items()) for r in one(rows, shares[name], options, seed)]


def _uniform(records: Sequence[Record], size: int, options: Curate, seed: int) -> list[Record]:
    return sorted(records, key=lambda r: digest(["select", seed, r.id]))[:size]


def _quality_diversity(records: Sequence[Record], size: int, options: Curate, seed: int) -> list[Record]:
    if size >= len(records):
        return list(records)
    if not size:
        return []
    points = vectors([r.task.instruction for r in records], options.embeddings)
    worth = numpy().array(quality(records))
    return [records[i] for i in choose(points, worth, size)]


def source_of(record: Record) -> str:
    """Where a row comes from: its `source` field (readers of dumps set it), else its domain."""
    return str(record.task.fields.get("source") or record.domain)


GROUPS: Mapping[str, Callable[[Record], str]] = {
    "none": lambda record: "",
    "round": lambda record: f"round {record.round:03}",
    "level": level,
    "source": source_of,
    "skill": lambda record: str(record.task.fields.get("skill") or record.domain),
}


def grouped(records: Iterable[Record], by: Callable[[Record], str]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(by(record), []).append(record)
    return groups
