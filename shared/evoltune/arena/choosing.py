"""Choices by the judge: which of several candidates answers an open suite better, where no verifier can tell.

    score_candidate(run, recipe, "rounds/2/checkpoint", out=Path("rounds/2/dev"), reference=Path("rounds/1/dev"))      # 0.61

A candidate is a round of evol-stop, a checkpoint, or a variant of an ablation. All candidates of one choice are compared with one
reference, the first of them, so that their win rates can be compared with each other; a base model would lose to all of them.
The judge is measured too, by worse twins of the reference's answers: the same for all candidates, so they are paid for once.
Invariant: a suite that neither the verifier nor a judge can judge chooses nothing; the judge's replies of all choices, and of the
run's own evaluation, are in one store under one budget.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from evoltune.arena.dialogues import turn_by_turn
from evoltune.arena.judge import judge_study
from evoltune.arena.judged_run import full_name, own_system, study_of
from evoltune.errors import DataError, RecipeError
from evoltune.evaluate.measure import evaluate
from evoltune.evaluate.suites import load_suite
from evoltune.recipe import Recipe
from evoltune.rows.files import read_json
from evoltune.run.dev_suite import dev_score
from evoltune.run.paths import EVAL, JUDGED, SCORES


def score_candidate(run: Path, recipe: Recipe, model: str, out: Path, reference: Path) -> float:
    """`choice_score` of a model, whose answers to the only suite of the recipe are generated into `out`. `run`: the run's folder."""
    # A dev suite is not reported, so the dataset needs no certificate for it.
    scores = evaluate(recipe, model, out, baseline=False, allow_uncertified=True)
    return choice_score(recipe, scores, out, reference, run / EVAL / JUDGED)


def choice_score(recipe: Recipe, scores: Mapping[str, Any], out: Path, reference: Path, journal: Path) -> float:
    """The score, in [0, 1], by which a candidate is chosen: the verifier's on the only suite of `scores`, or the win rate before the judge.

    Args:
        scores: What `evaluate.measure.evaluate` returned for the candidate and wrote to `out`.
        reference: Where it wrote those of the candidate that all are compared with; `out` itself: 0.5, and nobody is asked.
        journal: The folder of the judge's store.

    Raises RecipeError for an open suite without a judge, DataError when no judgement could be read, and BudgetError.
    """
    ((suite, entry),) = scores["suites"].items()
    if not is_for_judge(recipe, suite, entry):
        return dev_score(scores)
    points = points_against(recipe, recipe.eval.suites[0], out, reference, journal)
    if not points:
        raise DataError(
            f"dev suite {suite!r}: none of the judge's replies could be read, so nothing was chosen: see {out / JUDGED}; what was trained "
            "is kept: give another judge (eval.judge.teacher), or choose without one (train.checkpoint_select: last, evolve.stop_on: '')"
        )
    return fmean(points.values())


def is_for_judge(recipe: Recipe, suite: str, entry: Mapping[str, Any]) -> bool:
    """Whether the judge compares the answers to a suite: no verifier can, or `eval.judge.suites` names it."""
    judge = recipe.eval.judge
    if judge is None:
        return False
    named = {name.rpartition("/")[2] for name in judge.suites}
    return suite in named or not entry["measures"]


def points_against(recipe: Recipe, name: str, out: Path, reference: Path, journal: Path) -> dict[str, float]:
    """The points of a candidate on each turn of each problem of a suite: 1 where it wins against the reference, 0.5 for a tie, 0 where it loses.
    Leaves out problems on which a judgement could not be read."""
    judge = recipe.eval.judge
    if judge is None:
        raise RecipeError("eval.judge: names nobody who could compare answers")
    data = Path(recipe.eval.data) if recipe.eval.data else None
    suite = load_suite(name, data, domain=recipe.domain).first(recipe.eval.limit)
    if out == reference:
        return dict.fromkeys((task.name for task in turn_by_turn(suite).tasks), 0.5)
    place, systems = out / JUDGED / suite.name, []
    for label, folder in (("candidate", out), ("reference", reference)):
        entry = (read_json(folder / SCORES) or {}).get("suites", {}).get(suite.name)
        if entry is None:
            raise DataError(
                f"{folder}: the answers to {suite.name!r} that others are compared with are gone: restore them (`evoltune runs fetch`), "
                "or give another --out"
            )
        systems.append(own_system(place, suite, label, folder, entry))
    study = study_of(recipe, judge, full_name(name, suite), systems, repeats=0, planted_from=("reference",))
    result = judge_study(study, place, journal=journal)
    (pair,) = result["pairs"]
    counted = f"{pair['win']} won, {pair['tie']} tied, {pair['lose']} lost"
    print(f"  judge: {out} against {reference} on {suite.name}: {counted}", file=sys.stderr, flush=True)
    for warning in result["trust"]["warnings"]:
        print(f"  judge: {warning}", file=sys.stderr, flush=True)
    found: dict[str, float] = pair["points"]
    return found
