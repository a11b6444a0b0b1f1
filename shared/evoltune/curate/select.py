"""The selection stage: a target size by quality x diversity, balanced over rounds or levels, or by LIMA's rules.

    stage = select(recipe)       # curate: {size: 1000, mode: quality_diversity, balance: level}

`mode: all` keeps every row, or with `size` draws uniformly by the hash of (recipe seed, id): the plain baseline.
`mode: difficulty` draws in proportion to the measured (or rated) difficulty.
`mode: quality_diversity` is k-center weighted by `quality`. `mode: lima` first applies LIMA's rules for answers
(2305.11206, section 2.1): which read like a helpful assistant's; 1,000 rows by default, or as many as the quotas name, over the
skills of each source at temperature 3. To train as that paper does, set `train: {template: lima}` (an end-of-turn token after each
turn), 15 epochs, residual dropout 0.3.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from evoltune.curate.diversity import choose_diverse, equal_shares, tempered_shares
from evoltune.curate.quality import difficulty, level_of, output_text, quality
from evoltune.errors import RecipeError
from evoltune.recipe import Curate, Recipe
from evoltune.record import Drop, Record, Stage, digest
from evoltune.rows.lima_rules import objection
from evoltune.text.vectors import import_numpy, vectors

LIMA_SIZE = 1000
LIMA_RULE = "lima: "
"""Begins the reason of a drop by LIMA's rules."""
LIMA_TEMPERATURE = 3.0  # by which its authors drew from the sites of Stack Exchange
LEAST_WEIGHT = 0.05
"""Of a task that every sample solved: it is drawn rarely, not never."""


def select(recipe: Recipe) -> Stage:
    """The stage. It looks at the whole set (in memory), sorted by id, so the order of arrival does not matter."""
    options = recipe.curate

    def stage(records: Iterable[Record]) -> Iterator[Record | Drop]:
        size = target_size(options)
        if not size:
            yield from records
            return
        allowed = []
        for record in sorted(records, key=lambda r: r.id):
            if options.mode == "lima" and (reason := objection(output_text(record), source_of(record))):
                yield Drop(record=record, reason=f"{LIMA_RULE}{reason}")
            else:
                allowed.append(record)
        selection = choose(allowed, options, size, recipe.seed)
        for line in shortfalls(selection, options.quotas):
            print(f"  select: {line}", file=sys.stderr, flush=True)
        chosen = {r.id for r in selection}
        for record in allowed:
            yield record if record.id in chosen else Drop(record=record, reason="not selected")

    return stage


def choose(records: Sequence[Record], options: Curate, size: int, seed: int = 0) -> list[Record]:
    """At most `size` of the records, by the recipe's mode, quotas and balance."""
    groups = grouped(records, source_of if options.quotas else GROUPS[options.balance])
    shares = equal_shares({name: len(rows) for name, rows in groups.items()}, size)
    if options.quotas:
        shares = {name: min(options.quotas.get(name, 0), len(rows)) for name, rows in groups.items()}
    by_mode = {"all": _uniform, "difficulty": _by_difficulty, "lima": _over_skills}
    choose_from = by_mode.get(options.mode, _quality_and_diversity)
    return [r for name, rows in sorted(groups.items()) for r in choose_from(rows, shares[name], options, seed)]


def target_size(options: Curate) -> int:
    """Rows to select: `size`, otherwise as many as the quotas name, otherwise a thousand in LIMA's mode; 0: all."""
    return options.size or sum(options.quotas.values()) or (LIMA_SIZE if options.mode == "lima" else 0)


def check_quotas(options: Curate) -> None:
    """Raises RecipeError where the quotas come to more than the size."""
    wanted = sum(options.quotas.values())
    if options.size and wanted > options.size:
        raise RecipeError(
            f"curate.quotas: {wanted:,} rows in all, more than curate.size: {options.size:,}: lower the quotas or raise the size"
        )


def shortfalls(records: Iterable[Record], quotas: Mapping[str, int]) -> list[str]:
    """A line for each source that could not fill its quota."""
    found = Counter(map(source_of, records))
    return [
        f"quota of {name}: only {found[name]:,} of {wanted:,} rows, as no other row of it is left"
        for name, wanted in quotas.items()
        if found[name] < wanted
    ]


def _uniform(records: Sequence[Record], size: int, options: Curate, seed: int) -> list[Record]:
    return sorted(records, key=lambda r: digest(["select", seed, r.id]))[:size]


def _by_difficulty(records: Sequence[Record], size: int, options: Curate, seed: int) -> list[Record]:
    """Drawn without replacement, each with a chance in proportion to the share that fails (DART-Math, 2407.13690); a row that was
    not measured counts as one half. By the keys of Efraimidis and Spirakis (2006)."""

    def key(record: Record) -> float:
        level = difficulty(record)
        weight = max(LEAST_WEIGHT, 0.5 if level is None else (level - 1) / 9)
        return float(random.Random(digest(["difficulty", seed, record.id])).random() ** (1 / weight))

    return sorted(records, key=key, reverse=True)[:size]


def _quality_and_diversity(records: Sequence[Record], size: int, options: Curate, seed: int) -> list[Record]:
    if not 0 < size < len(records):
        return list(records[:size])
    points = vectors([r.task.instruction for r in records], options.embeddings)
    weights = import_numpy().array(quality(records))
    return [records[i] for i in choose_diverse(points, weights, size)]


def _over_skills(records: Sequence[Record], size: int, options: Curate, seed: int) -> list[Record]:
    """Large skills (sites of Stack Exchange, for instance) give more rows than small ones, but fewer than in proportion."""
    groups = grouped(records, GROUPS["skill"])
    shares = tempered_shares({name: len(rows) for name, rows in groups.items()}, size, LIMA_TEMPERATURE)
    return [
        r for name, rows in sorted(groups.items()) for r in _quality_and_diversity(rows, shares[name], options, seed)
    ]


def source_of(record: Record) -> str:
    """Where a row comes from: its `source` field (readers of dumps set it), else its domain."""
    return str(record.task.fields.get("source") or record.domain)


GROUPS: Mapping[str, Callable[[Record], str]] = {
    "none": lambda record: "",
    "round": lambda record: f"round {record.round:03}",
    "level": lambda record: level_of(difficulty(record)),
    "source": source_of,
    "skill": lambda record: str(record.task.fields.get("skill") or record.domain),
    "reasoning": lambda record: str(record.task.fields.get("reasoning") or ""),
}


def grouped(records: Iterable[Record], by: Callable[[Record], str]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(by(record), []).append(record)
    return groups
