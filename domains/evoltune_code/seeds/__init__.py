"""The shipped seeds: Python tasks of our own with tests and a reference solution, one JSON object a line.

Each line has `id, skill, instruction, entry_point` ("" for a script), `tests` (a form of `Job.tests`), `solution` and
`approach` (what the answer says before its code). Invariant: every solution passes its tests in the sandbox
(tests/evoltune_code/test_seeds.py), and none is a problem of HumanEval or MBPP.

    next(iter(seeds())).task.fields["skill"] == "writing"
"""

import json
from collections.abc import Iterator
from importlib.resources import files

from evoltune.record import Answer, Record, Task


def seeds() -> Iterator[Record]:
    text = (files("evoltune_code") / "seeds" / "seeds.jsonl").read_text(encoding="utf-8")
    yield from (_record(json.loads(line)) for line in text.split("\n") if line.strip())


def _record(row: dict[str, str]) -> Record:
    task = Task(
        instruction=row["instruction"], reference=row["solution"], tests=row["tests"], name=f"code/{row['id']}",
        fields={"entry_point": row["entry_point"], "skill": row["skill"]},
    )  # fmt: skip
    response = f"{row['approach']}\n\n```python\n{row['solution'].strip()}\n```"
    return Record(domain="code", task=task, answers=(Answer(text=response, model="seed"),))
