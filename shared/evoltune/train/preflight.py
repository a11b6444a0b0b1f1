"""What would stop training, found before the first stage is paid for. Imports no torch.

    check_setup(recipe, Path("runs/mine/checkpoint"))     # from the recipe alone
    check_base(recipe, Path("runs/mine/checkpoint"))      # with one small file of the base, and the disk
    check_machine(recipe)                                 # on the machine that is about to train

A hub that cannot be asked now is no error here: training asks it again.
"""

import importlib.util
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from evoltune.cluster.gpus import gpu_count
from evoltune.cluster.variables import chosen_variables
from evoltune.errors import RecipeError, TrainingError, nearest
from evoltune.models.base_files import why_unusable
from evoltune.models.locate import ModelRef, base_config, has_chat_template, small_files
from evoltune.models.shapes import shape_of
from evoltune.recipe import Recipe, Train
from evoltune.run.paths import JOB, user_path
from evoltune.train.deepspeed import deepspeed_config
from evoltune.train.launch_command import launch_command, ranks_per_node
from evoltune.train.nodes import check_nodes
from evoltune.train.schedule import batch_layout
from evoltune.train.step_checkpoints import check_selection

ATTENTION = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
LOGGERS: Mapping[str, tuple[str, ...]] = {
    "none": (), "all": (), "wandb": ("wandb",), "tensorboard": ("tensorboard", "tensorboardX"), "mlflow": ("mlflow",),
    "comet_ml": ("comet_ml",), "clearml": ("clearml",), "codecarbon": ("codecarbon",), "dagshub": ("dagshub",),
    "dvclive": ("dvclive",), "flyte": ("flytekit",), "neptune": ("neptune",), "swanlab": ("swanlab",), "trackio": ("trackio",),
    "azure_ml": ("azureml",),
}  # fmt: skip
"""What `report_to` may name (Transformers' integrations), with the packages of which one must be installed."""


def check_setup(recipe: Recipe, out: Path) -> None:
    """Raises RecipeError for a launcher, nodes, variables, a DeepSpeed configuration or a choice of checkpoints that cannot work."""
    check_selection(recipe)
    deepspeed_config(recipe)
    launch_command(out / JOB, recipe)
    check_optimizer(recipe.train)
    _check_loggers(recipe.train.report_to)
    attention = recipe.train.attn_implementation
    if attention and attention not in ATTENTION and "/" not in attention:
        raise RecipeError(f"train.attn_implementation: {attention!r}: {nearest(attention, ATTENTION)}")
    if recipe.compute.launcher != "slurm":
        batch_layout(recipe.train, recipe.compute.nodes * ranks_per_node(recipe))
    check_nodes(recipe)
    _check_visible(chosen_variables(recipe).get("CUDA_VISIBLE_DEVICES"), recipe.compute.gpus_per_node)


def _check_visible(visible: str | None, ranks: int) -> None:
    """Ranks beyond the devices that they may see would end when they take theirs."""
    devices = [name for name in (visible or "").split(",") if name.strip()]
    if visible is not None and devices and len(devices) < ranks:
        raise RecipeError(
            f"compute.env.CUDA_VISIBLE_DEVICES: {visible!r} shows {len(devices)} devices, and compute.gpus_per_node is {ranks}"
        )


def check_optimizer(train: Train) -> None:
    """Raises RecipeError for a schedule of which a part would have no effect, and for rates that leave nothing to learn by."""
    if train.min_learning_rate and train.lr_scheduler_type.startswith("constant"):
        raise RecipeError(
            f"train.min_learning_rate: {train.min_learning_rate:g}: has no effect with lr_scheduler_type {train.lr_scheduler_type}: "
            "remove it, or use cosine or linear"
        )
    if train.min_learning_rate > train.learning_rate:
        raise RecipeError(
            f"train.min_learning_rate: {train.min_learning_rate:g} is above train.learning_rate {train.learning_rate:g}, to which it "
            "would rise at the end"
        )
    if train.warmup_steps and train.warmup_ratio:
        raise RecipeError(
            f"train.warmup_ratio: {train.warmup_ratio:g}: has no effect beside train.warmup_steps {train.warmup_steps}: set one of them to 0"
        )
    for key in ("adam_beta1", "adam_beta2", "lora_dropout", "residual_dropout"):
        if getattr(train, key) >= 1:
            raise RecipeError(f"train.{key}: {getattr(train, key):g}: below 1, or nothing is learnt")


