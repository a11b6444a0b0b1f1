"""The decontamination stage: text first (cheap), then the domain's own overlap functions on what text let pass.

A row that gives away a task of any suite is dropped with `contaminated: SUITE by METHOD`; which task, and how strongly,
goes to `note` and from there into the certificate.

    stage = decontaminate(suites, recipe.curate, domain_overlap(domain, recipe.curate, suites, checker))
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import msgspec

from evoltune.curate.decontaminate.text_matches import Hit, TextIndex, build_index, find_hits
from evoltune.curate.dedup.stage import Note, key_text
from evoltune.domain import Domain
from evoltune.recipe import Curate
from evoltune.record import Drop, Record, Stage, Task
from evoltune.sandbox.worker_protocol import WorkerLost

BATCH = 256  # rows handed to the checker at once: its workers stay busy, and a killed run loses little
Suites = Mapping[str, Sequence[Task]]


class OverlapChecker(Protocol):
    """What decontamination needs of `evoltune.verification.checker.Checker`."""

    def overlap(
        self, records: Iterable[Record], suite_tasks: Sequence[Task], method: str
    ) -> Iterator[Sequence[str] | WorkerLost]:
        """For each record, in order, the names of the suite's tasks that it gives away, or that its check was lost."""


@dataclass(frozen=True, kw_only=True)
class DomainOverlap:
    """The domain's own overlap functions (behaviour, skeleton), by name, and the checker that runs them."""

    checker: OverlapChecker
    methods: Sequence[str]


def overlap_methods(domain: Domain, options: Curate) -> list[str]:
    """Names of the domain's overlap functions that the options ask for."""
    return sorted(domain.overlap) if options.overlap else []


def domain_overlap(
    domain: Domain, options: Curate, suites: Suites, checker: OverlapChecker | None
) -> DomainOverlap | None:
    """The domain's overlap functions, or None where there is nothing to run."""
    methods = overlap_methods(domain, options)
    return DomainOverlap(checker=checker, methods=methods) if checker and methods and suites else None


def text_hits(index: TextIndex, record: Record) -> list[Hit]:
    """Hits of a record's texts: the conversation is compared with problems; answers only by n-grams and code."""
    answers = [a.text for a in record.answers]
    return find_hits(index, key_text(record.task), [*answers, *filter(None, [record.task.reference])])


def overlap_hits(records: Sequence[Record], suites: Suites, overlap: DomainOverlap | None) -> list[list[Hit]]:
    """For each record, what the domain's overlap functions find in each suite."""
    found: list[list[Hit]] = [[] for _ in records]
    if overlap is None:
        return found
    for method in overlap.methods:
        for suite, tasks in suites.items():
            names = overlap.checker.overlap(records, tasks, method)
            for mine, given in zip(found, names, strict=True):
                if isinstance(given, WorkerLost):  # not shown to be clean
                    mine.append(Hit(suite=suite, task="", method=f"{method} (not checked: {given.reason})"))
                else:
                    mine += [Hit(suite=suite, task=name, method=method) for name in given]
    return found


def all_hits(
    records: Iterable[Record],
    index: TextIndex,
    suites: Suites,
    overlap: DomainOverlap | None,
    *,
    every_method: bool = False,
) -> Iterator[tuple[Record, list[Hit]]]:
    """Each record with its hits, in order. Overlap functions see only what text let pass, unless `every_method`."""
    stream = iter(records)
    while batch := list(islice(stream, BATCH)):
        found = [text_hits(index, record) for record in batch]
        left = [i for i, hits in enumerate(found) if every_method or not hits]
        for i, hits in zip(left, overlap_hits([batch[i] for i in left], suites, overlap), strict=True):
            found[i] += hits
        yield from zip(batch, found, strict=True)


def decontaminate(
    suites: Suites,
    options: Curate,
    overlap: DomainOverlap | None,
    *,
    note: Note = lambda record_id, text: None,
) -> Stage:
    """The stage. It streams, so that a long behaviour check can be stopped and resumed."""
    index = build_index(suites, options)

    def stage(records: Iterable[Record]) -> Iterator[Record | Drop]:
        for record, hits in all_hits(records, index, suites, overlap):
            if not hits:
                yield record
                continue
            note(record.id, json.dumps([hit_to_json(hit) for hit in hits]))
            yield Drop(record=record, reason=f"contaminated: {hits[0].suite} by {hits[0].method}")

    return stage


def hit_to_json(hit: Hit) -> dict[str, Any]:
    """A hit as certificates and reports print it."""
    found: dict[str, Any] = msgspec.to_builtins(hit)
    return found
