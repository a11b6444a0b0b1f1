"""The selection stage: a target size by quality x diversity, balanced over rounds or levels, or by LIMA's rules.

    stage = select(recipe)       # curate: {size: 1000, mode: quality_diversity, balance: level}

`mode: all` keeps every row, or with `size` draws uniformly by the hash of (recipe seed, id): the plain baseline.
`mode: quality_diversity` is k-center weighted by `quality`. `mode: lima` applies `lima_rules` first; 1,000 rows by default.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from evoltune.curate.difficulty import difficulty, level_of
from evoltune.curate.select.diversity import choose_diverse, equal_shares
from evoltune.curate.select.lima_rules import LIMA_SIZE, objection
from evoltune.curate.select.quality import output_text, quality
from evoltune.recipe import Curate, Recipe
from evoltune.record import Drop, Record, Stage, digest
from evoltune.text.vectors import import_numpy, vectors


def select(recipe: Recipe) -> Stage:
    """The stage. It looks at the whole set (in memory), sorted by id, so the order of arrival does not matter."""
    options = recipe.curate

    def stage(records: Iterable[Record]) -> Iterator[Record | Drop]:
        size = options.size or (LIMA_SIZE if options.mode == "lima" else 0)
        if not size:
            yield from records
            return
        allowed = []
        for record in sorted(records, key=lambda r: r.id):
            reason = objection(output_text(record)) if options.mode == "lima" else ""
            if reason:
                yield Drop(record=record, reason=f"lima: {reason}")
            else:
                allowed.append(record)
        chosen = {r.id for r in choose(allowed, options, size, recipe.seed)}
        for record in allowed:
            yield record if record.id in chosen else Drop(record=record, reason="not selected")

    return stage


def choose(records: Sequence[Record], options: Curate, size: int, seed: int = 0) -> list[Record]:
    """At most `size` of the records, by the recipe's mode, quotas and balance."""
    groups = grouped(records, GROUPS[options.balance])
    shares = equal_shares({name: len(rows) for name, rows in groups.items()}, size)
    if options.quotas:
        groups = grouped(records, source_of)
        shares = {name: min(options.quotas.get(name, 0), len(rows)) for name, rows in groups.items()}
    choose_from = _uniform if options.mode == "all" else _quality_and_diversity
    return [r for name, rows in sorted(groups.items()) for r in choose_from(rows, shares[name], options, seed)]


def _uniform(records: Sequence[Record], size: int, options: Curate, seed: int) -> list[Record]:
    return sorted(records, key=lambda r: digest(["select", seed, r.id]))[:size]


def _quality_and_diversity(records: Sequence[Record], size: int, options: Curate, seed: int) -> list[Record]:
    if size >= len(records):
        return list(records)
    if not size:
        return []
    points = vectors([r.task.instruction for r in records], options.embeddings)
    weights = import_numpy().array(quality(records))
    return [records[i] for i in choose_diverse(points, weights, size)]


def source_of(record: Record) -> str:
    """Where a row comes from: its `source` field (readers of dumps set it), else its domain."""
    return str(record.task.fields.get("source") or record.domain)


def skill_of(record: Record) -> str:
    return str(record.task.fields.get("skill") or record.domain)


GROUPS: Mapping[str, Callable[[Record], str]] = {
    "none": lambda record: "",
    "round": lambda record: f"round {record.round:03}",
    "level": lambda record: level_of(difficulty(record), record.round),
    "source": source_of,
    "skill": skill_of,
}


def grouped(records: Iterable[Record], by: Callable[[Record], str]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(by(record), []).append(record)
    return groups
