"""The shipped general seeds: our own tasks with our own answers, tagged by skill (tasks.yaml, and long.yaml for LIMA).

next(iter(seeds())).task.fields["skill"]     # 'writing'
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from evoltune.record import Answer, Record, Task

FILE = Path(__file__).parent / "tasks.yaml"
LONG = Path(__file__).parent / "long.yaml"
ROLES = ("user", "assistant")
DEV = Path(__file__).parent / "dev.yaml"


def _rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = yaml.load(
        path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    return rows


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("skill", "constraints") if name in row}


def dev_tasks(path: Path) -> Iterator[Task]:
    """The fifty tasks of dev.yaml, without answers: each is judged by its `constraints`."""
    for number, row in enumerate(_rows(path), 1):
        yield Task(instruction=row["instruction"], fields=_fields(row), name=f"general-dev/{number:02d}")


def seeds() -> Iterator[Record]:
    """64 records with one answer each, whose `constraints` are checked by `verify`; then 60 long ones and 10 dialogues."""
    for number, row in enumerate(_rows(FILE), 1):
        task = Task(instruction=row["instruction"], fields=_fields(row), name=f"general-{number:02d}")
        yield Record(domain="general", task=task, answers=(Answer(text=row["answer"], model="seed"),))
    for number, row in enumerate(_rows(LONG), 1):
        *earlier, instruction, answer = row["turns"]
        history = tuple((ROLES[i % 2], text.strip()) for i, text in enumerate(earlier))
        task = Task(instruction=instruction, fields=_fields(row), history=history, name=f"general-long-{number:02d}")
        yield Record(domain="general", task=task, answers=(Answer(text=answer.strip(), model="seed"),))
