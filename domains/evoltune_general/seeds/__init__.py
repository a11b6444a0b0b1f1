"""The shipped general seeds: our own tasks with our own answers (tasks.yaml), tagged by skill.

next(iter(seeds())).task.fields["skill"]     # 'writing'
"""

from collections.abc import Iterator
from pathlib import Path

import yaml

from evoltune.record import Answer, Record, Task

FILE = Path(__file__).parent / "tasks.yaml"


def seeds() -> Iterator[Record]:
    """64 records with one answer each; `verify` checks the `constraints` among their fields."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for number, row in enumerate(yaml.load(FILE.read_text(encoding="utf-8"), loader), 1):
        fields = {name: row[name] for name in ("skill", "constraints") if name in row}
        task = Task(instruction=row["instruction"], fields=fields, name=f"general-{number:02d}")
        yield Record(domain="general", task=task, answers=(Answer(text=row["answer"], model="seed"),))
