"""The audit of anybody's rows against suites: what `evoltune decontaminate` prints, and may certify.

found = audit(records, {"humaneval": tasks}, Curate(), {})     ->  Audit(rows=..., hits={...})
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evoltune.curate.decontaminate.stage import Deep, all_hits
from evoltune.curate.decontaminate.text_matches import Hit, build_index
from evoltune.recipe import Curate
from evoltune.record import Record, Task


@dataclass(frozen=True, kw_only=True)
class Group:
    """Suites of one domain, and that domain's overlap functions if they are to run."""

    suites: Mapping[str, Sequence[Task]]
    deep: Deep | None = None


@dataclass(kw_only=True)
class Audit:
    """Counts and hits; filled while rows stream through `audited`."""

    sizes: Mapping[str, int]
    """Problems of each suite."""
    rows: int = 0
    hits: dict[str, list[Hit]] = field(default_factory=dict)
    """Row name (file:line) -> its hits; clean rows are left out."""


def start(groups: Sequence[Group]) -> Audit:
    return Audit(sizes={name: len(tasks) for group in groups for name, tasks in group.suites.items()})


def audited(
    records: Iterable[Record], groups: Sequence[Group], options: Curate, into: Audit
) -> Iterator[tuple[Record, bool]]:
    """(record, whether it is clean), in order, with all that every method finds noted in `into`."""
    stream: Iterator[tuple[Record, list[Hit]]] = ((record, []) for record in records)
    for group in groups:
        stream = _checked(stream, group, options)
    for record, found in stream:
        into.rows += 1
        if found:
            into.hits[record.task.name] = found
        yield record, not found


def _checked(
    stream: Iterator[tuple[Record, list[Hit]]], group: Group, options: Curate
) -> Iterator[tuple[Record, list[Hit]]]:
    index = build_index(
        group.suites,
        ngrams=options.ngrams,
        jaccard=options.contamination_jaccard,
        paraphrase=options.paraphrase,
    )
    earlier: deque[list[Hit]] = deque()

    def records() -> Iterator[Record]:
        for record, found in stream:
            earlier.append(found)
            yield record

    for record, found in all_hits(records(), index, group.suites, group.deep, every_method=True):
        yield record, [*earlier.popleft(), *found]


def summary(found: Audit, *, examples: int = 5) -> str:
    """The report: for each suite rows and problems by method, then the first hits."""
    lines = [f"{found.rows} rows checked, {len(found.hits)} give away a benchmark problem"]
    for suite, size in found.sizes.items():
        mine = [(row, hit) for row, hits in found.hits.items() for hit in hits if hit.suite == suite]
        rows, problems = {row for row, _ in mine}, {hit.task for _, hit in mine}
        lines.append(f"\n{suite}: {len(rows)} rows hit {len(problems)} of {size} problems")
        rows_by = Counter(method for _, method in {(row, hit.method) for row, hit in mine})
        tasks_by = Counter(method for _, method in {(hit.task, hit.method) for _, hit in mine})
        lines += [
            f"  {method:12} {n:6} rows {tasks_by[method]:6} problems" for method, n in sorted(rows_by.items())
        ]
        strongest = sorted(mine, key=lambda pair: (-pair[1].score, pair[0], pair[1].method))[:examples]
        lines += [f"    {row}: {hit.task} by {hit.method} ({hit.score:g})" for row, hit in strongest]
    return "\n".join(lines)
