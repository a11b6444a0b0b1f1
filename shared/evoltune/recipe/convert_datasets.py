"""The dataset of another suite's recipe, and its prompt format: groups of keys as in convert_groups.

A key of a dataset is named by its path: `datasets[0].split`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from evoltune.recipe.convert_groups import Fate, Given, Line, Values, as_number

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


def hub_address(path: str, config: str = "", split: str = "", revision: str = "") -> tuple[str, str]:
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
    dataset, cut = hub_address(path, config, split, revision)
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


Named = Callable[[str, str], tuple[str, list[Line]] | None]
"""(name, `dataset_dir`) -> the address that a dataset's name stands for, with lines about its other keys; None where no
`dataset_info.json` says so."""


def llamafactory_dataset(given: Given, named: Named | None = None) -> tuple[Values, list[Line]]:
    values, lines = _factory_rows(given, named)
    return values, [*lines, *_factory_template(given, values)]


def _factory_rows(given: Given, named: Named | None) -> tuple[Values, list[Line]]:
    """The names under `dataset`, by what `dataset_info.json` says of them."""
    values, lines = _one_dataset(given, "dataset")
    folder = str(given.get("dataset_dir", "data"))
    names = _listed(given.get("dataset"))
    found = [named(name, folder) for name in names] if named else []
    addresses = [entry[0] for entry in found if entry]
    more = [line for entry in found if entry for line in entry[1]]
    if not names or len(addresses) < len(names):
        note = (
            f"a name in dataset_info.json, which is not in {folder!r} here: give the file or hub id that it stands for; "
            "columns, tags, split and num_samples that stand there are not carried over"
        )
        unknown = [Line(key="dataset", value=given["dataset"], fate="lost", note=note)] if values else lines
        return values, [*unknown, *more]
    if not values:
        note = f"{lines[0].note} ({', '.join(addresses)})"
        return {}, [Line(key="dataset", value=given["dataset"], fate="lost", note=note), *more]
    note = f"train.dataset: {addresses[0]!r}, as dataset_info.json says; `evoltune train --dry-run` prints the columns that are read"
    return {"dataset": addresses[0]}, [Line(key="dataset", value=given["dataset"], fate="changed", note=note), *more]


def _listed(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else str(value or "").split(",")
    return [name.strip() for name in listed if isinstance(name, str) and name.strip()]


def _factory_template(given: Given, values: Values) -> Iterator[Line]:
    template = given.get("template")
    values["template"] = "alpaca" if template == "alpaca" else "chat"
    if template == "alpaca":
        yield Line(key="template", value=template, fate="mapped", note="train.template: 'alpaca'")
        return
    fate, note = _own_template(given, str(template or "tokenizer_default"))
    fate = fate if template else "default"
    if template in ("default", "vanilla", "empty", "fewshot"):
        fate, note = "lost", "this prompt format has no counterpart; train.template: 'chat' is used"
    yield Line(key="template", value=template, fate=fate, note=note)


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
        address, cut = hub_address(values["dataset"], config, split)
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
    if len(entries) != 1 or as_number(entries[0].get("weight") or 1) != 1:
        note = "several datasets, or a share of one: train.dataset takes one file or one folder of files; or give each a place under curate.mix"
        return {}, [Line(key=key, value=value, fate="lost", note=note)]
    (entry,) = entries
    path, config, split = (str(entry.get(name) or "") for name in ("path", "config", "split"))
    address, cut = hub_address(path, config, split)
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
