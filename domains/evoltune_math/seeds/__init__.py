"""The shipped grade-school seeds: our own problems, worked solutions that end in `#### N`, and references.

    next(iter(seeds())).task.reference     # '48'

`generate.py` wrote the files; reading them draws nothing at random.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evoltune.record import Answer, Record, Task
from evoltune.rows.readers import read_rows

FOLDER = Path(__file__).parent
SEEDS = FOLDER / "gradeschool_seeds.jsonl"
HELDOUT = FOLDER / "gradeschool_heldout.jsonl"


def task_of(row: Mapping[str, Any]) -> Task:
    """`fields` are the tags: skill (addition ... combination) and reasoning (one step ... four steps)."""
    fields = {"skill": row["skill"], "reasoning": row["reasoning"]}
    return Task(instruction=row["instruction"], reference=row["reference"], fields=fields, name=row["name"])


def seeds() -> Iterator[Record]:
    """568 records with one worked answer each; model="seed"."""
    for row in read_rows(SEEDS):
        yield Record(domain="math", task=task_of(row), answers=(Answer(text=row["answer"], model="seed"),))
