"""The stages between verify and the dataset: dedup, decontaminate, select. Each is `Iterable[Record] -> Record | Drop`.

for step, stage, whole in curate_stages(recipe, domain, verify_step, suites, checker): apply(store, step, stage, whole=whole)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import msgspec

from evoltune.curate.certificate import note_key, suite_hash
from evoltune.curate.decontaminate.stage import Deep, OverlapChecker, decontaminate
from evoltune.curate.decontaminate.text_matches import build_index
from evoltune.curate.dedup.duplicates import Limits, Note, dedup
from evoltune.curate.provenance import refused
from evoltune.curate.select.selection import select
from evoltune.domain import Domain, source_hash
from evoltune.recipe import Recipe
from evoltune.record import Drop, Record, Stage, Task, digest
from evoltune.run.store import Step

VERSION = 1  # of the rules in this package: part of every step's version, so that changed rules decide anew


def curate_stages(
    recipe: Recipe,
    domain: Domain,
    before: Step,
    suites: Mapping[str, Sequence[Task]],
    checker: OverlapChecker | None,
    *,
    note: Callable[[str, object], None] | None = None,
) -> list[tuple[Step, Stage, bool]]:
    """(step, stage, whole) in order; `whole` stages look at all rows at once and are decided in one transaction.

    note: `store.note`; keeps the evidence of each drop (which twin, which benchmark task) for explain and certificate.
    """
    options = recipe.curate

    def step(name: str, after: Step, *parts: object) -> Step:
        version = digest([VERSION, after.version, after.upto, name, msgspec.to_builtins(parts)])
        return Step(name=name, version=version, before=after, upto=before.upto)

    def noting(which: Step) -> Note:
        def keep(record_id: str, text: str) -> None:
            if note is not None:
                note(note_key(which, record_id), text)

        return keep

    same = Limits(
        near=options.near_threshold, semantic=options.semantic_threshold, embeddings=options.embeddings
    )
    gate = (options.licences, recipe.seeds.licence, recipe.teacher.terms)
    unique = step("dedup", before, same.near, same.semantic, same.embeddings, gate)
    hashes = {name: suite_hash(tasks) for name, tasks in suites.items()}
    own = (source_hash(domain), sorted(domain.overlap)) if options.overlap else ()
    limits = (options.ngrams, options.contamination_jaccard, options.paraphrase)
    clean = step("decontaminate", unique, hashes, limits, own)
    picking = (options.size, options.mode, options.balance, options.quotas, options.embeddings, recipe.seed)
    chosen = step("select", clean, picking)
    index = build_index(
        suites, ngrams=options.ngrams, jaccard=options.contamination_jaccard, paraphrase=options.paraphrase
    )
    methods = sorted(domain.overlap) if options.overlap else []
    deep = Deep(checker=checker, methods=methods) if checker and methods and suites else None
    return [
        (
            unique,
            shown("dedup", dedup(same, gate=partial(refused, recipe=recipe), note=noting(unique))),
            True,
        ),
        (clean, shown("decontaminate", decontaminate(index, suites, deep, note=noting(clean))), False),
        (chosen, shown("select", select(recipe)), True),
    ]


def shown(name: str, stage: Stage) -> Stage:
    """The stage with a counter on the terminal (none where stderr is no terminal)."""

    def watched(records: Iterable[Record]) -> Iterator[Record | Drop]:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        columns = (SpinnerColumn(), TextColumn(f"{name}: {{task.completed}} rows"), TimeElapsedColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
            task = progress.add_task(name, total=None)
            for result in stage(records):
                progress.advance(task)
                yield result

    return watched
