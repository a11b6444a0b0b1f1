"""The decontamination stage: text first (cheap), then the domain's own overlap functions on what text let pass.

A row that gives away a task of any suite is dropped with `contaminated: SUITE by METHOD`. A row whose check crashed or ran
out of time was not shown to be clean: it is dropped with `unchecked: SUITE by METHOD`. A check that raises for most rows is a
fault of the domain and no property of the rows: a DomainError. The evidence (which task, how
strongly; why the check failed) goes to `note` and from there into the certificate.

    overlap = domain_overlap(domain, recipe.curate, suites, checker)
    stage = decontaminate(suites, recipe.curate, overlap, seeds=seed_texts(seed_records(recipe, domain)))
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from evoltune.curate.dedup import Note, key_text
from evoltune.curate.embedding_matches import EmbeddingIndex, build_embedding_index, embedding_hits
from evoltune.curate.text_matches import Hit, TextIndex, build_index, find_hits
from evoltune.domain import Domain
from evoltune.errors import DomainError
from evoltune.recipe import Curate
from evoltune.record import Drop, Record, Stage, Task
from evoltune.sandbox.worker_protocol import WorkerLost
from evoltune.verification.checker import Checker

BATCH = 256  # rows handed to the checker at once: its workers stay busy, and a killed run loses little
MANY = 3  # rows for which a check raises, before it is the check's fault
MAX_SEEDS = 2000  # whose frame is learnt: 0.2 s
CONTAMINATED, UNCHECKED = "contaminated", "unchecked"  # how the reasons of drops begin
Suites = Mapping[str, Sequence[Task]]


@dataclass(frozen=True, kw_only=True)
class DomainOverlap:
    """The domain's own overlap functions (behaviour, skeleton), by name, and the checker that runs them."""

    checker: Checker
    methods: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Unchecked:
    """A check that gave no result, so the row was not shown to be clean."""

    suite: str
    method: str
    reason: str


@dataclass(kw_only=True)
class Findings:
    """What the checks of one record found."""

    hits: list[Hit] = field(default_factory=list)
    unchecked: list[Unchecked] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """No hit, and every check gave a result."""
        return not self.hits and not self.unchecked


def overlap_methods(domain: Domain, options: Curate) -> list[str]:
    """Names of the domain's overlap functions that the options ask for."""
    return sorted(domain.overlap) if options.overlap else []


def domain_overlap(domain: Domain, options: Curate, suites: Suites, checker: Checker | None) -> DomainOverlap | None:
    """The domain's overlap functions, or None where there is nothing to run."""
    methods = overlap_methods(domain, options)
    return DomainOverlap(checker=checker, methods=methods) if checker and methods and suites else None


def text_hits(index: TextIndex, record: Record) -> list[Hit]:
    """Hits of a record's texts: the conversation is compared with problems; answers only by n-grams and code."""
    answers = [a.text for a in record.answers]
    return find_hits(index, key_text(record.task), [*answers, *filter(None, [record.task.reference])])


def find_overlap(
    stream: Iterator[tuple[Record, Findings]], index: TextIndex, suites: Suites, overlap: DomainOverlap | None,
    *, embeddings: EmbeddingIndex | None = None, every_method: bool = False,
) -> Iterator[tuple[Record, Findings]]:  # fmt: skip
    """Adds what is found to each record's findings, in order. Embeddings and domain functions see only what text let pass, unless
    `every_method`."""
    while batch := list(islice(stream, BATCH)):
        for record, findings in batch:
            findings.hits += text_hits(index, record)
        if embeddings:
            left = [(record, findings) for record, findings in batch if every_method or findings.clean]
            found = embedding_hits(embeddings, [key_text(record.task) for record, _ in left])
            for (_, findings), hits in zip(left, found, strict=True):
                findings.hits += hits
        if overlap:
            left = [(record, findings) for record, findings in batch if every_method or findings.clean]
            _add_domain_overlap(left, suites, overlap)
        yield from batch


def _add_domain_overlap(pairs: Sequence[tuple[Record, Findings]], suites: Suites, overlap: DomainOverlap) -> None:
    records = [record for record, _ in pairs]
    for method in overlap.methods:
        for suite, tasks in suites.items():
            results = list(overlap.checker.overlap(records, tasks, method))
            _refuse_broken(overlap.checker, method, results)
            for (_, findings), result in zip(pairs, results, strict=True):
                if isinstance(result, WorkerLost):
                    findings.unchecked.append(Unchecked(suite=suite, method=method, reason=result.reason))
                else:
                    findings.hits += [Hit(suite=suite, task=name, method=method) for name in result]


def _refuse_broken(checker: Checker, method: str, results: Sequence[object]) -> None:
    raised = [r.reason for r in results if isinstance(r, WorkerLost) and r.raised]
    if 2 * len(raised) > len(results) and len(raised) >= MANY:
        raise DomainError(
            f"domain {checker.domain.name!r}: overlap {method!r} cannot be used: for {len(raised)} of {len(results)} rows {raised[0]}: fix it "
            "(`evoltune domains check` calls it too), or set curate.overlap: false"
        )


def seed_texts(seeds: Iterable[Record]) -> list[str]:
    """What the seeds ask, of which the frame of a domain is learnt; of many, a sample that depends on the seeds alone."""
    texts = [key_text(seed.task) for seed in seeds]
    return texts[:: -(-len(texts) // MAX_SEEDS) or 1]


def decontaminate(
    suites: Suites, options: Curate, overlap: DomainOverlap | None, *, seeds: Sequence[str],
    note: Note = lambda record_id, text: None,
) -> Stage:  # fmt: skip
    """The stage. It streams, so that a long behaviour check can be stopped and resumed. `seeds`: from `seed_texts`."""
    index, embeddings = build_index(suites, options, seeds), build_embedding_index(suites, options, seeds)

    def stage(records: Iterable[Record]) -> Iterator[Record | Drop]:
        stream = ((record, Findings()) for record in records)
        for record, findings in find_overlap(stream, index, suites, overlap, embeddings=embeddings):
            if findings.clean:
                yield record
                continue
            evidence = findings.hits or findings.unchecked
            note(record.id, json.dumps(msgspec.to_builtins(evidence)))
            heading = CONTAMINATED if findings.hits else UNCHECKED
            yield Drop(record=record, reason=f"{heading}: {evidence[0].suite} by {evidence[0].method}")

    return stage
