"""The driver's side of training a reward model: the settings, the job, the result. Imports no torch.

train_reward_model(recipe, "steps", rows=Path("labelled.jsonl"), start=Path("runs/x/checkpoint"), out=Path("runs/x/reward-steps"))
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

from evoltune.errors import RecipeError
from evoltune.models.locate import ModelRef, download_model
from evoltune.models.proof import read_template
from evoltune.recipe import InstructionReward, Recipe, StepReward, Train
from evoltune.rows.files import read_json
from evoltune.run.paths import MANIFEST
from evoltune.train.job import Kind, make_job
from evoltune.train.launch import finish_job


def train_reward_model(
    recipe: Recipe, kind: Kind, *, rows: str | Path, out: Path, start: Path | None
) -> dict[str, Any]:
    """Trains `recipe.reward.steps` or `.instructions` on a file of rows, on top of the checkpoint `start` (or of the base).

    Returns the manifest, with the measures on held-out rows under `held_out`. Raises as `evoltune.train.launch.train` does.
    """
    section = settings_of(recipe, kind)
    chosen = replace_train(recipe, section, start)
    refuse_other_method(section, out)
    base = download_model(ModelRef(chosen.train.model_name_or_path, chosen.train.model_revision))
    folder = str(start.resolve()) if start else ""
    job = make_job(chosen, str(Path(rows).resolve()), str(base), out, None, kind=kind, start=folder)
    manifest = finish_job(job)
    print(f"  reward: {kind}: {summary(manifest)}", file=sys.stderr)
    return manifest


def settings_of(recipe: Recipe, kind: Kind) -> StepReward | InstructionReward:
    """The section of a reward model. Raises RecipeError where the recipe has none."""
    found = recipe.reward and (recipe.reward.steps if kind == "steps" else recipe.reward.instructions)
    if not found:
        raise RecipeError(f"reward.{kind}: not in the recipe: add it, e.g. `reward: {{{kind}: {{}}}}`")
    return found


def refuse_other_method(section: StepReward | InstructionReward, out: Path) -> None:
    """Raises RecipeError where the folder holds a finished model that was made in the other way."""
    manifest = read_json(out / MANIFEST)
    method = section.method if isinstance(section, StepReward) else "head"
    if manifest is not None and (found := manifest.get("method", "head")) != method:
        raise RecipeError(
            f"{out}: holds a reward model of method {found}, reward.steps.method is {method}: set this back, or move that folder away"
        )


def replace_train(recipe: Recipe, section: StepReward | InstructionReward, start: Path | None) -> Recipe:
    """The recipe with the section's own keys over its `train:`, and the template of the checkpoint that it goes on from."""
    kind = "steps" if isinstance(section, StepReward) else "instructions"
    fixed = {"model_name_or_path", "template", "system_prompt", "dataset", "packing", "checkpoint_select", "reasoning"}
    if wrong := sorted(fixed & set(section.train)):
        raise RecipeError(f"reward.{kind}.train.{wrong[0]}: a reward model has the checkpoint's: remove it")
    is_likelihood = isinstance(section, StepReward) and section.method == "likelihood"
    if is_likelihood and section.train:
        raise RecipeError(
            f"reward.steps.train.{next(iter(section.train))}: has no effect with method: likelihood, which trains nothing: remove it"
        )
    trained = read_template(start) if start else None
    prompt = {"template": trained.template, "system_prompt": trained.system_prompt} if trained else {}
    plain = {"packing": False, "checkpoint_select": "last", "save_steps": 0, "dataset": None}
    merged = {**msgspec.to_builtins(recipe.train), **plain, **prompt, **section.train}
    try:
        train = msgspec.convert(merged, Train)
    except msgspec.ValidationError as error:
        raise RecipeError(f"reward.{kind}.train: {str(error).replace('`$.', '`')}") from error
    if is_likelihood:  # one process, on this machine or in a batch job
        launcher = recipe.compute.launcher if recipe.compute.launcher == "slurm" else "local"
        compute = msgspec.structs.replace(recipe.compute, nodes=1, gpus_per_node=1, launcher=launcher)
        return msgspec.structs.replace(recipe, train=msgspec.structs.replace(train, deepspeed="none"), compute=compute)
    if train.finetuning_type == "qlora" or train.deepspeed not in ("none", "zero1", "zero2"):
        raise RecipeError(
            f"reward.{kind}.train: finetuning_type {train.finetuning_type}, deepspeed {train.deepspeed}: a reward model is "
            "trained full or lora, with deepspeed none, zero1 or zero2"
        )
    return msgspec.structs.replace(recipe, train=train)


def summary(manifest: dict[str, Any]) -> str:
    """What was measured on held-out rows, as one line."""
    held_out = manifest["held_out"]
    name, count = ("step_accuracy", "steps") if manifest["kind"] == "steps" else ("pair_accuracy", "pairs")
    accuracy = held_out[name]
    low, high = accuracy["interval"]
    text = f"{accuracy['value']:.1%} of {held_out[count]} held-out {count} right (95% {low:.1%} to {high:.1%})"
    f1 = f", F1 of the first error {held_out['f1']:.3f}" if held_out.get("f1") is not None else ""
    return f"{text}{f1}, calibration error {held_out['calibration_error']:.3f}"
