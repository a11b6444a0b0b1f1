"""The audit of any rows against suites: what `evoltune data decontaminate` prints, and may certify.

audit = Audit(sizes={"humaneval": 164})
for record, is_clean in audit_records(records, [SuiteGroup(suites={"humaneval": tasks})], Curate(), audit): ...
print(summary(audit))
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evoltune.curate.decontaminate.stage import DomainOverlap, Suites, all_hits
from evoltune.curate.decontaminate.text_matches import Hit, build_index
from evoltune.recipe import Curate
from evoltune.record import Record


@dataclass(frozen=True, kw_only=True)
class SuiteGroup:
    """Suites of one domain, and that domain's overlap functions if they are to run."""

    suites: Suites
    overlap: DomainOverlap | None = None


@dataclass(kw_only=True)
class Audit:
    """Counts and hits; filled while rows stream through `audit_records`."""

    sizes: Mapping[str, int]
    """Problems of each suite."""
    rows: int = 0
    hits: dict[str, list[Hit]] = field(default_factory=dict)
    """Row name (file:line) -> its hits; clean rows are left out."""


def audit_records(
    records: Iterable[Record], groups: Sequence[SuiteGroup], options: Curate, audit: Audit
) -> Iterator[tuple[Record, bool]]:
    """(record, whether it is clean), in order; all that every method finds is added to `audit`."""
    stream: Iterator[tuple[Record, list[Hit]]] = ((record, []) for record in records)
    for group in groups:
        stream = _with_hits_of(group, stream, options)
    for record, hits in stream:
        audit.rows += 1
        if hits:
            audit.hits[record.task.name] = hits
        yield record, not hits


def _with_hits_of(
    group: SuiteGroup, stream: Iterator[tuple[Record, list[Hit]]], options: Curate
) -> Iterator[tuple[Record, list[Hit]]]:
    index = build_index(group.suites, options)
    earlier: deque[list[Hit]] = deque()

    def records() -> Iterator[Record]:
        for record, hits in stream:
            earlier.append(hits)
            yield record

    for record, hits in all_hits(records(), index, group.suites, group.overlap, every_method=True):
        yield record, [*earlier.popleft(), *hits]


def summary(audit: Audit, *, examples: int = 5) -> str:
    """For each suite, rows and problems by method, then the strongest hits."""
    lines = [f"{audit.rows} rows checked, {len(audit.hits)} give away a benchmark problem"]
    for suite, size in audit.sizes.items():
        found = [(row, hit) for row, hits in audit.hits.items() for hit in hits if hit.suite == suite]
        rows, problems = {row for row, _ in found}, {hit.task for _, hit in found}
        lines.append(f"\n{suite}: {len(rows)} rows hit {len(problems)} of {size} problems")
        rows_by = Counter(method for _, method in {(row, hit.method) for row, hit in found})
        problems_by = Counter(method for _, method in {(hit.task, hit.method) for _, hit in found})
        lines += [
            f"  {method:12} {n:6} rows {problems_by[method]:6} problems"
            for method, n in sorted(rows_by.items())
        ]
        strongest = sorted(found, key=lambda pair: (-pair[1].score, pair[0], pair[1].method))[:examples]
        lines += [f"    {row}: {hit.task} by {hit.method} ({hit.score:g})" for row, hit in strongest]
    return "\n".join(lines)
