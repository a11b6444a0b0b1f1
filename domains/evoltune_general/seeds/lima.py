"""LIMA's training rows as seeds or as a dataset: a rows file of chat messages for `seeds.path` or `train.dataset`.

    python -m evoltune_general.seeds.lima train.jsonl rows.jsonl

Invariant: each conversation ends with an answer; its last question is the task and the turns before are its history.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from evoltune.errors import DataError, EvoltuneError
from evoltune.record import Answer, Record
from evoltune.rows.files import write_file
from evoltune.rows.readers import read_located
from evoltune_general.benchmarks import BENCHMARKS, ROLES, conversation


def lima_seeds(path: Path) -> Iterator[Record]:
    """One record a conversation; model="seed". Raises DataError at a row that ends with a question."""
    for task, (place, row) in zip(BENCHMARKS["lima"].load(path), read_located(path), strict=True):
        turns = conversation(row)
        if len(turns) % 2:
            raise DataError(
                f"{path}: {place}: the conversation ends with a question: this is no training row"
            )
        yield Record(domain="general", task=task, answers=(Answer(text=turns[-1], model="seed"),))


def write(source: Path, target: Path) -> int:
    """Rows of id, messages, category, licence, in the order of the source; returns their number."""
    rows = [
        {
            "id": seed.task.name,
            "messages": [
                *({"role": role, "content": text} for role, text in seed.task.history),
                {"role": ROLES[0], "content": seed.task.instruction},
                {"role": ROLES[1], "content": seed.answers[0].text},
            ],
            "category": seed.task.fields["skill"],
            "licence": BENCHMARKS["lima"].licence,
        }
        for seed in lima_seeds(source)
    ]
    write_file(target, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return len(rows)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m evoltune_general.seeds.lima TRAIN.jsonl[.gz] OUT.jsonl")
    try:
        print(f"{write(Path(sys.argv[1]), Path(sys.argv[2]))} rows written to {sys.argv[2]}")
    except (EvoltuneError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
