"""Recipes of other suites: axolotl, LLaMA-Factory and TRL YAML read into ours, key by key.

    report = convert("axolotl", yaml_text, domain="code")
    report.recipe   # a mapping that load_recipe accepts
    report.lines    # one line per key: mapped, changed or unsupported, with the reason

Invariant: every key of the input appears in exactly one line; nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from evoltune.errors import RecipeError, nearest

Fate = Literal["mapped", "changed", "unsupported"]
Rule = tuple[str, Callable[[Any], Any]] | str
"""Our key under `train:`, with or without a conversion; or a text that starts with `-`: why the key has no place here."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """What became of one key."""

    key: str
    value: Any
    fate: Fate
    note: str


@dataclass(frozen=True, kw_only=True)
class Conversion:
    recipe: dict[str, Any]
    lines: tuple[Line, ...]


def convert(source: str, text: str, domain: str, name: str = "") -> Conversion:
    """Reads the text of another suite's training YAML. Raises RecipeError when it is not a mapping."""
    if source not in TABLES:
        raise RecipeError(f"--from {source!r}: {nearest(source, TABLES)}")
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{name or source}: not YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(tree, Mapping):
        raise RecipeError(f"{name or source}: a {source} recipe is a mapping of keys")
    train: dict[str, Any] = {}
    lines = [_apply(source, str(key), value, train) for key, value in tree.items()]
    recipe: dict[str, Any] = {"domain": domain, "train": train}
    return Conversion(recipe=recipe, lines=tuple(lines))


def _apply(source: str, key: str, value: Any, train: dict[str, Any]) -> Line:
    rule = TABLES[source].get(key)
    if rule is None:
        return Line(key=key, value=value, fate="unsupported", note="not known; it has no effect here")
    if isinstance(rule, str) and rule.startswith("-"):
        return Line(key=key, value=value, fate="unsupported", note=rule[1:].strip())
    ours, change = (rule, _same) if isinstance(rule, str) else rule
    try:
        converted = change(value)
    except (KeyError, TypeError, ValueError, IndexError):
        return Line(key=key, value=value, fate="unsupported", note=f"train.{ours} cannot take this value")
    if converted is None:
        return Line(key=key, value=value, fate="mapped", note="our default already")
    train[ours] = converted
    same = ours == key and converted == value
    return Line(
        key=key, value=value, fate="mapped" if same else "changed", note=f"train.{ours}: {converted!r}"
    )


def _same(value: Any) -> Any:
    return value


def _number(value: Any) -> float:
    return float(value)


def _flag_to(word: str) -> Callable[[Any], str | None]:
    """True -> word; False or "auto" -> None (our default decides)."""
    return lambda value: word if value is True else None


def _dataset(value: Any) -> str:
    first = value[0] if isinstance(value, list) else value
    if isinstance(value, list) and len(value) != 1:
        raise ValueError("several datasets: use curate.mix")
    return str(first["path"]) if isinstance(first, Mapping) else str(first)


def _one_name(value: Any) -> str:
    if "," in str(value):
        raise ValueError("several datasets: use curate.mix")
    return str(value)


def _targets(value: Any) -> Any:
    names = value.split(",") if isinstance(value, str) else list(value)
    return "all-linear" if names in (["all"], ["all-linear"]) else [n.strip() for n in names]


def _deepspeed(value: Any) -> Any:
    """A path names its stage in every suite's shipped files (`ds_z3_offload_config.json`, `zero2.json`)."""
    if value is None or isinstance(value, Mapping):
        return dict(value) if value else None
    text = str(value).lower().replace("stage", "z").replace("zero", "z").replace("_", "")
    stage = next(n for n in "321" if f"z{n}" in text)
    return "zero3-offload" if "offload" in text and stage == "3" else f"zero{stage}"


def _scheduler(value: Any) -> str:
    allowed = ("linear", "cosine", "constant", "constant_with_warmup")
    if value not in allowed:
        raise ValueError(value)
    return str(value)


def _excess(value: Any) -> str:
    return {"drop": "drop", "truncate": "truncate", "raise": "raise"}[value]


