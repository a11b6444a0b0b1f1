"""Skill and difficulty of a problem, under the column names that published suites use."""

from collections.abc import Mapping
from typing import Any

from evoltune.text.ratings import numbers_in

SKILL_COLUMNS = ("skill", "Skill", "type", "subject", "category")
DIFFICULTY_COLUMNS = ("difficulty", "Difficulty", "level")
NOT_STATED = "not stated"


def skills_of(fields: Mapping[str, Any]) -> list[str]:
    """The skills that a problem is filed under; [] when it states none."""
    return _texts(fields, SKILL_COLUMNS)


def difficulties_of(fields: Mapping[str, Any]) -> list[str]:
    """The difficulty as it is written: "8", "7.5", "Level 3"; [] when none is stated."""
    return _texts(fields, DIFFICULTY_COLUMNS)


def _texts(fields: Mapping[str, Any], columns: tuple[str, ...]) -> list[str]:
    value = next((fields[c] for c in columns if fields.get(c) not in (None, "")), None)
    values = value if isinstance(value, list | tuple) else [] if value is None else [value]
    return [str(v) for v in values]


def number_in(text: str) -> float | None:
    """The number in "Level 3" or "7.5"; None where there is none."""
    return next(iter(numbers_in(text)), None)


def numeric_order(text: str) -> tuple[float, str]:
    """Sort key: by the number in the text, texts without one first."""
    number = number_in(text)
    return (-1.0 if number is None else number, text)
