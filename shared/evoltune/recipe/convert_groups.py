"""Keys of other suites that mean something only together: the method, the adapter's targets, the schedule.

A group is a function from the keys that are set to (values under `train:`, lines about its keys). Its keys may stand in any
order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evoltune.errors import RecipeError
from evoltune.recipe.convert_values import modules

Fate = Literal["mapped", "changed", "unsupported", "lost", "default"]
Given = Mapping[str, Any]
Values = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Line:
    """What became of one key. `lost`: without it the result is another training; `default`: the suite's, as a key of ours."""

    key: str
    value: Any
    fate: Fate
    note: str


Group = Callable[[Given], tuple[Values, list[Line]]]


# ---- method


def _method(kind: str, given: Given, keys: Sequence[str]) -> tuple[Values, list[Line]]:
    note = f"train.finetuning_type: {kind!r}"
    found = [Line(key=key, value=given[key], fate="changed", note=note) for key in keys if key in given]
    return {"finetuning_type": kind}, found or [Line(key="finetuning_type", value=None, fate="default", note=note)]


def axolotl_method(given: Given) -> tuple[Values, list[Line]]:
    adapter = given.get("adapter") or ""
    four_bit = bool(given.get("load_in_4bit")) or adapter == "qlora"
    kind = ("qlora" if four_bit else "lora") if adapter or four_bit else "full"
    values, lines = _method(kind, given, ("adapter", "load_in_4bit"))
    if (other := given.get("base_model_config")) and other != given.get("base_model"):
        note = "the base's own configuration is used"
        lines.append(Line(key="base_model_config", value=other, fate="lost", note=note))
    return values, lines


def llamafactory_method(given: Given) -> tuple[Values, list[Line]]:
    """LoRA is the default there, and 4-bit weights make it QLoRA. Raises RecipeError for a recipe that trains nothing."""
    others = [key for key in ("do_predict", "do_eval", "export_dir") if given.get(key)]
    if not given.get("do_train", not others):
        raise RecipeError(f"cannot become a recipe here: {', '.join(others) or 'do_train'}: this trains nothing")
    kind, bits = given.get("finetuning_type") or "lora", given.get("quantization_bit")
    values, lines = _method(
        "qlora" if bits == 4 and kind == "lora" else kind, given, ("finetuning_type", "quantization_bit")
    )
    if bits and (bits != 4 or kind != "lora"):
        note = f"{bits}-bit base weights are not offered for {kind}: they stay in 16 bits; finetuning_type: qlora has 4"
        lines = [
            *(line for line in lines if line.key != "quantization_bit"),
            Line(key="quantization_bit", value=bits, fate="lost", note=note),
        ]
    alpha = given.get("lora_alpha") or 2 * int(as_number(given.get("lora_rank")) or 8)
    if values["finetuning_type"] != "full" and not given.get("lora_alpha"):
        values["lora_alpha"] = alpha
        lines.append(
            Line(key="lora_alpha", value=None, fate="default", note=f"train.lora_alpha: {alpha}, twice the rank there")
        )
    return values, lines


def trl_method(given: Given) -> tuple[Values, list[Line]]:
    four_bit = bool(given.get("load_in_4bit"))
    kind = "qlora" if four_bit else "lora" if given.get("use_peft") else "full"
    return _method(kind, given, ("use_peft", "load_in_4bit"))


def targets(given: Given) -> tuple[Values, list[Line]]:
    """axolotl's `lora_target_linear` adds all linear layers to those that are named."""
    keys = [key for key in ("lora_target_modules", "lora_target_linear") if given.get(key)]
    chosen = "all-linear" if "lora_target_linear" in keys else modules(given[keys[0]]) if keys else None
    note = f"train.lora_target_modules: {chosen!r}" if chosen else "our default already"
    shown = [key for key in ("lora_target_modules", "lora_target_linear") if key in given]
    lines = [Line(key=key, value=given[key], fate="changed" if chosen else "mapped", note=note) for key in shown]
    return ({"lora_target_modules": chosen} if chosen else {}), lines


# ---- learning-rate schedule

