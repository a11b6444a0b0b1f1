"""Prompts from outside a run (`rl.prompts`, `evoltune rl --rows`), under the check that its training rows pass.

    prompts, counts = outside_prompts("openai/gsm8k:main:train", Run(recipe=recipe, folder=folder))
    counts      # {"in": 7473, "kept": 7470, "contaminated: gradeschool-heldout by 13-gram": 3}

Invariants: in = kept + left out (by reason); no prompt, and no reference of one, gives away a task of the run's suites.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from evoltune.curate.decontaminate import decontaminate, domain_overlap, overlap_methods, seed_texts
from evoltune.dataset.rl_prompts import VerifiablePrompt, as_record, prompts_of_rows
from evoltune.errors import DataError
from evoltune.record import Drop
from evoltune.rows.records import seed_records
from evoltune.run.run import Run

UNVERIFIABLE = "neither reference nor tests"
SHOWN = 3
"""Prompts that are named for each reason."""


def outside_prompts(ref: str, work: Run) -> tuple[list[VerifiablePrompt], Mapping[str, int]]:
    """The prompts that may be trained on, and how many were left out for which reason, which is also printed.

    Raises DataError when none is left.
    """
    unverifiable: list[str] = []
    found = list(prompts_of_rows(ref, work.domain, unverifiable))
    left_out: dict[str, list[str]] = {
        UNVERIFIABLE: [where.rpartition(": ")[0].rpartition("/")[2] for where in unverifiable]
    }
    kept: list[VerifiablePrompt] = []
    curate = work.recipe.curate
    with ExitStack() as stack:
        checker = stack.enter_context(work.checker()) if overlap_methods(work.domain, curate) and work.targets else None
        overlap = domain_overlap(work.domain, curate, work.targets, checker)
        seeds = seed_texts(seed_records(work.recipe, work.domain))
        check = decontaminate(work.targets, curate, overlap, seeds=seeds)
        records = [as_record(work.domain, prompt, ()) for prompt in found]
        for prompt, result in zip(found, check(records), strict=True):
            if isinstance(result, Drop):
                left_out.setdefault(result.reason, []).append(prompt.id)
            else:
                kept.append(prompt)
    reasons = {reason: names for reason, names in sorted(left_out.items()) if names}
    total, against = len(found) + len(unverifiable), ", ".join(work.targets)
    checked = f"checked against {against}" if against else "checked against nothing, as eval.suites names no suite"
    told = "; ".join(f"{len(names)} {reason} ({_some(names)})" for reason, names in reasons.items()) or "none"
    line = f"{len(kept)} of {total} prompts of {ref}, {checked}; left out: {told}"
    if not kept:
        raise DataError(f"{line}: nothing is left to train on: give other rows")
    print(f"  rl: {line}", file=sys.stderr)
    return kept, {"in": total, "kept": len(kept), **{reason: len(names) for reason, names in reasons.items()}}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
