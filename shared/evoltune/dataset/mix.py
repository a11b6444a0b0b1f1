"""Mixing: the recipe's own rows and other datasets, with weights and caps, under the same gates as everything else.

    rows, ledger = mixed(store.kept(step), recipe, domain, suites, checker)

`weight`: rows of the source per own row (0.5: half as many); `cap`: at most so many; 0: no cap. What is left out and why
stands in the ledger: in = kept + dropped by reason. Invariant: no mixed row duplicates another or gives away a suite.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from heapq import merge

from evoltune.curate.decontaminate.stage import OverlapChecker, decontaminate, domain_overlap
from evoltune.curate.dedup.stage import find_duplicates, key_text, rank
from evoltune.curate.licences import refusal
from evoltune.domain import Domain
from evoltune.recipe import Recipe, Source
from evoltune.record import Drop, Record, Task, digest
from evoltune.rows.columns import recognise
from evoltune.rows.dumps import read_any
from evoltune.rows.readers import BadRow
from evoltune.rows.records import to_record

Ledger = dict[str, int]


def mixed(
    own: Iterable[Record],
    recipe: Recipe,
    domain: Domain,
    suites: Mapping[str, Sequence[Task]],
    checker: OverlapChecker | None,
) -> tuple[Iterator[Record], Ledger]:
    """All rows in id order, and the ledger of the mixed ones. Without `curate.mix`: the own rows as they are."""
    if not recipe.curate.mix:
        return iter(own), {}
    ours = sorted(own, key=lambda r: r.id)
    counts: Counter[str] = Counter()
    found: list[tuple[Source, Record]] = []
    for source in recipe.curate.mix:
        bad: list[BadRow] = []
        rows = list(source_records(source, domain, bad))
        counts.update({"in": len(rows) + len(bad), "unreadable": len(bad)})
        found += [(source, record) for record in rows]
    clean = list(_gated(found, ours, recipe, domain, suites, checker, counts))
    chosen = _weighted(clean, len(ours), recipe, counts)
    counts["kept"] = len(chosen)
    ledger = {
        "in": counts.pop("in"),
        "kept": counts.pop("kept"),
        **{k: n for k, n in sorted(counts.items()) if n},
    }
    return merge(ours, sorted(chosen, key=lambda r: r.id), key=lambda r: r.id), ledger


def source_records(source: Source, domain: Domain, bad: list[BadRow]) -> Iterator[Record]:
    """The rows of a source that have an instruction and an answer; licence and source stand in their fields."""
    for where, row in read_any(source.path, bad):
        turns = recognise(row)
        if isinstance(turns, str) or not turns.output.strip():
            bad.append(BadRow(where=where, reason=turns if isinstance(turns, str) else "no answer"))
            continue
        record = to_record(domain, row, turns, where)
        known = {"licence": source.licence, "source": str(row.get("source") or source.path)}
        fields = {**{k: v for k, v in known.items() if v}, **record.task.fields}
        yield replace(record, task=replace(record.task, fields=fields))


def _gated(
    found: Sequence[tuple[Source, Record]],
    ours: Sequence[Record],
    recipe: Recipe,
    domain: Domain,
    suites: Mapping[str, Sequence[Task]],
    checker: OverlapChecker | None,
    counts: Counter[str],
) -> Iterator[tuple[Source, Record]]:
    """Licence, dedup against own rows and each other, decontamination; in that order, counted by reason."""
    options = recipe.curate
    allowed = []
    for source, record in sorted(found, key=lambda pair: rank(pair[1])):
        reason = refusal(record, recipe)
        counts[reason] += bool(reason)
        if not reason:
            allowed.append((source, record))
    texts = [key_text(r.task) for r in ours] + [key_text(r.task) for _, r in allowed]
    reasons = [reason for reason, _ in find_duplicates(texts, options)][len(ours) :]
    counts.update(reason for reason in reasons if reason)
    unique = [pair for pair, reason in zip(allowed, reasons, strict=True) if not reason]
    stage = decontaminate(suites, options, domain_overlap(domain, options, suites, checker))
    for (source, _), result in zip(unique, stage(record for _, record in unique), strict=True):
        if isinstance(result, Drop):
            counts[result.reason] += 1
        else:
            yield source, result


def _weighted(
    clean: Sequence[tuple[Source, Record]], own: int, recipe: Recipe, counts: Counter[str]
) -> list[Record]:
    """Of each source `weight` x own rows (all, where there are no own rows), at most `cap`; drawn by hash of the id."""
    chosen: list[Record] = []
    for source in recipe.curate.mix:
        rows = [r for s, r in clean if s is source]
        rows.sort(key=lambda r: digest(["mix", recipe.seed, r.id]))
        most = round(source.weight * own) if own else len(rows)
        most = min(most, source.cap) if source.cap else most
        chosen += rows[:most]
        counts["over weight or cap"] += max(0, len(rows) - most)
    return chosen
