"""The stage `rl`: the run's checkpoint, optimised by TRL against the recipe's reward, into the folder `rl`.

reinforce(Run(recipe=recipe, folder=folder))
"""

from pathlib import Path

from evoltune.dataset.outside_prompts import outside_prompts
from evoltune.dataset.rl_prompts import export_prompts, prompts_of_run
from evoltune.errors import DataError
from evoltune.rows.files import read_json, write_json
from evoltune.run.paths import (
    AFTER,
    BAND,
    DATASET,
    MANIFEST,
    PAIRS,
    PROMPTS,
    REWARD_INSTRUCTIONS,
    REWARD_STEPS,
    scores_path,
)
from evoltune.run.run import Run
from evoltune.train.rl.launch import check_rl, train_policy
from evoltune.train.rl.pairs import write_pairs
from evoltune.train.rl.sampled import prompts_in_band


def reinforce(work: Run) -> None:
    """Trains `rl:` on the run's own tasks, or on those of `rl.prompts` that give away none of its suites; how many these are is
    noted beside them. Scores of an older result are removed first."""
    rl = check_rl(work.recipe)
    out = work.final
    if read_json(out / MANIFEST) is None:
        scores_path(work.folder, AFTER).unlink(missing_ok=True)
    prompts = work.folder / PROMPTS
    rows, counts = outside_prompts(rl.prompts, work) if rl.prompts else (list(prompts_of_run(work, [])), {})
    if rl.band:
        rows, fates = prompts_in_band(work, rows, work.folder / BAND)
        counts = {**counts, **fates}
    export_prompts(rows, prompts, "trl")
    write_json(prompts.with_suffix(".json"), {"source": rl.prompts or DATASET, "kept": len(rows), **counts})
    pairs = None
    if rl.algorithm == "dpo":
        pairs = work.folder / PAIRS
        write_pairs(work, rows, pairs)
    train_policy(work.recipe, prompts=prompts, start=work.checkpoint, out=out, rewards=reward_models(work), pairs=pairs)


def reward_models(work: Run) -> dict[str, Path]:
    """The recipe's reward models by kind. Raises DataError for one that is not trained."""
    reward = work.recipe.reward
    wanted = {
        "steps": work.folder / REWARD_STEPS if reward and reward.steps else None,
        "instructions": work.folder / REWARD_INSTRUCTIONS if reward and reward.instructions else None,
    }
    found = {kind: folder for kind, folder in wanted.items() if folder is not None}
    for kind, folder in found.items():
        if read_json(folder / MANIFEST) is None:
            raise DataError(f"{folder}: the reward model of {kind} is not trained: run the stage reward first")
    return found
