"""Mixing: the recipe's own rows and other datasets, with weights and caps, under the same checks.

    rows, ledger = mix_sources(store.kept(step), recipe, domain, suites, checker)

`weight`: rows of the source per own row (0.5: half as many); `cap`: at most so many; 0: no cap. The ledger counts what is
left out: in = kept + dropped by reason. Invariant: no mixed row duplicates another or gives away a suite's task.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge

from evoltune.curate.decontaminate import Suites, decontaminate, domain_overlap, seed_texts
from evoltune.curate.dedup import find_duplicates, key_text, rank
from evoltune.curate.licences import refusal
from evoltune.domain import Domain
from evoltune.recipe import Recipe, Source
from evoltune.record import Drop, Record, Stage, digest
from evoltune.rows.readers import BadRow
from evoltune.rows.records import seed_records, source_records
from evoltune.verification.checker import Checker

Found = tuple[Source, Record]


def mix_sources(
    own: Iterable[Record], recipe: Recipe, domain: Domain, suites: Suites, checker: Checker | None
) -> tuple[Iterator[Record], dict[str, int]]:
    """All rows in id order, and the ledger of the mixed ones. Without `curate.mix`: the own rows as they are."""
    if not recipe.curate.mix:
        return iter(own), {}
    ours = sorted(own, key=lambda r: r.id)
    counts: Counter[str] = Counter()
    found: list[Found] = []
    for source in recipe.curate.mix:
        bad: list[BadRow] = []
        rows = list(source_records(source, domain, bad))
        counts.update({"in": len(rows) + len(bad), "unreadable": len(bad)})
        found += [(source, record) for record in rows]
    overlap = domain_overlap(domain, recipe.curate, suites, checker)
    check = decontaminate(suites, recipe.curate, overlap, seeds=seed_texts(seed_records(recipe, domain)))
    acceptable = list(_acceptable(found, ours, recipe, check, counts))
    chosen = _weighted(acceptable, len(ours), recipe, counts)
    dropped = {reason: n for reason, n in sorted(counts.items()) if n and reason != "in"}
    ledger = {"in": counts["in"], "kept": len(chosen), **dropped}
    return merge(ours, sorted(chosen, key=lambda r: r.id), key=lambda r: r.id), ledger


def _acceptable(
    found: Sequence[Found], ours: Sequence[Record], recipe: Recipe, check: Stage, counts: Counter[str]
) -> Iterator[Found]:
    """By licence, by duplicates of own rows and of each other, by contamination, in this order; drops are counted."""
    allowed = []
    for source, record in sorted(found, key=lambda pair: rank(pair[1])):
        reason = refusal(record, recipe)
        counts[reason] += bool(reason)
        if not reason:
            allowed.append((source, record))
    texts = [key_text(r.task) for r in ours] + [key_text(r.task) for _, r in allowed]
    reasons = [reason for reason, _ in find_duplicates(texts, recipe.curate)][len(ours) :]
    counts.update(reason for reason in reasons if reason)
    unique = [pair for pair, reason in zip(allowed, reasons, strict=True) if not reason]
    for (source, _), result in zip(unique, check(record for _, record in unique), strict=True):
        if isinstance(result, Drop):
            counts[result.reason] += 1
        else:
            yield source, result


def _weighted(acceptable: Sequence[Found], own: int, recipe: Recipe, counts: Counter[str]) -> list[Record]:
    """Of each source `weight` x own rows (all, where there are no own rows), at most `cap`; drawn by hash of the id."""
    chosen: list[Record] = []
    for source in recipe.curate.mix:
        rows = [r for s, r in acceptable if s is source]
        rows.sort(key=lambda r: digest(["mix", recipe.seed, r.id]))
        most = round(source.weight * own) if own else len(rows)
        most = min(most, source.cap) if source.cap else most
        chosen += rows[:most]
        counts["over weight or cap"] += max(0, len(rows) - most)
    return chosen
