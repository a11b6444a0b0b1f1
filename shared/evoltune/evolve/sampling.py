"""Sampling to a target size, stratified by round: WizardLM trained on 70k of its 250k rows (2304.12244 section 4.2).

Invariant: the choice depends on the recipe's seed and the records' ids alone, so a resumed run takes the same rows.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from evoltune.record import Drop, Record, digest
from evoltune.run.queries import decisions
from evoltune.run.store import Step, Store


def shares(counts: Mapping[int, int], size: int) -> dict[int, int]:
    """How many of each round: proportional to the round's rows, by largest remainder; sums to min(size, all)."""
    total = sum(counts.values())
    if size >= total:
        return dict(counts)
    exact = {r: n * size / total for r, n in counts.items()}
    taken = {r: int(x) for r, x in exact.items()}
    by_remainder = sorted(exact, key=lambda r: (taken[r] - exact[r], r))
    for r in by_remainder[: size - sum(taken.values())]:
        taken[r] += 1
    return taken


def sample(store: Store, step: Step, size: int, seed: int) -> None:
    """Decides the sampling step in one transaction: kept, or dropped as "not sampled"."""
    before = step.before
    assert before is not None
    rounds: dict[int, list[str]] = defaultdict(list)
    for decision in decisions(store, before):
        if not decision.reason:
            rounds[decision.round].append(decision.record)
    taken = shares({r: len(ids) for r, ids in rounds.items()}, size)
    chosen = {
        record
        for r, ids in rounds.items()
        for record in sorted(ids, key=lambda i: digest([seed, "sample", i]))[: taken[r]]
    }

    def results() -> Iterator[Record | Drop]:
        for record in store.todo(step):
            yield record if record.id in chosen else Drop(record=record, reason="not sampled")

    store.decide(step, results())