def _reports(value: Any) -> Any:
    names = [value] if isinstance(value, str) else list(value or [])
    return [n for n in names if n != "none"]


def _quantised(value: Any) -> str | None:
    return "qlora" if value in (True, 4) else None


def _warmup(value: Any) -> int:
    if float(value) != int(value):
        raise ValueError(value)
    return int(value)


_HF: dict[str, Rule] = {
    **{
        key: key
        for key in (
            "per_device_train_batch_size",
            "gradient_accumulation_steps",
            "max_steps",
            "gradient_checkpointing",
            "logging_steps",
            "save_steps",
            "save_total_limit",
            "packing",
            "attn_implementation",
            "seed",
            "model_name_or_path",
            "model_revision",
            "lora_r",
            "lora_alpha",
            "max_length",
        )
    },
    **{
        key: (key, _number)
        for key in (
            "learning_rate",
            "num_train_epochs",
            "weight_decay",
            "adam_beta1",
            "adam_beta2",
            "adam_epsilon",
            "max_grad_norm",
            "neftune_noise_alpha",
            "lora_dropout",
            "warmup_ratio",
        )
    },
    "warmup_steps": ("warmup_steps", _warmup),
    "lr_scheduler_type": ("lr_scheduler_type", _scheduler),
    "bf16": ("precision", _flag_to("bf16")),
    "fp16": ("precision", _flag_to("fp16")),
    "report_to": ("report_to", _reports),
    "deepspeed": ("deepspeed", _deepspeed),
    "lora_target_modules": ("lora_target_modules", _targets),
    "group_by_length": "group_by_length",
    "resume_from_checkpoint": ("resume_from_checkpoint", bool),
    "output_dir": "- the run directory is `--out` on the command line",
    "overwrite_output_dir": "- a run directory is never overwritten; the same command resumes",
    "do_train": "- `evoltune train` always trains",
    "do_eval": "- scores come from eval.suites",
    "eval_strategy": "- scores come from eval.suites",
    "eval_steps": "- scores come from eval.suites",
    "per_device_eval_batch_size": "- use eval.batch_size",
    "save_strategy": "- use train.save_steps",
    "logging_strategy": "- use train.logging_steps",
    "push_to_hub": "- publishing is a command of its own, never a side effect of training",
    "hub_model_id": "- publishing is a command of its own",
    "gradient_checkpointing_kwargs": "- non-reentrant checkpointing is always used",
    "optim": "- AdamW is used (fused where the hardware has it)",
    "remove_unused_columns": "- columns are chosen by the data path",
    "ddp_timeout": "- the watchdog's limit is used",
    "log_level": "- has no effect on the result",
}