def check_machine(recipe: Recipe) -> None:
    """Raises RecipeError for what the trainer would refuse on this machine. Other nodes may have what this one has not."""
    train, launcher = recipe.train, recipe.compute.launcher
    if launcher == "slurm":
        if shutil.which("sbatch") is None:
            raise RecipeError("compute.launcher: slurm: no sbatch on this machine: run it where jobs are submitted")
        return
    if launcher == "deepspeed" and recipe.compute.hostfile:
        return
    for key, asked, todo in (
        ("finetuning_type: qlora", train.finetuning_type == "qlora", "use lora on a CPU"),
        ("precision: fp16", train.precision == "fp16", "use bf16, fp32 or auto on a CPU"),
        (
            "attn_implementation: flash_attention_2",
            train.attn_implementation == "flash_attention_2",
            "use sdpa on a CPU",
        ),
    ):
        if asked and gpu_count() == 0:
            raise RecipeError(f"train.{key}: needs a GPU, and this machine has none: {todo}")


def _check_loggers(names: Sequence[str]) -> None:
    """Transformers would raise when the ranks have loaded the base."""
    for name in names:
        if name not in LOGGERS:
            raise RecipeError(f"train.report_to: {name!r}: {nearest(name, LOGGERS)}")
        packages = LOGGERS[name]
        if packages and not any(importlib.util.find_spec(package) for package in packages):
            raise RecipeError(
                f"train.report_to: {name!r} is not installed: pip install {packages[0].replace('_', '-')}"
            )


def check_base(recipe: Recipe, out: Path) -> None:
    """Raises RecipeError for a base that is not there, is gated, has no chat template where one is needed, has no room."""
    train = recipe.train
    check_folder(recipe)
    try:
        config = base_config(ModelRef(train.model_name_or_path, train.model_revision))
    except TrainingError as error:
        raise RecipeError(f"train.model_name_or_path: {error}") from error
    if config is None:
        return
    if (known := small_files(ModelRef(train.model_name_or_path, train.model_revision))) and (
        why := why_unusable(known[0], train.template, train.finetuning_type, on_hub=known[1])
    ):
        raise RecipeError(f"train.model_name_or_path: {train.model_name_or_path} {why}")
    if train.template == "chat" and not has_chat_template(train.model_name_or_path, train.model_revision):
        raise RecipeError(
            f"train.template: chat needs a base with a chat template, and {train.model_name_or_path} has none: use alpaca, "
            "wizardcoder, wizardmath or lima"
        )
    _check_room(recipe, config)
    _check_shape(recipe, str(config.parent), out)


def _check_room(recipe: Recipe, config: Path) -> None:
    """Answers share the base's positions with their prompts, learned or rotary."""
    known = json.loads(config.read_text(encoding="utf-8"))
    positions = known.get("max_position_embeddings") or known.get("n_positions") or 0
    for key in ("max_new_tokens", "baseline_max_new_tokens") if recipe.eval.suites and positions else ():
        if (asked := getattr(recipe.eval, key)) > positions:
            raise RecipeError(
                f"eval.{key}: {asked} leaves no room for a prompt in the {positions} positions of {recipe.train.model_name_or_path}"
            )


def check_folder(recipe: Recipe) -> None:
    """Raises RecipeError for a base in a folder here whose files cannot be trained."""
    name = recipe.train.model_name_or_path
    if (folder := user_path(name)).is_dir() and (
        why := why_unusable(folder, recipe.train.template, recipe.train.finetuning_type)
    ):
        raise RecipeError(f"train.model_name_or_path: {name} {why}")


def check_layers(recipe: Recipe) -> None:
    """Raises RecipeError for layers that the base does not have, where it is known without asking anybody."""
    train = recipe.train
    try:
        shape = shape_of(train.model_name_or_path)
    except (RecipeError, KeyError, TypeError):
        return
    if train.finetuning_type != "full":
        shape.check_whole(train.lora_modules_to_save)


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
        shape.check_whole(train.lora_modules_to_save)
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
