"""The shipped general seeds: our own tasks with our own answers (tasks.yaml), tagged by skill.

next(iter(seeds())).task.fields["skill"]     # 'writing'
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from evoltune.record import Answer, Record, Task

FILE = Path(__file__).parent / "tasks.yaml"


def seeds() -> Iterator[Record]:
    """64 records with one answer each; `constraints` among the fields are what verify checks."""
    for number, row in enumerate(
        yaml.load(FILE.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)), 1
    ):
        fields = {
            "skill": row["skill"],
            **({"constraints": row["constraints"]} if "constraints" in row else {}),
        }
        task = Task(instruction=row["instruction"], fields=fields, name=f"general-{number:02d}")
        yield Record(domain="general", task=task, answers=(Answer(text=row["answer"], model="seed"),))
