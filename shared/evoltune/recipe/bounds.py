"""What a recipe may not be, beyond its types: an alias bomb, a bottomless nest, infinite numbers, text that is no text.

    refuse_bombs(yaml.compose(text, Loader=yaml.SafeLoader), path)   # before anything is unfolded

Invariant: after both checks a tree is small, finite and can be written as JSON in UTF-8.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from evoltune.errors import RecipeError

MAX_SIZE = 2**20  # characters of a file; the longest shipped recipe has about 3,000
MAX_NODES = 20_000  # values, with aliases unfolded
MAX_DEPTH = 60


def refuse_bombs(node: yaml.Node | None, file: Path) -> None:
    """Aliases may name a part again, but never themselves, nor unfold to more than MAX_NODES values."""
    stack, seen = [(node, 0)] if node else [], 0
    while stack:
        here, depth = stack.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_NODES:
            raise RecipeError(
                f"{file}:{here.start_mark.line + 1}: too large or too deep when its aliases (*name) are unfolded: "
                f"at most {MAX_NODES} values and {MAX_DEPTH} levels: write the values out"
            )
        if isinstance(here, yaml.MappingNode):
            stack += [(part, depth + 1) for pair in here.value for part in pair]
        elif isinstance(here, yaml.SequenceNode):
            stack += [(part, depth + 1) for part in here.value]


def reject_values(value: Any, lines: Mapping[tuple[str, ...], str], path: tuple[str, ...], ref: str) -> None:
    """What types cannot say: numbers are finite and fit the store, text is real text, the name is one folder name."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            reject_values(inner, lines, (*path, str(key)), ref)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            reject_values(inner, lines, (*path, str(i)), ref)
    elif wrong := _wrong_value(value, path):
        at = next((lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in lines), ref)
        raise RecipeError(f"{at}: {'.'.join(path)}: {repr(value)[:80]} {wrong}")


def _wrong_value(value: Any, path: tuple[str, ...]) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, int) and abs(value) >= 2**63:
        return "must fit in 64 bits"
    if isinstance(value, str) and re.search("[\0\ud800-\udfff]", value):
        return "holds NUL or half a character: must be text"
    if (
        path == ("name",)
        and isinstance(value, str)
        and (value in ("", ".", "..") or re.search(r"[/\\]", value))
    ):
        return (
            "names the run's directory: must be one folder name, without slashes; choose the place with --out"
        )
    if path[:2] == ("evolve", "operators") and isinstance(value, int | float) and value < 0:
        return "is the weight of an operator: must be 0 or more"
    return ""
