"""Keys of other suites that mean something only together: the method, the adapter's targets, the schedule, the dataset and
its prompt format.

A group is a function from the keys that are set to (values under `train:`, lines about its keys). Its keys may stand in any
order, and a key of a dataset is named by its path: `datasets[0].split`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    alpha = given.get("lora_alpha") or 2 * int(_number(given.get("lora_rank")) or 8)
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
        number = _number(given[key])
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
    rate = _number(given.get("learning_rate"))
    if options.get("min_lr") is not None:
        return _number(options["min_lr"])
    share = _number(options.get("min_lr_rate", given.get("cosine_min_lr_ratio")))
    return float(f"{share * rate:.12g}") if share and rate else None


def _number(value: Any) -> float | None:
    """None for what is no number: the line of its key says so."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


# ---- dataset and prompt format

_MIXTURES = ("datasets", "dataset_mixture", "dataset_mixer")
_SPLIT = re.compile(r"(?P<name>[\w.+-]+)(?P<cut>\[.*\])?")
_LOCAL = ("json", "csv", "parquet", "text", "arrow")
_OUR_CONVERSATIONS = ("messages", "conversations", "conversation")
_OUR_MESSAGE_KEYS = {"role": ("role", "from"), "content": ("content", "value", "text")}
_SAME_AS_OURS: Mapping[str, tuple[Any, ...]] = {
    "train_on_eos": ("turn",), "roles_to_train": (["assistant"], ["gpt"], ["gpt", "assistant"], ["assistant", "gpt"]),
    "message_field_training": ("weight", "train", "training", "trainable", "loss"), "drop_system_message": (False,),
    "ds_type": _LOCAL, "trust_remote_code": (False,), "chat_template": ("tokenizer_default",), "preprocess_shards": (),
}  # fmt: skip
"""Keys of an axolotl dataset -> values that do what is done here anyway."""


def _address(path: str, config: str = "", split: str = "", revision: str = "") -> tuple[str, str]:
    """(`OWNER/NAME[@REVISION][:CONFIG[:SPLIT]]`, the cut of a split such as `train[:5%]` that has no place in it)."""
    found = _SPLIT.fullmatch(split or "train")
    name, cut = (found["name"], found["cut"] or "") if found else ("train", split)
    tail = f":{config}" if config or name != "train" else ""
    tail += f":{name}" if config or name != "train" else ""
    return f"{path}{f'@{revision}' if revision else ''}{tail}", cut


def axolotl_dataset(given: Given) -> tuple[Values, list[Line]]:
    entries = given.get("datasets")
    if entries is None:
        return _axolotl_template(given, {})
    listed = entries if isinstance(entries, list) else [entries]
    if len(listed) != 1 or not isinstance(listed[0], Mapping | str):
        note = "several datasets: train.dataset takes one file or one folder of files; or give each a place under curate.mix"
        return {}, [Line(key="datasets", value=entries, fate="lost", note=note), *_axolotl_template(given, {})[1]]
    entry: Given = listed[0] if isinstance(listed[0], Mapping) else {"path": listed[0]}
    path = str(entry.get("path", ""))
    files = entry.get("data_files")
    if path in _LOCAL and files:
        path = str(files[0] if isinstance(files, list) else files)
    config, split, revision = (str(entry.get(key) or "") for key in ("name", "split", "revision"))
    dataset, cut = _address(path, config, split, revision)
    lines = [Line(key="datasets", value=entries, fate="changed", note=f"train.dataset: {dataset!r}")]
    if cut:
        note = f"the cut {cut} is not carried over: all rows of {split.partition('[')[0]!r} are trained; cut the file first"
        lines.append(Line(key="datasets[0].split", value=entry["split"], fate="lost", note=note))
    lines += _dataset_keys(entry, several_files=isinstance(files, list) and len(files) > 1)
    values, more = _axolotl_template(given, entry)
    return {"dataset": dataset, **values}, [*lines, *more]


def _dataset_keys(entry: Given, *, several_files: bool) -> Iterator[Line]:
    """Lines about the keys of an axolotl dataset that are not part of its address."""
    for key, value in entry.items():
        done = key in ("path", "name", "split", "revision", "type", "conversation") or value is None
        if done or (key == "data_files" and not several_files):
            continue
        name = f"datasets[0].{key}"
        if key == "field_messages":
            same = value in _OUR_CONVERSATIONS
        elif key == "message_property_mappings":
            same = all(value.get(what, what) in ours for what, ours in _OUR_MESSAGE_KEYS.items())
        elif key in ("message_field_role", "message_field_content"):
            same = value in _OUR_MESSAGE_KEYS[key.rpartition("_")[2]]
        elif key == "roles":
            same = all(str(target) in ("user", "assistant", "system", "tool") for target in value)
        else:
            same = value in _SAME_AS_OURS.get(key, ())
        if same:
            yield Line(key=name, value=value, fate="mapped", note="recognised, or done here anyway")
        else:
            note = "not carried over: columns and roles are found by their names, and all turns are read"
            yield Line(key=name, value=value, fate="lost", note=note)


