"""Skill and difficulty of problems, under the columns that published suites use, and sets balanced over both.

    balanced_set(read_rows("rows.jsonl"), size=218, seed=0)

Invariant: the same rows, size and seed give the same set; a group that runs out is made up for by the others.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from evoltune.errors import DataError
from evoltune.text.ratings import numbers_in

SKILL_COLUMNS = ("skill", "Skill", "type", "subject", "category")
DIFFICULTY_COLUMNS = ("difficulty", "Difficulty", "level")
NOT_STATED = "not stated"
Row = Mapping[str, Any]


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


def difficulty_in(row: Row) -> str:
    """The difficulty that a row states, at its top level or under `fields`; "" for none."""
    return next(iter(difficulties_of(_flat(row))), "")


def _flat(row: Row) -> dict[str, Any]:
    fields = row.get("fields")
    return {**row, **(fields if isinstance(fields, Mapping) else {})}


def balanced_set(rows: Iterable[Row], size: int, seed: int = 0) -> list[dict[str, Any]]:
    """`size` rows, as evenly spread over difficulties as the rows allow and, within one, over skills.

    Raises DataError when fewer than `size` rows state a difficulty.
    """
    groups: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if difficulty := difficulty_in(row):
            groups[difficulty][next(iter(skills_of(_flat(row))), "")].append(dict(row))
    total = sum(len(pile) for skills in groups.values() for pile in skills.values())
    if total < size:
        raise DataError(
            f"{total} rows state a difficulty ({', '.join(DIFFICULTY_COLUMNS)}), {size} are asked for: lower size"
        )
    rng = random.Random(seed)
    piles = {difficulty: _interleaved(skills, rng) for difficulty, skills in sorted(groups.items())}
    chosen: list[dict[str, Any]] = []
    while len(chosen) < size:
        for difficulty in sorted(piles, key=numeric_order):
            if piles[difficulty] and len(chosen) < size:
                chosen.append(piles[difficulty].pop())
    return chosen


def _interleaved(skills: Mapping[str, list[dict[str, Any]]], rng: random.Random) -> list[dict[str, Any]]:
    """All rows of one difficulty with the skills in turn, to be taken from the end."""
    piles = [list(rows) for _, rows in sorted(skills.items())]
    for pile in piles:
        rng.shuffle(pile)
    rng.shuffle(piles)
    mixed = []
    while any(piles):
        mixed += [pile.pop() for pile in piles if pile]
    return mixed[::-1]
