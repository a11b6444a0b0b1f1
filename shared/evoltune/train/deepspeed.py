"""Generates DeepSpeed's JSON configuration from the recipe. Imports neither torch nor deepspeed.

    deepspeed_config(load_recipe("code/wizardcoder-starcoder-15b"), precision="bf16")

A mapping under `train.deepspeed` is the user's own JSON. Its keys override ours, except those that the recipe sets too: a
conflict there is an error. Invariant: the batch sizes, rates and precisions of the JSON are the recipe's.
"""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evoltune.errors import RecipeError, TrainingError
from evoltune.recipe import Recipe, Train
from evoltune.rows.files import user_cache_folder
from evoltune.train.schedule import batch_layout

_GATHER = "stage3_gather_16bit_weights_on_model_save"
STALE_S = 900.0
"""A compile lock older than this has no running owner: no extension of DeepSpeed takes that long to compile."""


def deepspeed_config(recipe: Recipe, precision: str | None = None, world: int = 0) -> dict[str, Any] | None:
    """The JSON for this recipe, or None without DeepSpeed. Raises RecipeError where the user's JSON contradicts it.

    Args:
        precision: bf16, fp16 or fp32, as the hardware has it; by default the recipe's (auto counts as bf16).
        world: The number of ranks, if known: for `global_batch_size` and the check of `train_batch_size`.
    """
    train = recipe.train
    if train.deepspeed == "none":
        return None
    ours, theirs = _shared(train, precision, world), train.deepspeed
    if isinstance(theirs, str):
        return {**ours, "zero_optimization": _zero(theirs)}
    _refuse_conflicts(train, ours, theirs, world)
    merged = _merged({**ours, "zero_optimization": _zero(f"zero{_stage(theirs)}")}, theirs)
    if _stage(theirs) == 3 and not merged["zero_optimization"][_GATHER]:
        raise RecipeError(
            f"train.deepspeed.zero_optimization.{_GATHER}: false: no rank would hold the weights at the end, so nothing could "
            "be published: remove it"
        )
    return merged


def zero_name(train: Train) -> str:
    """The recipe's ZeRO stage by its name in recipes, also for a user's own JSON: `none`, `zero1` ... `zero3-offload`."""
    if isinstance(train.deepspeed, str):
        return train.deepspeed
    stage = _stage(train.deepspeed)
    offload = stage == 3 and "offload_param" in train.deepspeed["zero_optimization"]
    return f"zero{stage}{'-offload' if offload else ''}" if stage else "none"


def _stage(config: Mapping[str, Any]) -> int:
    stage = config.get("zero_optimization", {}).get("stage", 0)
    if stage not in (0, 1, 2, 3):
        raise RecipeError(f"train.deepspeed.zero_optimization.stage: {stage!r} must be 0, 1, 2 or 3")
    return int(stage)


def _shared(train: Train, precision: str | None, world: int) -> dict[str, Any]:
    kind = precision or ("bf16" if train.precision == "auto" else train.precision)
    accumulation = batch_layout(train, world).accumulation if world else train.gradient_accumulation_steps
    return {
        "train_micro_batch_size_per_gpu": train.per_device_train_batch_size,
        "gradient_accumulation_steps": accumulation,
        "gradient_clipping": train.max_grad_norm,
        "bf16": {"enabled": kind == "bf16"},
        # Initial scale 2^16: from WizardLM's 2^32, about 16 steps are skipped until the scale fits.
        "fp16": {"enabled": kind == "fp16", "initial_scale_power": 16, "loss_scale_window": 1000, "hysteresis": 2},
        # Offloaded states use torch's fused AdamW too: DeepSpeed's own needs a compiler on every node.
        "zero_force_ds_cpu_optimizer": False,
        "zero_allow_untested_optimizer": True,
        "wall_clock_breakdown": False,
        "steps_per_print": 1_000_000,
    }


def _zero(name: str) -> dict[str, Any]:
    stage = int(name[4])
    zero: dict[str, Any] = {"stage": stage, "contiguous_gradients": True, "overlap_comm": stage == 3}
    if stage in (1, 2):
        zero |= {"reduce_bucket_size": 200_000_000, "allgather_bucket_size": 200_000_000}
    if stage == 3:  # Transformers replaces "auto" by a value that depends on the hidden size
        keys = ("reduce_bucket_size", "stage3_prefetch_bucket_size", "stage3_param_persistence_threshold")
        zero |= {**dict.fromkeys(keys, "auto"), _GATHER: True}
    if name.endswith("offload"):
        zero |= {part: {"device": "cpu", "pin_memory": True} for part in ("offload_optimizer", "offload_param")}
    return zero


# ---- a user's own JSON


def _refuse_conflicts(train: Train, ours: Mapping[str, Any], theirs: Mapping[str, Any], world: int) -> None:
    micro, accumulation = ours["train_micro_batch_size_per_gpu"], ours["gradient_accumulation_steps"]
    expected: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": accumulation,
        **({"train_batch_size": world * micro * accumulation} if world else {}),
        "gradient_clipping": ours["gradient_clipping"],
        "bf16.enabled": ours["bf16"]["enabled"],
        "fp16.enabled": ours["fp16"]["enabled"],
        "optimizer.params.lr": train.learning_rate,
        "optimizer.params.betas": [train.adam_beta1, train.adam_beta2],
        "optimizer.params.eps": train.adam_epsilon,
        "optimizer.params.weight_decay": train.weight_decay,
        "scheduler.params.warmup_max_lr": train.learning_rate,
        "scheduler.params.warmup_num_steps": train.warmup_steps,
    }
    given = dict(_leaves(theirs))
    conflicts = [
        f"{key}: {given[key]!r}, the recipe says {value!r}"
        for key, value in expected.items()
        if key in given and given[key] != "auto" and given[key] != value
    ]
    if conflicts:
        raise RecipeError(
            f"train.deepspeed contradicts the recipe: {'; '.join(conflicts)}: remove these keys from the JSON"
        )
    for key in ("optimizer", "scheduler"):
        if key in theirs:
            raise RecipeError(
                f"train.deepspeed.{key}: the recipe's own keys (learning_rate, adam_beta1, lr_scheduler_type ...) set this: remove it"
            )


def _leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(below)
    for key, value in above.items():
        if value == "auto" and key in below and key != "zero_optimization":
            continue
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = _merged(out[key], value) if both else value
    return out


# ---- traps of compiled extensions


def refuse_stale_locks(now: float | None = None) -> None:
    """Raises TrainingError for the lock of a killed compilation: every later run would wait for it, silently and forever."""
    extensions = Path(os.environ.get("TORCH_EXTENSIONS_DIR") or user_cache_folder() / "torch_extensions")
    for lock in extensions.glob("**/lock"):
        age = (time.time() if now is None else now) - lock.stat().st_mtime
        if age > STALE_S:
            raise TrainingError(
                f"stale compile lock {lock} ({age / 60:.0f} min old): a compilation was killed, and each run would wait for it "
                f"forever: remove it with `rm {lock}`"
            )


def avoid_compilation() -> None:
    """Call it before creating TrainingArguments: on a CPU, DeepSpeed would spend minutes compiling `deepspeed_shm_comm`."""
    import deepspeed

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