def _axolotl_template(given: Given, entry: Given) -> tuple[Values, list[Line]]:
    """The prompt format is the dataset's type; a chat template counts only for conversations."""
    kind, chat = entry.get("type"), entry.get("chat_template") or given.get("chat_template")
    shown = kind if isinstance(kind, str) else ""
    lines = []
    name = "datasets[0].type"
    own_format = ("completion", "pretrain", "input_output")
    if isinstance(kind, Mapping) or shown.partition(".")[0] in own_format:
        note = "this prompt format has no counterpart: bring rows as instruction and output, and choose train.template"
        lines.append(Line(key=name, value=kind, fate="lost", note=note))
        template = "alpaca"
    elif shown.startswith(("chat_template", "sharegpt")) or (chat and not shown):
        template = "chat"
        if shown:
            lines.append(Line(key=name, value=kind, fate="changed", note="train.template: 'chat'"))
    else:
        template = "alpaca"
        exact = shown in ("", "alpaca")
        note = "train.template: 'alpaca'" + ("" if exact else "; this type's own wording is not carried over")
        if shown:
            lines.append(Line(key=name, value=kind, fate="changed" if exact else "lost", note=note))
    lines += _chat_template_lines(given, template)
    return {"template": template}, lines


def _chat_template_lines(given: Given, template: str) -> Iterator[Line]:
    for key in ("chat_template", "chat_template_jinja", "chat_template_path"):
        if key in given and template != "chat":
            yield Line(key=key, value=given[key], fate="unsupported", note="has no effect on rows of this type")
        elif key in given:
            fate, note = _own_template(given, str(given[key]) if key == "chat_template" else "{")
            yield Line(key=key, value=given[key], fate=fate, note=note)


_FAMILY = re.compile(r"(?P<name>[a-z]+)_?v?(?P<version>\d)?")
_OTHER_NAMES = {
    "chatml": "qwen|hermes|dolphin|smollm|/yi-|chatml", "cohere": "command|c4ai|aya", "command": "command|c4ai",
    "mistral": "mi[nsx]+tral|codestral", "deepseekr": "deepseek", "deepseek": "deepseek", "intern": "internlm",
}  # fmt: skip
"""Family of a chat template -> bases that have it as their own, where the family's name does not say it."""


def _own_template(given: Given, name: str) -> tuple[Fate, str]:
    """Whether the base's own chat template, which `chat` takes, is the one that is named: by the family in the base's name."""
    own = "train.template: 'chat', the base's own chat template: check that it is this one"
    base = str(given.get("base_model") or given.get("model_name_or_path") or "")
    if name.startswith("tokenizer_default") or (base.startswith((".", "/", "~")) and "{" not in name):
        return "changed", own
    found = _FAMILY.match(name)
    if found and found["name"] not in ("jinja", "default"):
        pattern = _OTHER_NAMES.get(found["name"]) or re.escape(found["name"]) + (
            rf"[^a-z]{{0,2}}{found['version']}" if found["version"] else ""
        )
        if re.search(pattern, base.lower()):
            return "changed", own
    return (
        "lost",
        "train.template: 'chat' takes the base's own chat template, and this is another one as far as its name tells",
    )


def llamafactory_dataset(given: Given) -> tuple[Values, list[Line]]:
    values, lines = _one_dataset(given, "dataset")
    if values:
        where = given.get("dataset_dir", "data")
        note = (
            f"{lines[0].note} (a name in {where}/dataset_info.json: give the file or hub id that it stands for; columns, tags, "
            "split and num_samples that stand there are not carried over)"
        )
        lines[0] = Line(key="dataset", value=given["dataset"], fate="changed", note=note)
    template = given.get("template")
    if template == "alpaca":
        lines.append(Line(key="template", value=template, fate="mapped", note="train.template: 'alpaca'"))
        return values | {"template": "alpaca"}, lines
    fate: Fate
    fate, note = _own_template(given, str(template or "tokenizer_default"))
    fate = fate if template else "default"
    if template in ("default", "vanilla", "empty", "fewshot"):
        fate, note = "lost", "this prompt format has no counterpart; train.template: 'chat' is used"
    lines.append(Line(key="template", value=template, fate=fate, note=note))
    return values | {"template": "chat"}, lines


