"""`evoltune evolve RECIPE --optimise`: the prompts of a recipe, improved on a development set of its seeds.

RUN/optimise/improved/NAME.txt   the prompts that were taken, beside the other ones of `evolve.prompts`, whose place the folder can take
RUN/optimise/history.json        what was tried in each step, and why it was taken or not
RUN/optimise/store.sqlite        every call and every decision of the trials, with a budget of its own

Invariant: the development set shares nothing with a suite of the recipe; the same recipe gives the same files.
"""

from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from evoltune.curate.decontaminate import decontaminate, domain_overlap, seed_texts
from evoltune.errors import DataError, RecipeError
from evoltune.evolve.loop import operators_of
from evoltune.evolve.optimise.loop import KINDS, LEVEL, Attempt, History, optimisable, optimise
from evoltune.evolve.optimise.trial import Bench, Trial
from evoltune.evolve.prompt_folder import prompt_files, with_prompts
from evoltune.recipe import Optimise, Recipe
from evoltune.record import Record, digest
from evoltune.rows.files import write_file, write_json
from evoltune.rows.records import seed_records
from evoltune.run.paths import HISTORY, OPTIMISE, PROMPT_FOLDER
from evoltune.run.run import Run
from evoltune.run.store import Store
from evoltune.teacher.protocol import Teacher


def optimise_prompts(work: Run, teacher: Teacher | None = None) -> dict[str, Any]:
    """Runs the optimiser in the run's folder and writes its result; returns what `history.json` holds.

    Raises DataError (too few seeds that share nothing with a suite), RecipeError (no prompt to improve), TeacherError and BudgetError.
    """
    settings = work.recipe.evolve.optimise or Optimise()
    operators = optimisable(operators_of(work.recipe, work.domain))
    if not operators:
        raise RecipeError(f"evolve.operators: none has a prompt of kind {', '.join(KINDS)} that could be optimised")
    folder = work.folder / OPTIMISE
    with ExitStack() as stack:
        checker = stack.enter_context(work.checker(confirm=True))
        store = stack.enter_context(Store.open(folder))
        domain = with_prompts(work.recipe, work.domain)
        bench = Bench(recipe=work.recipe, domain=domain, store=store, checker=checker, teacher=teacher)
        history = optimise(bench, operators, _development_set(work, settings), settings)
    found = as_json(history)
    write_prompts(folder, history, work.recipe)
    write_json(folder / HISTORY, found)
    return found


def _development_set(work: Run, settings: Optimise) -> list[Record]:
    """The first seeds, in an order drawn by the recipe's seed, that share nothing with a suite."""
    seeds = list({seed.id: seed for seed in seed_records(work.recipe, work.domain)}.values())
    drawn = sorted(seeds, key=lambda seed: digest([work.recipe.seed, "optimise", seed.id]))
    with work.checker() as checker:
        overlap = domain_overlap(work.domain, work.recipe.curate, work.targets, checker)
        stage = decontaminate(work.targets, work.recipe.curate, overlap, seeds=seed_texts(seeds))
        clean = list(islice((r for r in stage(drawn) if isinstance(r, Record)), settings.seeds))
    if len(clean) < settings.seeds:
        raise DataError(
            f"evolve.optimise.seeds: {len(clean)} of {len(seeds)} seeds share nothing with the suites of the recipe, {settings.seeds} are "
            "asked for (at least 200): give more seeds"
        )
    return clean


def write_prompts(folder: Path, history: History, recipe: Recipe) -> None:
    """The prompts that were taken, with the others of the recipe, and none of an earlier optimisation."""
    others = prompt_files(recipe)
    prompts = folder / PROMPT_FOLDER
    prompts.mkdir(parents=True, exist_ok=True)
    for old in prompts.glob("*.txt"):
        old.unlink()
    for path, content in others:
        write_file(prompts / path.name, content)
    for name, text in history.prompts.items():
        first, last = history.first[name], history.last[name]
        why = f"# Optimised: score {first.score:.3f} -> {last.score:.3f} on {history.seeds} seeds; how: ../{HISTORY}\n"
        # The blank line ends the comments: a heading of the prompt is none.
        write_file(prompts / f"{name}.txt", f"{why}\n{text}")


def as_json(history: History) -> dict[str, Any]:
    """The history as plain JSON."""
    return {
        "seeds": history.seeds,
        "level": LEVEL,
        "operators": {
            name: {"before": _figures(first), "after": _figures(history.last[name]), "changed": name in history.prompts}
            for name, first in history.first.items()
        },
        "steps": [_step(attempt) for attempt in history.attempts],
    }


def _figures(trial: Trial) -> dict[str, Any]:
    outcomes = trial.outcomes.values()
    verified = sum(not outcome.reason for outcome in outcomes)
    lift = None if trial.lift is None else round(trial.lift, 4)
    return {
        "version": trial.operator.version, "score": round(trial.score, 4), "verified": verified, "attempts": len(outcomes), "lift": lift,
        "tokens": trial.tokens,
    }  # fmt: skip


def _step(attempt: Attempt) -> dict[str, Any]:
    return {**asdict(attempt), "result": asdict(attempt.result) if attempt.result else None}
