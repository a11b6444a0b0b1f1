"""The stages between verify and the dataset: dedup, decontaminate, select.

for step, stage, whole in curate_stages(recipe, domain, verify_step, suites, checker): apply(store, step, stage, whole=whole)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from evoltune.curate.certificate import note_key, suite_hash
from evoltune.curate.decontaminate import decontaminate, domain_overlap, seed_texts
from evoltune.curate.dedup import Note, dedup
from evoltune.curate.embedding_matches import embedding_settings
from evoltune.curate.licences import refusal
from evoltune.curate.quality import outside_band
from evoltune.curate.select import select
from evoltune.domain import Domain, source_hash
from evoltune.recipe import Recipe
from evoltune.record import Drop, Record, Stage, Task, digest
from evoltune.rows.records import seed_records
from evoltune.run.store import Step
from evoltune.terminal import row_counter
from evoltune.verification.checker import Checker

VERSION = 2  # of the rules in this package; part of every step's version, so that changed rules decide again


def curate_stages(
    recipe: Recipe,
    domain: Domain,
    before: Step,
    suites: Mapping[str, Sequence[Task]],
    checker: Checker | None,
    *,
    note: Callable[[str, object], None] = lambda key, text: None,
    refuse: Callable[[Record], str] = lambda record: "",
) -> list[tuple[Step, Stage, bool]]:
    """(step, stage, whole) in order; `whole` stages look at all rows at once and are decided in one transaction.

    refuse: gives a reason to drop a record before all others, or "".
    note: `store.note`; keeps the evidence of each drop (which twin, which benchmark task) for `explain` and the certificate.
    """
    options = recipe.curate

    def step(
        name: str, after: Step, *settings: object
    ) -> Step:  # these look at all rows together, so at the rounds too
        version = digest([VERSION, after.version, after.upto, name, msgspec.to_builtins(settings)])
        return Step(name=name, version=version, before=after, upto=before.upto)

    def note_for(which: Step) -> Note:
        return lambda record_id, text: note(note_key(which, record_id), text)

    thresholds = (options.near_threshold, options.semantic_threshold, options.embeddings)
    licences = (options.licences, recipe.seeds.licence, recipe.teacher.terms)
    unique = step("dedup", before, *thresholds, licences, options.band)
    hashes = {name: suite_hash(tasks) for name, tasks in suites.items()}
    by_text: tuple[object, ...] = (options.ngrams, options.contamination_jaccard, options.paraphrase)
    by_text += (embedding,) if (embedding := embedding_settings(options)) else ()
    by_domain = (source_hash(domain), sorted(domain.overlap)) if options.overlap else ()
    clean = step("decontaminate", unique, hashes, by_text, by_domain)
    selection = (options.size, options.mode, options.balance, options.quotas, options.embeddings, recipe.seed)
    chosen = step("select", clean, selection)
    deduplicated = dedup(
        options,
        refuse=lambda r: refuse(r) or refusal(r, recipe=recipe) or outside_band(r, options.band),
        note=note_for(unique),
    )
    overlap = domain_overlap(domain, options, suites, checker)
    seeds = seed_texts(seed_records(recipe, domain))
    decontaminated = decontaminate(suites, options, overlap, seeds=seeds, note=note_for(clean))
    stages = [(unique, deduplicated, True), (clean, decontaminated, False), (chosen, select(recipe), True)]
    return [(step, with_progress(step.name, stage), whole) for step, stage, whole in stages]


def with_progress(name: str, stage: Stage) -> Stage:
    """The stage with a row counter on the terminal."""

    def counted(records: Iterable[Record]) -> Iterator[Record | Drop]:
        with row_counter(name) as count:
            for result in stage(records):
                count("")
                yield result

    return counted