_TRL: dict[str, Rule] = {
    **_HF,
    "max_seq_length": "max_length",
    "dataset_name": ("dataset", _one_name),
    "datasets": ("dataset", _dataset),
    "dataset_mixer": "- use curate.mix",
    "dataset_train_split": "- the training split is used",
    "dataset_test_split": "- scores come from eval.suites",
    "use_peft": ("finetuning_type", _flag_to("lora")),
    "load_in_4bit": ("finetuning_type", _quantised),
    "torch_dtype": (
        "precision",
        lambda v: {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32", "auto": "auto"}[v],
    ),
    "dtype": (
        "precision",
        lambda v: {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32", "auto": "auto"}[v],
    ),
    "lora_modules_to_save": "lora_modules_to_save",
    "completion_only_loss": "- loss always falls on the completion only",
    "assistant_only_loss": "- loss always falls on the assistant's turns only",
    "dataset_num_proc": "- has no effect on the result",
    "dataset_kwargs": "- columns are detected and shown",
    "chat_template": "- use train.template",
    "chat_template_path": "- use train.template",
    "padding_free": "- use train.packing",
    "packing_strategy": "- packing is best-fit with isolated documents",
    "eos_token": "- the template proof decides the stop token",
    "trust_remote_code": "- code from the hub is never run",
}

_LLAMA_FACTORY: dict[str, Rule] = {
    **_HF,
    "stage": "- this is supervised fine-tuning; other stages have no place here",
    "finetuning_type": ("finetuning_type", lambda v: {"lora": "lora", "full": "full"}[v]),
    "lora_rank": "lora_r",
    "lora_target": ("lora_target_modules", _targets),
    "dataset": ("dataset", _one_name),
    "dataset_dir": "- train.dataset takes a path or a hub id directly",
    "template": ("template", lambda v: {"alpaca": "alpaca", "default": "chat"}.get(v, "chat")),
    "cutoff_len": "max_length",
    "max_samples": "- use curate.size",
    "val_size": "- use curate.validation",
    "flash_attn": (
        "attn_implementation",
        lambda v: {"fa2": "flash_attention_2", "sdpa": "sdpa", "auto": None, "disabled": "eager"}[v],
    ),
    "neat_packing": ("packing", lambda v: bool(v)),
    "quantization_bit": ("finetuning_type", _quantised),
    "train_on_prompt": "- prompt tokens never carry loss",
    "mask_history": "- loss falls on every assistant turn",
    "overwrite_cache": "- has no effect on the result",
    "preprocessing_num_workers": "- has no effect on the result",
    "dataloader_num_workers": "- has no effect on the result",
    "plot_loss": "- the report page plots the loss",
    "trust_remote_code": "- code from the hub is never run",
    "use_fast_tokenizer": "- fast tokenizers are always used",
}

_AXOLOTL: dict[str, Rule] = {
    **_HF,
    "base_model": "model_name_or_path",
    "revision_of_model": "model_revision",
    "model_type": "- read from the model's configuration",
    "tokenizer_type": "- read from the model's configuration",
    "datasets": ("dataset", _dataset),
    "dataset_prepared_path": "- has no effect on the result",
    "val_set_size": "- use curate.validation",
    "sequence_len": "max_length",
    "sample_packing": "packing",
    "eval_sample_packing": "- has no effect here",
    "pad_to_sequence_len": "- batches are padded to their longest row",
    "excess_length_strategy": ("excess_length", _excess),
    "adapter": ("finetuning_type", lambda v: {"lora": "lora", "qlora": "qlora"}[v]),
    "load_in_4bit": ("finetuning_type", _quantised),
    "load_in_8bit": "- 8-bit base weights are not offered; use qlora",
    "lora_target_linear": ("lora_target_modules", _flag_to("all-linear")),
    "lora_modules_to_save": "lora_modules_to_save",
    "micro_batch_size": "per_device_train_batch_size",
    "num_epochs": ("num_train_epochs", _number),
    "optimizer": "- AdamW is used (fused where the hardware has it)",
    "lr_scheduler": ("lr_scheduler_type", _scheduler),
    "train_on_inputs": "- prompt tokens never carry loss",
    "bf16": ("precision", lambda v: "bf16" if v is True else None),
    "tf32": "- decided by the hardware",
    "flash_attention": ("attn_implementation", _flag_to("flash_attention_2")),
    "sdp_attention": ("attn_implementation", _flag_to("sdpa")),
    "xformers_attention": "- not offered; sdpa or flash_attention_2",
    "chat_template": "- use train.template",
    "special_tokens": "- tokens are added by the template; the template proof checks them",
    "evals_per_epoch": "- scores come from eval.suites",
    "saves_per_epoch": "- use train.save_steps",
    "auto_resume_from_checkpoints": ("resume_from_checkpoint", bool),
    "wandb_project": "- use train.report_to: [wandb] and WANDB_PROJECT",
    "wandb_entity": "- use WANDB_ENTITY",
    "wandb_name": "- use WANDB_NAME",
    "wandb_watch": "- has no effect on the result",
    "wandb_log_model": "- publishing is a command of its own",
    "fsdp": "- use train.deepspeed",
    "fsdp_config": "- use train.deepspeed",
    "strict": "- recipes are always strict",
}

TABLES: dict[str, dict[str, Rule]] = {"axolotl": _AXOLOTL, "llamafactory": _LLAMA_FACTORY, "trl": _TRL}
