"""Applies a stage to the undecided records of a step, and closes the step: nothing may be missing."""

import sys
from collections.abc import Iterable
from itertools import islice

from evoltune.record import Drop, Record, Stage
from evoltune.run.store import Step, Store

COMMIT = 256  # decisions per transaction of a streaming step


def apply_stage(store: Store, step: Step, stage: Stage, *, whole: bool = False) -> None:
    """Decides what is undecided. `whole`: in one transaction, for stages that look at all records before they decide."""
    store.begin(step)
    results = stage(store.todo(step))
    chunks: Iterable[Iterable[Record | Drop]] = [results] if whole else iter(lambda: list(islice(results, COMMIT)), [])
    for chunk in chunks:
        store.decide(step, chunk)
    close_step(store, step)


def close_step(store: Store, step: Step) -> None:
    """Checks and prints the step's ledger. Raises StoreError when a record is missing or undecided."""
    counts = store.check_ledger(step)
    dropped = "; ".join(f"{n} {why}" for why, n in counts.items() if why not in ("in", "kept", "pending"))
    line = f"  {step.name}: {counts['in']} in, {counts['kept']} kept"
    print(line + (f", dropped: {dropped}" if dropped else ""), file=sys.stderr, flush=True)