def _one_dataset(given: Given, key: str) -> tuple[Values, list[Line]]:
    if key not in given:
        return {}, []
    value = given[key]
    listed = value if isinstance(value, list) else str(value).split(",")
    if len(listed) != 1 or not isinstance(listed[0], str):
        note = "several datasets: train.dataset takes one file or one folder of files; or give each a place under curate.mix"
        return {}, [Line(key=key, value=value, fate="lost", note=note)]
    name = listed[0].strip()
    return {"dataset": name}, [Line(key=key, value=value, fate="changed", note=f"train.dataset: {name!r}")]


def trl_dataset(given: Given) -> tuple[Values, list[Line]]:
    """`dataset_name` with its configuration and split, or a mixture of one; messages are rendered by the chat template."""
    if any(key in given for key in _MIXTURES):
        values, lines = _trl_mixture(given)
    else:
        values, lines = _one_dataset(given, "dataset_name")
    config, split = str(given.get("dataset_config") or ""), str(given.get("dataset_train_split") or "")
    if "dataset_name" in given and values:
        address, cut = _address(values["dataset"], config, split)
        values["dataset"] = address
        lines = [
            Line(key="dataset_name", value=given["dataset_name"], fate="changed", note=f"train.dataset: {address!r}")
        ]
        for key in ("dataset_config", "dataset_train_split"):
            if key in given:
                lost = f"the cut {cut} is not carried over" if cut and key == "dataset_train_split" else ""
                note, fate = (lost, "lost") if lost else (f"part of train.dataset: {address!r}", "changed")
                lines.append(Line(key=key, value=given[key], fate=fate, note=note))  # type: ignore[arg-type]
    lines += _chat_template_lines(given, "chat")
    only_answers = "assistant_only_loss" in given
    if only_answers:
        fate2: Fate = "mapped" if given["assistant_only_loss"] else "lost"
        lines.append(
            Line(
                key="assistant_only_loss",
                value=given["assistant_only_loss"],
                fate=fate2,
                note="loss falls on answers only",
            )
        )
    else:
        note = "loss falls on answers only; there on whole conversations, where rows are not prompt and completion"
        lines.append(Line(key="assistant_only_loss", value=None, fate="default", note=note))
    note = "train.template: 'chat', as messages are rendered there"
    lines.append(Line(key="template", value=None, fate="default", note=note))
    return values | {"template": "chat"}, lines


def _trl_mixture(given: Given) -> tuple[Values, list[Line]]:
    key = next(key for key in _MIXTURES if key in given)
    value, entries = given[key], _mixture_entries(given, key)
    if len(entries) != 1 or _number(entries[0].get("weight") or 1) != 1:
        note = "several datasets, or a share of one: train.dataset takes one file or one folder of files; or give each a place under curate.mix"
        return {}, [Line(key=key, value=value, fate="lost", note=note)]
    (entry,) = entries
    path, config, split = (str(entry.get(name) or "") for name in ("path", "config", "split"))
    address, cut = _address(path, config, split)
    lines = [Line(key=key, value=value, fate="changed", note=f"train.dataset: {address!r}")]
    if cut:
        lines.append(Line(key=f"{key}[0].split", value=split, fate="lost", note=f"the cut {cut} is not carried over"))
    for name in ("dataset_splits", "dataset_configs"):
        if name in given:
            note = f"part of train.dataset: {address!r}"
            lines.append(Line(key=name, value=given[name], fate="changed", note=note))
    for name in entry:
        if name not in ("path", "config", "split", "weight"):
            note = "columns are found by their names"
            lines.append(Line(key=f"{key}[0].{name}", value=entry[name], fate="unsupported", note=note))
    return {"dataset": address}, lines


def _mixture_entries(given: Given, key: str) -> list[Values]:
    """The datasets of a mixture, each with `path`, and `config`, `split` and `weight` where they are set."""
    value = given[key]
    if key == "dataset_mixer" and isinstance(value, Mapping):  # the handbook's: shares by name, splits for all of them
        splits = [str(split) for split in given.get("dataset_splits") or ["train"] if "test" not in str(split)]
        configs = list(given.get("dataset_configs") or [])
        found = [{"path": name, "weight": share, "split": "+".join(splits)} for name, share in value.items()]
        return [{**entry, "config": configs[i] if i < len(configs) else ""} for i, entry in enumerate(found)]
    listed = value.get("datasets", []) if isinstance(value, Mapping) else value if isinstance(value, list) else [value]
    ours = {"id": "path", "name": "config"}
    return [
        {ours.get(str(name), str(name)): inner for name, inner in entry.items()}
        if isinstance(entry, Mapping)
        else {"path": entry}
        for entry in listed
    ]


GROUPS: Mapping[str, tuple[Group, ...]] = {
    "axolotl": (axolotl_method, targets, schedule, warmup, full_precision, axolotl_dataset),
    "llamafactory": (llamafactory_method, schedule, warmup, llamafactory_dataset),
    "trl": (trl_method, targets, schedule, warmup, full_precision, trl_dataset),
}
