"""The decontamination stage: text first (cheap), then the domain's own overlap functions on what text left standing.

A row that gives away a task of any suite is dropped with `contaminated: SUITE by METHOD`; which task, and how strongly,
goes to `note` and from there into the certificate.

    stage = decontaminate(build_index(suites), suites, Deep(checker=checker, methods=["behaviour"]))
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import msgspec

from evoltune.curate.decontaminate.text_matches import Hit, TextIndex, hits
from evoltune.curate.dedup.duplicates import Note
from evoltune.record import Drop, Record, Stage, Task
from evoltune.sandbox.worker_protocol import WorkerLost

BATCH = 256  # rows handed to the checker at once: its workers stay busy, a kill loses little


class OverlapChecker(Protocol):
    """What decontamination needs of `evoltune.verification.checker.Checker`."""

    def overlap(
        self, records: Iterable[Record], suite_tasks: Sequence[Task], method: str
    ) -> Iterator[Sequence[str] | WorkerLost]:
        """For each record, in order, the names of the suite's tasks that it gives away, or that its check was lost."""


@dataclass(frozen=True, kw_only=True)
class Deep:
    """The domain's own overlap functions, by name, and the checker that runs them."""

    checker: OverlapChecker
    methods: Sequence[str]


def text_hits(index: TextIndex, record: Record) -> list[Hit]:
    """Hits of a record's texts: the conversation so far and the instruction against problems, answers too for n-grams."""
    task = record.task
    question = "\n".join([*(content for _, content in task.history), task.instruction])
    others = [a.text for a in record.answers]
    return hits(index, question, [*others, task.reference] if task.reference else others)


def overlap_hits(
    records: Sequence[Record], suites: Mapping[str, Sequence[Task]], deep: Deep | None
) -> list[list[Hit]]:
    """For each record, what the domain's overlap functions find in each suite (behaviour, skeleton)."""
    found: list[list[Hit]] = [[] for _ in records]
    if deep is None:
        return found
    for method in deep.methods:
        for suite, tasks in suites.items():
            names = deep.checker.overlap(records, tasks, method)
            for mine, given in zip(found, names, strict=True):
                if isinstance(given, WorkerLost):  # not shown to be clean
                    mine.append(Hit(suite=suite, task="", method=f"{method} (not checked: {given.reason})"))
                else:
                    mine += [Hit(suite=suite, task=name, method=method) for name in given]
    return found


def all_hits(
    records: Iterable[Record],
    index: TextIndex,
    suites: Mapping[str, Sequence[Task]],
    deep: Deep | None,
    *,
    every_method: bool = False,
) -> Iterator[tuple[Record, list[Hit]]]:
    """Each record with its hits, in order. The overlap functions see only what text let pass, unless `every_method`."""
    stream = iter(records)
    while batch := list(islice(stream, BATCH)):
        found = [text_hits(index, record) for record in batch]
        open_ = [i for i, hit in enumerate(found) if every_method or not hit]
        more_hits = overlap_hits([batch[i] for i in open_], suites, deep)
        for i, more in zip(open_, more_hits, strict=True):
            found[i] += more
        yield from zip(batch, found, strict=True)


def decontaminate(
    index: TextIndex,
    suites: Mapping[str, Sequence[Task]],
    deep: Deep | None,
    *,
    note: Note = lambda record_id, text: None,
) -> Stage:
    """The stage. Streams, so that a long behaviour check can be stopped and goes on where it was."""

    def stage(records: Iterable[Record]) -> Iterator[Record | Drop]:
        for record, found in all_hits(records, index, suites, deep):
            if not found:
                yield record
                continue
            note(record.id, json.dumps([plain(hit) for hit in found]))
            yield Drop(record=record, reason=f"contaminated: {found[0].suite} by {found[0].method}")

    return stage


def plain(hit: Hit) -> dict[str, Any]:
    """JSON types of a hit, as certificates and reports print them."""
    found: dict[str, Any] = msgspec.to_builtins(hit)
    return found
