"""Limits of a recipe beyond its types: no alias bombs, no deep nesting, only finite numbers and valid text.

After both checks a tree is small, finite and can be written as JSON in UTF-8.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from evoltune.errors import RecipeError

MAX_SIZE = 2**20  # characters of a file; the longest shipped recipe has about 3,000
MAX_NODES = 20_000  # values, with aliases expanded
MAX_DEPTH = 60


def reject_bombs(node: yaml.Node | None, where: Path | str) -> None:
    """Raises RecipeError when aliases refer to themselves or expand to more than MAX_NODES values."""
    stack, seen = [(node, 0)] if node else [], 0
    while stack:
        current, depth = stack.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_NODES:
            raise RecipeError(
                f"{where}:{current.start_mark.line + 1}: too large or too deep when its aliases (*name) are expanded: "
                f"at most {MAX_NODES} values and {MAX_DEPTH} levels: write the values out"
            )
        if isinstance(current, yaml.MappingNode):
            stack += [(part, depth + 1) for pair in current.value for part in pair]
        elif isinstance(current, yaml.SequenceNode):
            stack += [(part, depth + 1) for part in current.value]


def problems_of(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """(key path, value, what is wrong with it) of each value that no type can exclude."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from problems_of(inner, (*path, str(key)))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from problems_of(inner, (*path, str(i)))
    elif problem := _problem(value, path):
        yield path, value, problem


def _problem(value: Any, path: tuple[str, ...]) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, int) and abs(value) >= 2**63:
        return "must fit in 64 bits"
    if isinstance(value, str):
        if re.search("[\0\ud800-\udfff]", value):
            return "holds NUL or half of a surrogate pair: must be text"
        if path == ("name",) and (value in ("", ".", "..") or re.search(r"[/\\]", value)):
            return "names the run's directory: must be one folder name, without slashes; choose the place with --out"
    if path[:2] == ("evolve", "operators") and isinstance(value, int | float) and value < 0:
        return "is the weight of an operator: must be 0 or more"
    return ""
