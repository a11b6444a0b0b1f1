"""Evol-stop: after each round build, train and score on a dev suite; stop when the score falls, keep the best round.

WizardCoder v1 stopped on HumanEval, which it also reported; v2 on MBPP's train and dev split (2306.08568, section 4).
Here a dev suite that shares a task, or nearly one, with a suite of `eval:` is refused before anything is spent.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from evoltune.errors import RecipeError
from evoltune.record import Task
from evoltune.run.store import Store

if TYPE_CHECKING:
    from evoltune.pipeline import Run

NEAR = 0.6  # Jaccard of word 3-shingles from which two problems count as one

Score = Callable[["Run"], float]


def evolve_until_best(work: Run, grow: Callable[[Store, int], object], score: Score) -> int:
    """Evolves round by round; `score(work limited to the first k rounds)` decides. Returns and notes the best round.

    Resumable: rounds that were scored under the same recipe are not scored again.
    """
    best, scores = 0, {}
    for upto in range(1, work.recipe.evolve.rounds + 1):
        with Store.open(work.folder) as store:
            grow(store, upto)
            key = f"evol_stop:{work.evolve_step.version}:{upto}"
            known = store.noted(key)
        limited = replace(work, upto=upto, outputs=work.folder / "rounds" / str(upto))
        scores[upto] = float(known) if known is not None else score(limited)
        with Store.open(work.folder) as store:
            store.note(key, scores[upto])
            best = max(scores, key=lambda k: (scores[k], -k))
            store.note("evol_stop:best", best)
        print(
            f"  evol-stop: round {upto} scores {scores[upto]:.4f} on {work.recipe.evolve.stop_on}",
            file=sys.stderr,
        )
        if scores[upto] < scores[best]:
            break
    return best


def refuse_shared(name: str, dev: Sequence[Task], suites: Mapping[str, Sequence[Task]]) -> None:
    """Raises RecipeError when a dev task is, or nearly is, a task of an evaluation suite."""
    for suite, tasks in suites.items():
        shingles = [_shingles(task.instruction) for task in tasks]
        index: dict[str, list[int]] = {}
        for i, found in enumerate(shingles):
            for shingle in found:
                index.setdefault(shingle, []).append(i)
        for task in dev:
            mine = _shingles(task.instruction)
            shared: dict[int, int] = {}
            for shingle in mine:
                for i in index.get(shingle, ()):
                    shared[i] = shared.get(i, 0) + 1
            for i, n in shared.items():
                jaccard = n / (len(mine) + len(shingles[i]) - n)
                if jaccard >= NEAR:
                    raise RecipeError(
                        f"evolve.stop_on: dev suite {name!r} shares a problem with eval suite {suite!r} "
                        f"({task.name!r} and {tasks[i].name!r}, similarity {jaccard:.2f}): choose a dev set that is not reported"
                    )


def _shingles(text: str) -> frozenset[str]:
    words = text.lower().split()
    return frozenset(" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2)))


def dev_score(work: Run, stages: Sequence[Callable[[Run], object]], measure: Callable[..., object]) -> float:
    """Runs verify, build (and train) on the limited run and returns its score on the dev suite in [0, 1].

    `stop_by: verify_rate` needs no training: the share of the newest round's decided rows that verify kept.
    """
    for stage in stages:
        stage(work)
    if work.recipe.evolve.stop_by == "verify_rate":
        with Store.read(work.folder) as store:
            query = "SELECT avg(reason='') FROM decisions WHERE step=? AND round=?"
            return float(next(store.sql(query, work.verify_step.key, work.upto))[0] or 0.0)
    section = msgspec.structs.replace(work.recipe.eval, suites=(work.recipe.evolve.stop_on or "",))
    out = work.place / "dev"
    measure(
        msgspec.structs.replace(work.recipe, eval=section),
        str(work.place / "checkpoint"),
        out,
        baseline=False,
        allow_uncertified=True,  # a dev suite is not reported
    )
    return _first_score(out)


def _first_score(folder: Path) -> float:
    suites = json.loads((folder / "scores.json").read_text(encoding="utf-8"))["suites"]
    measures = next(iter(suites.values()))["measures"]
    return float(next(iter(measures.values()))["value"])