_SCHEDULES = ("linear", "cosine", "constant", "constant_with_warmup")


def schedule(given: Given) -> tuple[Values, list[Line]]:
    name_key = "lr_scheduler" if "lr_scheduler" in given else "lr_scheduler_type"
    name, options = given.get(name_key), given.get("lr_scheduler_kwargs") or {}
    floor = _floor(given, options)
    ours = "cosine" if name in ("cosine_with_min_lr", "cosine_warmup_with_min_lr") else name
    if floor is not None and name is None:
        ours = "cosine"
    values: Values = {"lr_scheduler_type": ours} if ours in _SCHEDULES else {}
    lines = []
    if name is not None:
        known = ours in _SCHEDULES
        note = (
            f"train.lr_scheduler_type: {ours!r}"
            if known
            else f"no such schedule here: allowed: {', '.join(_SCHEDULES)}"
        )
        fate: Fate = "lost" if not known else "mapped" if (ours, name_key) == (name, "lr_scheduler_type") else "changed"
        lines.append(Line(key=name_key, value=name, fate=fate, note=note))
    used = floor is not None and ours == "cosine"
    if used:
        values["min_learning_rate"] = floor
    for key in ("lr_scheduler_kwargs", "cosine_min_lr_ratio"):
        if key in given:
            rest = [k for k in options if k not in ("min_lr", "min_lr_rate")] if key == "lr_scheduler_kwargs" else []
            note = f"train.min_learning_rate: {floor!r}" if used else "has no counterpart for this schedule"
            note += f"; not carried over: {', '.join(rest)}" if rest and used else ""
            off = not given[key]
            fate = "mapped" if off else "changed" if used and not rest else "lost"
            lines.append(Line(key=key, value=given[key], fate=fate, note="our default already" if off else note))
    return values, lines


_WARMUP = ("warmup_steps", "warmup_ratio")


def warmup(given: Given) -> tuple[Values, list[Line]]:
    """`warmup_steps` below 1 is a share, as in Transformers 5; a constant learning rate has no warm-up there, and here it would."""
    values: Values = {}
    lines = []
    is_constant = given.get("lr_scheduler", given.get("lr_scheduler_type")) == "constant"
    for key in (key for key in _WARMUP if key in given):
        number = as_number(given[key])
        ours = "warmup_ratio" if number is not None and 0 < number < 1 else key
        if is_constant:
            note = "a constant learning rate has no warm-up there"
            lines.append(Line(key=key, value=given[key], fate="unsupported", note=note))
        elif number is None or (ours == "warmup_steps" and not number.is_integer()):
            lines.append(Line(key=key, value=given[key], fate="lost", note=f"train.{ours}: cannot take this value"))
        elif ours == "warmup_ratio" and any(values.values()):  # the number of steps is taken there, too
            lines.append(Line(key=key, value=given[key], fate="unsupported", note="warmup_steps is taken"))
        else:
            values[ours] = int(number) if ours == "warmup_steps" else number
            fate: Fate = "mapped" if ours == key else "changed"
            lines.append(Line(key=key, value=given[key], fate=fate, note=f"train.{ours}: {values[ours]!r}"))
    return values, lines


def full_precision(given: Given) -> tuple[Values, list[Line]]:
    """Without mixed precision, which is switched off, weights and activations have 32 bits there."""
    others = ("fp16", "float16", "bfloat16", "torch_dtype", "dtype")
    if given.get("bf16") is not False or any(given.get(key) for key in others):
        return {}, []
    return {"precision": "fp32"}, [Line(key="bf16", value=False, fate="changed", note="train.precision: 'fp32'")]


def _floor(given: Given, options: Given) -> float | None:
    """The learning rate at the end, if one is set."""
    rate = as_number(given.get("learning_rate"))
    if options.get("min_lr") is not None:
        return as_number(options["min_lr"])
    share = as_number(options.get("min_lr_rate", given.get("cosine_min_lr_ratio")))
    return float(f"{share * rate:.12g}") if share and rate else None


def as_number(value: Any) -> float | None:
    """None for what is no number: the line of its key says so."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
