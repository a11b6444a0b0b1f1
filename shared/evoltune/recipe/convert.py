"""Recipes of other suites: axolotl, LLaMA-Factory and TRL YAML converted into ours, key by key.

    result = convert("axolotl", yaml_text, domain="code")
    result.recipe   # a mapping that load_recipe accepts
    result.lines    # one line per key: mapped, changed or unsupported, with the reason

The tables are in convert.yaml. Invariant: every key of the input appears in exactly one line.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from typing import Any, Literal

import yaml

from evoltune.errors import RecipeError, nearest

SUITES = ("axolotl", "llamafactory", "trl")


@dataclass(frozen=True, kw_only=True)
class Line:
    """What became of one key."""

    key: str
    value: Any
    fate: Literal["mapped", "changed", "unsupported"]
    note: str


@dataclass(frozen=True, kw_only=True)
class Conversion:
    recipe: dict[str, Any]
    lines: tuple[Line, ...]


Rule = tuple[str, Callable[[Any], Any]]
"""Where a key goes: the key under `train:`, and a function that returns our value, or None where our default is the same; it
raises an error of any kind for a value that has no counterpart."""


def convert(suite: str, text: str, domain: str, name: str = "") -> Conversion:
    """Converts the text of another suite's training YAML. Raises RecipeError when it is not a mapping."""
    if suite not in SUITES:
        raise RecipeError(f"--from {suite!r}: {nearest(suite, SUITES)}")
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{name or suite}: not YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(tree, Mapping):
        raise RecipeError(f"{name or suite}: a {suite} recipe is a mapping of keys")
    train: dict[str, Any] = {}
    lines = [_convert_key(suite, str(key), value, train) for key, value in tree.items()]
    return Conversion(recipe={"domain": domain, "train": train}, lines=tuple(lines))


def _convert_key(suite: str, key: str, value: Any, train: dict[str, Any]) -> Line:
    line = partial(Line, key=key, value=value)
    mapped, unsupported = rules(suite)
    if key not in mapped:
        return line(fate="unsupported", note=unsupported.get(key, "not known; it has no effect here"))
    ours, converter = mapped[key]
    try:
        converted = converter(value)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return line(fate="unsupported", note=f"train.{ours} cannot take this value")
    if converted is None:
        return line(fate="mapped", note="our default already")
    train[ours] = converted
    same = ours == key and converted == value
    return line(fate="mapped" if same else "changed", note=f"train.{ours}: {converted!r}")


@cache
def rules(suite: str) -> tuple[Mapping[str, Rule], Mapping[str, str]]:
    """(rules of the keys that have a counterpart, reasons of those that have none)."""
    tables = yaml.safe_load((files("evoltune.recipe") / "convert.yaml").read_text(encoding="utf-8"))
    shared, own = tables["huggingface"], tables[suite]
    unsupported = {**shared["unsupported"], **own["unsupported"]}
    mapped = {key: _rule(entry) for key, entry in {**shared["mapped"], **own["mapped"]}.items()}
    return {key: rule for key, rule in mapped.items() if key not in own["unsupported"]}, unsupported


def _rule(entry: str | dict[str, Any]) -> Rule:
    if isinstance(entry, str):
        key, _, converter = entry.removesuffix(")").partition(" (")
        return key, CONVERTERS[converter]
    values = entry["values"]
    if "otherwise" in entry:
        return entry["key"], lambda value: values.get(value, entry["otherwise"])
    return entry["key"], lambda value: values[value]


# ---- converters


def _whole_number(value: Any) -> int:
    if float(value) != int(value):
        raise ValueError(value)
    return int(value)


def _dataset(value: Any) -> str:
    if isinstance(value, list) and len(value) != 1:
        raise ValueError("several datasets: use curate.mix")
    first = value[0] if isinstance(value, list) else value
    return str(first["path"]) if isinstance(first, Mapping) else str(first)


def _one_name(value: Any) -> str:
    if "," in str(value):
        raise ValueError("several datasets: use curate.mix")
    return str(value)


def _modules(value: Any) -> Any:
    names = value.split(",") if isinstance(value, str) else list(value)
    return "all-linear" if names in (["all"], ["all-linear"]) else [n.strip() for n in names]


def _deepspeed(value: Any) -> Any:
    """The suites ship files whose names give the stage (`ds_z3_offload_config.json`, `zero2.json`)."""
    if value is None or isinstance(value, Mapping):
        return dict(value) if value else None
    text = str(value).lower().replace("stage", "z").replace("zero", "z").replace("_", "")
    stage = next((n for n in "321" if f"z{n}" in text), None)
    if stage is None:
        raise ValueError(value)
    return "zero3-offload" if "offload" in text and stage == "3" else f"zero{stage}"


def _names(value: Any) -> list[str]:
    names = [value] if isinstance(value, str) else list(value or [])
    return [n for n in names if n != "none"]


CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "": lambda value: value,
    "number": float,
    "whole_number": _whole_number,
    "boolean": bool,
    "dataset": _dataset,
    "one_name": _one_name,
    "modules": _modules,
    "deepspeed": _deepspeed,
    "names": _names,
}
