"""GSM8K's train split as a rows file for `seeds.path`, with references and without calculator annotations.

    python -m evoltune_math.seeds.gsm8k gsm8k/train.jsonl seeds.jsonl

Each row has a worked answer that ends in `#### N` and the reference N. Never give it the test split.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from evoltune.errors import EvoltuneError
from evoltune.record import Answer, Record, Task
from evoltune.rows.files import jsonl_writer
from evoltune_math.benchmarks import BENCHMARKS

CALCULATOR = re.compile(r"<<[^<>]*>>")
"""The middle part of `48/2 = <<48/2=24>>24`: it calls a tool that we do not train."""


def gsm8k_seeds(path: Path) -> Iterator[Record]:
    """One record for each problem; model="seed". Raises DataError at a damaged row."""
    for task in BENCHMARKS["gsm8k-train"].load(path):
        answer = CALCULATOR.sub("", str(task.fields["solution"]))
        seed = Task(instruction=task.instruction, reference=task.reference, name=task.name)
        yield Record(domain="math", task=seed, answers=(Answer(text=answer, model="seed"),))


def write(source: Path, target: Path) -> int:
    """Writes rows of id, instruction, output, reference, licence, in the order of the source; returns their number."""
    count = 0
    with jsonl_writer(target) as write_row:
        for seed in gsm8k_seeds(source):
            row = {"id": seed.task.name, "instruction": seed.task.instruction, "output": seed.answers[0].text}
            write_row({**row, "reference": seed.task.reference, "licence": "MIT"})
            count += 1
    return count


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m evoltune_math.seeds.gsm8k TRAIN.jsonl[.gz] OUT.jsonl")
    try:
        print(f"{write(Path(sys.argv[1]), Path(sys.argv[2]))} seeds written to {sys.argv[2]}")
    except (EvoltuneError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
