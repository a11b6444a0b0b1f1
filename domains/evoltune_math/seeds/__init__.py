"""The shipped grade-school seeds as records: our own problems, worked solutions ending in `#### N`, references.

Invariant: reading them draws nothing; `generate.py` wrote the files once and writes the same bytes again.

    next(iter(seeds())).task.reference     # '48'
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evoltune.record import Answer, Record, Task

FOLDER = Path(__file__).parent
SEEDS = FOLDER / "gradeschool_seeds.jsonl"
HELDOUT = FOLDER / "gradeschool_heldout.jsonl"


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def task_of(row: dict[str, Any]) -> Task:
    """`fields` carry the tags: skill (addition ... combination) and reasoning (one step ... four steps)."""
    return Task(
        instruction=row["instruction"],
        reference=row["reference"],
        fields={"skill": row["skill"], "reasoning": row["reasoning"]},
        name=row["name"],
    )


def seeds() -> Iterator[Record]:
    """568 records with one worked answer each; model="seed"."""
    for row in rows(SEEDS):
        yield Record(domain="math", task=task_of(row), answers=(Answer(text=row["answer"], model="seed"),))
