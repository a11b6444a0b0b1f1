"""Values of other suites as ours; each function raises ValueError, or another error, for one that has no counterpart."""

import re
from collections.abc import Callable, Mapping
from typing import Any


def whole_number(value: Any) -> int:
    if float(value) != int(value):
        raise ValueError(value)
    return int(value)


def boolean(value: Any) -> bool:
    """True or false, also written as text. Other text is a path where trainers allow one (`resume_from_checkpoint`): true."""
    return value.lower() not in ("false", "no", "") if isinstance(value, str) else bool(value)


def modules(value: Any) -> Any:
    """Names of layers; a text that can be no list of names is a regular expression."""
    if isinstance(value, str) and not re.fullmatch(r"[\w.,\s-]+", value):
        return value
    listed = value.split(",") if isinstance(value, str) else list(value)
    found = [str(name).strip() for name in listed]
    return "all-linear" if found in (["all"], ["all-linear"]) else found


def names(value: Any) -> list[str]:
    found = value.split(",") if isinstance(value, str) else list(value or [])
    return [name for name in (str(n).strip() for n in found) if name != "none"]


def deepspeed(value: Any) -> Any:
    """The suites ship files whose names give the stage and the offload (`ds_z3_offload_config.json`, `zero2.json`)."""
    if not value:
        return None
    if isinstance(value, Mapping):
        return {key: inner for key, inner in value.items() if key not in ("optimizer", "scheduler")}
    text = str(value).lower().rpartition("/")[2].replace("stage", "z").replace("zero", "z").replace("_", "")
    stage = next((n for n in "3210" if f"z{n}" in text), None)
    if stage is None or "autotp" in text:
        raise ValueError("no file of a known name; give none, zero1, zero2, zero3, zero3-offload, or the JSON itself")
    if stage == "0":
        return None
    if "offload" not in text:
        return f"zero{stage}"
    parts = ("offload_param",) if "offloadparam" in text else ("offload_optimizer", "offload_param")
    if stage == "3" and len(parts) == 2:
        return "zero3-offload"
    kept = parts if stage == "3" else ("offload_optimizer",)
    return {
        "zero_optimization": {"stage": int(stage), **{part: {"device": "cpu", "pin_memory": True} for part in kept}}
    }


CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "": lambda value: value,
    "number": float,
    "whole_number": whole_number,
    "boolean": boolean,
    "modules": modules,
    "deepspeed": deepspeed,
    "names": names,
}
