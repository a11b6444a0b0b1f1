"""The main path: seeds -> evolve -> verify -> build -> train (-> reward -> rl) -> eval -> report.

    run(load_recipe("smoke/math"), Path("runs/smoke-math"))

Every stage can be killed at any moment and run again: decisions and paid replies are kept. The conservation law holds for
every step of the store, in = kept + dropped (by reason), and is checked when a step ends.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from evoltune.arena.choosing import score_candidate
from evoltune.arena.judged_run import judge_run
from evoltune.curate.certificate import certificate
from evoltune.curate.stages import curate_stages
from evoltune.curate.turns import failed_turn
from evoltune.dataset.mix import mix_sources
from evoltune.dataset.write import rows_of_tasks, write_dataset
from evoltune.evaluate.measure import evaluate as measure
from evoltune.evolve import loop
from evoltune.evolve.yields import operator_yield
from evoltune.models.card import write_card
from evoltune.recipe import Recipe
from evoltune.report.pages import write_report
from evoltune.run.apply import apply_stage, close_step
from evoltune.run.dev_suite import dev_recipe
from evoltune.run.evol_stop import evolve_until_best, verify_rate
from evoltune.run.lock import locked
from evoltune.run.paths import AFTER, BEFORE, DEV, EVAL, ROUNDS, RUN_LOCK, TRAINED, scores_path
from evoltune.run.run import BUILT, Run
from evoltune.run.store import Store
from evoltune.run.workers import workers_kept
from evoltune.train import launch
from evoltune.train.nodes import is_first_node
from evoltune.train.reward.stage import train_rewards
from evoltune.train.rl.stage import reinforce
from evoltune.verification.checker import verify_stage


def run(
    recipe: Recipe,
    folder: Path,
    stages: Sequence[str] = (),
    *,
    allow_uncertified: bool = False,
    after: Callable[[], object] = lambda: None,
) -> None:
    """Runs the stages in order under the run's lock; of several nodes, the others than the first only train.

    Args:
        stages: Empty: all that the recipe has.
        allow_uncertified: Train without a certificate for the suites.
        after: Called when a stage has ended.
    """
    work = Run(recipe=recipe, folder=folder, allow_uncertified=allow_uncertified)
    stages = stages or work.stages
    if not is_first_node(recipe):
        return launch.take_part(recipe, work.checkpoint, stages)
    work.check(stages)  # raises what is wrong with recipe and data before anything is written
    work.check_here(stages)
    with locked(folder, RUN_LOCK), workers_kept(recipe.compute) as end_idle:
        work.write_recipe()
        for stage in stages:
            end_idle(stage)
            print(f"[{stage}] {folder}", file=sys.stderr, flush=True)
            _STAGES[stage](work.unedited())
            after()


def evolve(work: Run) -> None:
    if work.recipe.evolve.stop_on:
        evolve_until_best(
            work,
            grow=lambda store, upto: loop.evolve(work.recipe, work.domain, store, max_round=upto),
            score=_score_by_verifying if work.recipe.evolve.stop_by == "verify_rate" else _score_by_training,
        )
        return
    with Store.open(work.folder) as store:
        loop.evolve(work.recipe, work.domain, store)
        for step in reversed(work.evolve_step.chain()):
            close_step(store, step)


def _score_by_verifying(work: Run) -> float:
    verify(work)
    return verify_rate(work)


def _score_by_training(work: Run) -> float:
    for stage in (verify, build, train):
        stage(work)
    recipe, out = dev_recipe(work.recipe, work.recipe.evolve.stop_on or ""), work.checkpoint.parent / DEV
    return score_candidate(work.folder, recipe, str(work.checkpoint), out, work.folder / ROUNDS / "1" / DEV)


def verify(work: Run) -> None:
    with Store.open(work.folder) as store, work.checker(confirm=True) as checker:
        apply_stage(store, work.verify_step, verify_stage(checker, work.recipe.verify.keep))
        store.note("yields", [asdict(row) for row in operator_yield(store, work.evolve_step.origin, work.verify_step)])


def build(work: Run) -> None:
    with Store.open(work.folder) as store, work.checker() as checker:
        work = replace(work, upto=work.upto or work.best_round(store))
        steps = [work.verify_step]
        refuse = failed_turn(store, work.verify_step, work.recipe.verify.keep)
        stages = curate_stages(
            work.recipe, work.domain, work.verify_step, work.targets, checker, note=store.note, refuse=refuse
        )
        for step, stage, whole in stages:
            apply_stage(store, step, stage, whole=whole)
            steps.append(step)
        proof = certificate(store, steps, work.recipe, work.suites)
        counts = {step.name: store.ledger(step) for step in reversed(steps[-1].chain())}
        rows, mix = mix_sources(store.kept(steps[-1]), work.recipe, work.domain, work.targets, checker)
        counts |= {"mix": dict(mix)} if mix else {}
        store.note("ledgers", counts)
        store.note("steps", {step.name: step.key for step in reversed(steps[-1].chain())})
        store.note(BUILT, "")  # Invalidate first: a half-written dataset must not count.
        write_dataset(rows, work.dataset, work.recipe, proof, counts, rows_of_tasks(store.kept(steps[-1]), work.recipe))
        work.note_built(store)


def train(work: Run) -> None:
    if not work.is_trained():  # scores of an older checkpoint must not stand beside the new one
        scores_path(work.checkpoint.parent, AFTER).unlink(missing_ok=True)
    launch.train(
        work.recipe, work.training_data, work.checkpoint, suites=work.suites,
        score=partial(score_candidate, work.folder), allow_uncertified=work.allow_uncertified,
    )  # fmt: skip


def evaluate(work: Run) -> None:
    scores, model = work.folder / EVAL, work.recipe.train.model_name_or_path
    if work.recipe.eval.baseline:
        measure(work.recipe, model, scores / BEFORE, baseline=True)
    for label, folder in (({TRAINED: work.checkpoint} if work.recipe.rl else {}) | {AFTER: work.final}).items():
        measure(work.recipe, str(folder), scores / label, baseline=False, allow_uncertified=work.allow_uncertified)
    write_card(work.final)  # the model card, now with its scores
    judge_run(work.recipe, work.folder)


_STAGES: Mapping[str, Callable[[Run], object]] = {
    "evolve": evolve, "verify": verify, "build": build, "train": train, "reward": train_rewards, "rl": reinforce,
    "eval": evaluate, "report": lambda work: print(f"report: {write_report(work.folder)}", file=sys.stderr, flush=True),
}  # fmt: skip
