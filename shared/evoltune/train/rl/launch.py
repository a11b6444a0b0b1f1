"""The driver's side of reinforcement learning on one machine: check, job, result. Imports no torch.

train_policy(recipe, prompts=Path("prompts.jsonl"), start=Path("runs/x/checkpoint"), out=Path("runs/x/rl"))
"""

import importlib.metadata
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from evoltune.errors import RecipeError, require
from evoltune.models.locate import ModelRef, download_model
from evoltune.models.proof import read_template
from evoltune.recipe import RL, Recipe
from evoltune.rows.files import read_journal
from evoltune.run.paths import CERTIFICATE, MANIFEST, METRICS
from evoltune.train.job import make_job
from evoltune.train.launch import finish_job


def check_rl(recipe: Recipe) -> RL:
    """The `rl:` section. Raises RecipeError for what cannot work, MissingExtraError without TRL."""
    rl = check_settings(recipe)
    require("rl:", "rl", "trl")
    return rl


def check_settings(recipe: Recipe) -> RL:
    """As `check_rl`, on a machine that need not have TRL."""
    rl = recipe.rl
    if rl is None:
        raise RecipeError("rl: not in the recipe: add it, e.g. `rl: {algorithm: grpo}`")
    if rl.scale_rewards == "group" and rl.algorithm == "grpo" and recipe.reward and recipe.reward.instructions:
        raise RecipeError(
            "rl.scale_rewards: 'group' divides each prompt's rewards by their deviation, which cancels the instruction reward "
            "exactly: use none or batch, or remove reward.instructions"
        )
    if rl.algorithm == "dpo":
        _check_dpo(recipe, rl)
    _refuse_idle_keys(rl)
    if recipe.train.deepspeed not in ("none", "zero1", "zero2"):
        raise RecipeError(
            f"train.deepspeed: {recipe.train.deepspeed}: RL on one machine takes none, zero1 or zero2; for more use `evoltune rl "
            "RECIPE --trainer verl`"
        )
    if recipe.train.finetuning_type == "qlora":
        raise RecipeError("train.finetuning_type: qlora: RL trains a full or a lora checkpoint")
    accumulation_of(recipe)
    return rl


def verifier_options(recipe: Recipe) -> dict[str, Any]:
    """How `verify:` has answers judged, as options of a reward."""
    verify = recipe.verify
    return {
        "workers": verify.workers or None, "check_s": verify.check_s, "program_s": verify.program_s,
        "memory_mb": verify.memory_mb, "require": verify.sandbox.require, "policy": dict(verify.policy) or None,
    }  # fmt: skip


def accumulation_of(recipe: Recipe) -> tuple[int, int]:
    """(devices, batches that each of them adds up in a step). Raises RecipeError where a step cannot be divided among them."""
    rl, train = recipe.rl, recipe.train
    assert rl is not None
    by_pairs = rl.algorithm == "dpo"
    rows = rl.prompts_per_step * (1 if by_pairs else rl.num_generations)
    world = max(1, recipe.compute.gpus_per_node) * recipe.compute.nodes if train.deepspeed != "none" else 1
    at_once = rl.per_device_train_batch_size * world
    if rows % at_once:
        what = "pairs" if by_pairs else f"x num_generations {rl.num_generations} = {rows} answers"
        raise RecipeError(
            f"rl.prompts_per_step: {rl.prompts_per_step} {what} are no multiple of rl.per_device_train_batch_size "
            f"{rl.per_device_train_batch_size} x {world} devices"
        )
    return world, rows // at_once


def _check_dpo(recipe: Recipe, rl: RL) -> None:
    """Raises RecipeError for keys that preference training cannot heed."""
    if recipe.reward:
        raise RecipeError(
            "rl.algorithm: dpo: its pairs are the verifier's, so the models of `reward:` would have no effect: remove `reward:`, or "
            "use grpo or rloo"
        )
    if not rl.strength:
        raise RecipeError("rl.beta: 0: with rl.algorithm dpo no pair would count: above 0")


def _refuse_idle_keys(rl: RL) -> None:
    """Raises RecipeError for a key that the trainer would not read: TRL's RLOO scales no rewards, a pair is DPO's, and a constant
    learning rate has no warm-up."""
    algorithm = f"rl.algorithm {rl.algorithm}"
    for key, is_idle, beside, instead in (
        ("scale_rewards", rl.scale_rewards != "none" and rl.algorithm != "grpo", algorithm, "it is GRPO's"),
        ("pairs_per_prompt", rl.pairs_per_prompt != 1 and rl.algorithm != "dpo", algorithm, "it is DPO's"),
        ("band", rl.band is not None and rl.algorithm == "dpo", algorithm, "a prompt whose answers all pass or all fail has no pair"),
        ("sft_weight", rl.sft_weight and rl.algorithm != "dpo", algorithm, "it is DPO's"),
        (
            "warmup_steps", rl.warmup_steps and rl.lr_scheduler_type == "constant", "rl.lr_scheduler_type constant",
            "use constant_with_warmup",
        ),
    ):  # fmt: skip
        if is_idle:
            raise RecipeError(f"rl.{key}: {getattr(rl, key)}: has no effect with {beside}: remove it ({instead})")


def train_policy(
    recipe: Recipe, *, prompts: Path, start: Path, out: Path, rewards: Mapping[str, Path] | None = None,
    pairs: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Trains the checkpoint `start` on prompts in TRL's form, under the recipe's `rl:`; returns the manifest.

    Args:
        rewards: folders of finished reward models, under `steps` and `instructions`.
        pairs: of `evoltune.train.rl.pairs`, for `algorithm: dpo`.

    Raises TrainingError when a guard stopped the run; else as `evoltune.train.launch.train` does.
    """
    rl = check_rl(recipe)
    template = read_template(start)
    if template is None or not (start / MANIFEST).is_file():
        raise RecipeError(f"{start}: no finished checkpoint of Evoltune: run `evoltune train` first")
    train = msgspec.structs.replace(
        recipe.train, template=template.template, system_prompt=template.system_prompt, checkpoint_select="last"
    )
    recipe = msgspec.structs.replace(recipe, train=train)
    base = download_model(ModelRef(train.model_name_or_path, train.model_revision))
    certificate = start / CERTIFICATE
    folders = {f"reward_{kind}": str(folder.resolve()) for kind, folder in (rewards or {}).items()}
    job = make_job(
        recipe, str(prompts.resolve()), str(base), out, certificate if certificate.is_file() else None, kind="rl",
        start=str(start.resolve()), pairs=str(pairs.resolve()) if pairs else "", **folders,
    )  # fmt: skip
    manifest = finish_job(job)
    print(f"  rl: {rl.algorithm} (TRL {importlib.metadata.version('trl')}): {summary(out / METRICS)}", file=sys.stderr)
    return manifest


def summary(metrics: Path) -> str:
    """First and last reward, and held-out accuracy before and after, as one line."""
    lines = list(read_journal(metrics))
    rewards = [line["reward"] for line in lines if line.get("reward") is not None]
    accuracy = [line["accuracy"] for line in lines if line.get("accuracy") is not None]
    parts = [f"reward {rewards[0]:.3f} to {rewards[-1]:.3f}"] if rewards else []
    parts += [f"held-out prompts solved {accuracy[0]:.1%} to {accuracy[-1]:.1%}"] if accuracy else []
    return ", ".join(parts) or "no step was logged"
