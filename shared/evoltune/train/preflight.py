"""What would stop training, found before the first stage is paid for. Imports no torch.

    check_setup(recipe, Path("runs/mine/checkpoint"))     # from the recipe alone
    check_base(recipe, Path("runs/mine/checkpoint"))      # with one small file of the base, and the disk

A hub that cannot be asked now is no error here: training asks it again.
"""

import shutil
from pathlib import Path

from evoltune.cluster.variables import chosen_variables
from evoltune.errors import RecipeError, TrainingError
from evoltune.models.locate import ModelRef, base_config, has_chat_template
from evoltune.models.shapes import shape_of
from evoltune.recipe import Recipe
from evoltune.run.paths import JOB
from evoltune.train.deepspeed import deepspeed_config
from evoltune.train.launch_command import launch_command
from evoltune.train.nodes import check_nodes
from evoltune.train.step_checkpoints import check_selection


def check_setup(recipe: Recipe, out: Path) -> None:
    """Raises RecipeError for a launcher, nodes, variables, a DeepSpeed configuration or a choice of checkpoints that cannot work."""
    check_selection(recipe)
    deepspeed_config(recipe)
    launch_command(out / JOB, recipe)
    check_nodes(recipe)
    chosen_variables(recipe)


def check_base(recipe: Recipe, out: Path) -> None:
    """Raises RecipeError for a base that is not there, is gated, has no chat template where one is needed, or has no room."""
    train = recipe.train
    try:
        config = base_config(ModelRef(train.model_name_or_path, train.model_revision))
    except TrainingError as error:
        raise RecipeError(f"train.model_name_or_path: {error}") from error
    if config is None:
        return
    if train.template == "chat" and not has_chat_template(train.model_name_or_path):
        raise RecipeError(
            f"train.template: chat needs a base with a chat template, and {train.model_name_or_path} has none: use alpaca, "
            "wizardcoder, wizardmath or lima"
        )
    _check_shape(recipe, str(config.parent), out)


def _check_shape(recipe: Recipe, folder: str, out: Path) -> None:
    """What the base's configuration decides: LoRA's targets, the longest row, and the size of the checkpoint."""
    train = recipe.train
    try:
        shape = shape_of(folder)
    except (RecipeError, KeyError, TypeError):
        return  # an architecture that we do not know
    if shape.positions and train.max_length > shape.positions:
        raise RecipeError(
            f"train.max_length: {train.max_length} is longer than the {shape.positions} positions of {train.model_name_or_path}"
        )
    need = 2 * shape.parameters
    if train.finetuning_type != "full":
        targets = train.lora_targets
        outside = not isinstance(targets, str) and any(
            "." in t or not t.endswith(("proj", "attn", "fc")) for t in targets
        )
        # Adapters on embeddings and head, and targets by their path, are left to the trainer, which has the model.
        need = 0 if outside else 2 * shape.lora_parameters(train.lora_r, targets)
    existing = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < need:
        raise RecipeError(
            f"train: {existing} has {free / 1e9:.1f} GB free, and the finished checkpoint of {train.model_name_or_path} alone "
            f"takes {need / 1e9:.1f} GB: free some space, or give --out on another disk"
        )
