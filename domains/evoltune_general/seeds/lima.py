"""LIMA's training rows as a file of chat messages, for `seeds.path` or `train.dataset`.

    python -m evoltune_general.seeds.lima train.jsonl rows.jsonl

Invariant: each conversation ends with an answer; its last question is the task, and the turns before it are the history.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from evoltune.errors import DataError, EvoltuneError
from evoltune.record import Answer, Record
from evoltune.rows.files import jsonl_writer
from evoltune.rows.readers import read_located
from evoltune_general.benchmarks import BENCHMARKS, conversation
from evoltune_general.seeds import ROLES


def lima_seeds(path: Path) -> Iterator[Record]:
    """One record per conversation. Raises DataError at a row that ends with a question."""
    for task, (place, row) in zip(BENCHMARKS["lima"].load(path), read_located(path), strict=True):
        turns = conversation(row)
        if len(turns) % 2:
            raise DataError(f"{path}: {place}: the conversation ends with a question: it is not a training row")
        yield Record(domain="general", task=task, answers=(Answer(text=turns[-1], model="seed"),))


def write_seeds(source: Path, target: Path) -> int:
    """Writes rows of id, messages, category and licence, in the order of the source; returns their number."""
    count = 0
    with jsonl_writer(target) as write:
        for seed in lima_seeds(source):
            turns = (*seed.task.history, (ROLES[0], seed.task.instruction), (ROLES[1], seed.answers[0].text))
            messages = [{"role": role, "content": text} for role, text in turns]
            row = {"id": seed.task.name, "messages": messages, "category": seed.task.fields["skill"]}
            write({**row, "licence": BENCHMARKS["lima"].licence})
            count += 1
    return count


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m evoltune_general.seeds.lima TRAIN.jsonl[.gz] OUT.jsonl")
    try:
        print(f"{write_seeds(Path(sys.argv[1]), Path(sys.argv[2]))} rows written to {sys.argv[2]}")
    except (EvoltuneError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
