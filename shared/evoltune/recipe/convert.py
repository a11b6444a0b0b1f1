"""Recipes of other suites: axolotl, LLaMA-Factory and TRL YAML converted into ours, key by key.

    result = convert("axolotl", yaml_text, domain="code")
    result.recipe   # a mapping that load_recipe accepts
    result.lines    # what became of each key, of the keys in a dataset, and the suite's defaults that differ from ours

The tables are in convert.yaml. Invariants: every key of the input appears in a line; what is learnt stays the same, or a line
of fate `lost` says what does not; another kind of training, or another base, is a RecipeError.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from typing import Any

import yaml

from evoltune.errors import RecipeError, nearest
from evoltune.recipe.convert_datasets import Named, axolotl_dataset, llamafactory_dataset, trl_dataset
from evoltune.recipe.convert_groups import (
    Fate,
    Group,
    Line,
    axolotl_method,
    full_precision,
    llamafactory_method,
    schedule,
    targets,
    trl_method,
    warmup,
)
from evoltune.recipe.convert_values import CONVERTERS

SUITES = ("axolotl", "llamafactory", "trl")

GROUPS: Mapping[str, tuple[Group, ...]] = {
    "axolotl": (axolotl_method, targets, schedule, warmup, full_precision, axolotl_dataset),
    "llamafactory": (llamafactory_method, schedule, warmup, llamafactory_dataset),
    "trl": (trl_method, targets, schedule, warmup, full_precision, trl_dataset),
}
_SPEED = ("deepspeed", "attn_implementation", "report_to", "logging_steps", "save_steps", "save_total_limit")
"""Keys of ours that do not decide what is learnt."""
_UNKNOWN = "not known here, so nothing of it is carried over: look up whether it changes what is learnt"
_HARMLESS = "has no effect on what is learnt"


@dataclass(frozen=True, kw_only=True)
class Conversion:
    recipe: dict[str, Any]
    lines: tuple[Line, ...]

    @property
    def lost(self) -> tuple[Line, ...]:
        """What makes the result another training."""
        return tuple(line for line in self.lines if line.fate == "lost")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Where a key goes: the key under `train:`, and a function that returns our value, or None where our default is the same;
    it raises an error of any kind for a value that has no counterpart."""

    key: str
    converter: Callable[[Any], Any]
    note: str = ""
    """Said of a value that the table does not list."""
    listed: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Why a key is lost or refused, and the values that are neither."""

    why: str
    allowed: tuple[Any, ...] = ()
    off: tuple[Any, ...] = (False, 0, "", "none", "None", [], {})

    def allows(self, value: Any) -> bool:
        if isinstance(value, list) and value:
            return all(item in self.allowed for item in value)
        return any(
            value == other and isinstance(value, bool) == isinstance(other, bool)
            for other in (*self.allowed, *self.off)
        )


@dataclass(frozen=True, kw_only=True)
class Table:
    """What is known of one suite."""

    base: str
    mapped: Mapping[str, Rule]
    unsupported: Mapping[str, str]
    lost: Mapping[str, Limit]
    refused: Mapping[str, Limit]
    defaults: Mapping[str, Any]
    lora_defaults: Mapping[str, Any]
    nulls: Mapping[str, str]
    """Keys whose empty value is a setting of its own -> what is lost by it."""


def convert(suite: str, text: str, domain: str, name: str = "", named: Named | None = None) -> Conversion:
    """Converts the text of another suite's training YAML. `named`: looks up LLaMA-Factory's names of datasets.

    Raises:
        RecipeError: It is not a mapping, names no base, or asks for a kind of training that there is not here.
    """
    if suite not in SUITES:
        raise RecipeError(f"--from {suite!r}: {nearest(suite, SUITES)}")
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{name or suite}: not YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(tree, Mapping):
        raise RecipeError(f"{name or suite}: a {suite} recipe is a mapping of keys")
    table, given = tables(suite), {str(key): value for key, value in tree.items() if value is not None}
    _refuse(table, given, name or suite)
    train: dict[str, Any] = {}
    grouped: dict[str, list[Line]] = {}
    for group in GROUPS[suite]:
        values, lines = (partial(group, named=named) if group is llamafactory_dataset else group)(given)
        train |= values
        for line in lines:
            grouped.setdefault(line.key.partition(".")[0].partition("[")[0], []).append(line)
    lines = [line for key in map(str, tree) for line in grouped.pop(key, None) or [_line(table, key, given, train)]]
    lines += [line for rest in grouped.values() for line in rest]  # about keys that are absent
    uncut = [key for key, value in tree.items() if value is None and table.nulls.get(key)]
    if uncut:
        train.setdefault("excess_length", "raise")
    lines += _defaults(table, train, uncut=bool(uncut))
    return Conversion(recipe={"domain": domain, "train": train}, lines=tuple(lines))


def _refuse(table: Table, given: Mapping[str, Any], name: str) -> None:
    reasons = [
        f"{key}: {given[key]!r}: {limit.why}"
        for key, limit in table.refused.items()
        if key in given and not limit.allows(given[key])
    ]
    if not isinstance(given.get(table.base), str):
        keys = ", ".join(given)
        reasons.append(f"{table.base}: names no base model (keys are {keys}), and no other may be trained in its place")
    if reasons:
        raise RecipeError(f"{name}: cannot become a recipe here: {'; '.join(reasons)}")


def _line(table: Table, key: str, given: Mapping[str, Any], train: dict[str, Any]) -> Line:
    """What becomes of a key that stands for itself; a mapped one is written to `train`."""
    if key not in given and key in table.nulls:
        return Line(key=key, value=None, fate="lost", note=table.nulls[key])
    if key not in given:
        return Line(key=key, value=None, fate="mapped", note="no value: counts as not set")
    value = given[key]
    if limit := table.lost.get(key) or table.refused.get(key):
        if limit.allows(value):
            return Line(key=key, value=value, fate="mapped", note="as it is here")
        return Line(key=key, value=value, fate="lost", note=limit.why)
    if key in table.unsupported:
        return Line(key=key, value=value, fate="unsupported", note=table.unsupported[key])
    if key not in table.mapped:
        if Limit(why="").allows(value):
            return Line(key=key, value=value, fate="unsupported", note="not known here, and off")
        return Line(key=key, value=value, fate="lost", note=_UNKNOWN)
    rule = table.mapped[key]
    try:
        converted = rule.converter(value)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        why = str(error) if type(error) is ValueError and " " in str(error) else "cannot take this value"
        if isinstance(error, KeyError) and rule.listed:
            why = f"this value is not offered: allowed: {', '.join(map(str, rule.listed))}"
        fate: Fate = "unsupported" if rule.key in _SPEED else "lost"
        return Line(key=key, value=value, fate=fate, note=f"train.{rule.key}: {why}")
    if converted is None:
        return Line(key=key, value=value, fate="mapped", note="our default already")
    train[rule.key] = converted
    more = f" ({rule.note})" if rule.note and value not in rule.listed else ""
    same = rule.key == key and converted == value
    return Line(
        key=key, value=value, fate="mapped" if same else "changed", note=f"train.{rule.key}: {converted!r}{more}"
    )


def _defaults(table: Table, train: dict[str, Any], *, uncut: bool) -> Iterator[Line]:
    """Fills in what the suite does where a key is absent. `uncut`: rows of any length are trained there."""
    adapter = train.get("finetuning_type", "full") != "full"
    defaults = {**table.defaults, **(table.lora_defaults if adapter else {})}
    if uncut:
        defaults.pop("max_length", None)
    if "warmup_steps" in train or train.get("lr_scheduler_type") == "constant":
        defaults.pop("warmup_ratio", None)
    if train.get("max_steps", -1) > 0:
        defaults.pop("num_train_epochs", None)
    for key, value in defaults.items():
        if key not in train:
            train[key] = value
            yield Line(key=key, value=None, fate="default", note=f"train.{key}: {value!r}, the default there")


@cache
def tables(suite: str) -> Table:
    """The tables of a suite, with those of Transformers' arguments below them."""
    raw = yaml.safe_load((files("evoltune.recipe") / "convert.yaml").read_text(encoding="utf-8"))
    shared, own = raw["huggingface"], raw[suite]
    lost = {**shared["lost"], **own["lost"]}
    limits = {
        kind: {key: _limit(entry) for key, entry in found.items()}
        for kind, found in (("lost", lost), ("refused", own["refused"]))
    }
    taken = {*own["unsupported"], *own["lost"], *own["refused"]}
    mapped = {key: _rule(entry) for key, entry in {**shared["mapped"], **own["mapped"]}.items() if key not in taken}
    harmless = dict.fromkeys([*shared["harmless"], *own["harmless"]], _HARMLESS)
    unsupported = {**harmless, **shared["unsupported"], **own["unsupported"]}
    return Table(
        base=own["base"],
        mapped=mapped,
        unsupported={
            key: why for key, why in unsupported.items() if key not in {*own["mapped"], *own["lost"], *own["refused"]}
        },
        lost={key: limit for key, limit in limits["lost"].items() if key not in {*own["mapped"], *own["refused"]}},
        refused=limits["refused"],
        defaults=own["defaults"],
        lora_defaults=own.get("lora_defaults", {}),
        nulls=own.get("nulls", {}),
    )


def _limit(entry: str | Mapping[str, Any]) -> Limit:
    if isinstance(entry, str):
        return Limit(why=entry)
    off: Sequence[Any] = entry.get("off", Limit(why="").off)
    return Limit(why=entry["why"], allowed=tuple(entry["allowed"]), off=tuple(off))


def _rule(entry: str | Mapping[str, Any]) -> Rule:
    if isinstance(entry, str):
        key, _, converter = entry.removesuffix(")").partition(" (")
        return Rule(key=key, converter=CONVERTERS[converter])
    values = entry["values"]
    if "otherwise" in entry:
        lookup: Callable[[Any], Any] = lambda value: values.get(value, entry["otherwise"])  # noqa: E731
    else:
        lookup = values.__getitem__
    return Rule(key=entry["key"], converter=lookup, note=entry.get("note", ""), listed=tuple(values))
