"""Super-NaturalInstructions as it is published (2204.07705): a file for each task, of which LIMA took one example each.

    for row in natural_instructions("natural-instructions", bad): ...      # a checkout of allenai/natural-instructions

    natural-instructions/tasks/task045_miscellaneous_sentence_paraphrasing.json
        {"Definition": ["..."], "Categories": ["Paraphrasing"], "Instances": [{"id": ..., "input": ..., "output": ["..."]}], ...}
    natural-instructions/splits/default/train_tasks.txt                    # names of tasks, one a line

LIMA (2305.11206, section 2.2) used 50 tasks of writing and a random example of each. Only English tasks are read, and where the
list of training tasks is there, only these: the others are a benchmark.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from evoltune.errors import DataError
from evoltune.record import digest
from evoltune.rows.lima_rules import NATURAL_INSTRUCTIONS, objection
from evoltune.rows.readers import BadRow, Row
from evoltune.run.paths import user_path

WRITING = frozenset(
    {
        "Code to Text", "Data to Text", "Dialogue Generation", "Explanation", "Grammar Error Correction", "Paper Review",
        "Paraphrasing", "Poem Generation", "Question Generation", "Question Rewriting", "Sentence Composition",
        "Sentence Compression", "Sentence Expansion", "Sentence Perturbation", "Story Composition", "Style Transfer",
        "Summarization", "Text Completion", "Text Simplification", "Title Generation",
    }
)  # fmt: skip
"""Categories of tasks whose answer is text of one's own; the others classify, extract, calculate or translate."""
_TRAINING_TASKS = Path("splits", "default", "train_tasks.txt")
_ENGLISH = ["English"]


def natural_instructions(path: str, bad: list[BadRow], skipped: Counter[str]) -> Iterator[Row]:
    """One example of each English task of writing, drawn among those in the style of an answer.

    Args:
        path: The checkout, or its folder `tasks`.
        bad: Receives the task files that cannot be read.
        skipped: Counts the tasks that are not written in English.
    """
    folder = user_path(path)
    tasks = folder / "tasks" if (folder / "tasks").is_dir() else folder
    names = _training_tasks(tasks.parent / _TRAINING_TASKS) or sorted(f.stem for f in tasks.glob("task*.json"))
    if not names:
        raise DataError(f"{path}: no tasks/task*.json there: give a checkout of allenai/natural-instructions")
    for name in names:
        try:
            row = _example(name, orjson.loads((tasks / f"{name}.json").read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            said = f"lacks the key {error}" if isinstance(error, KeyError) else str(error)
            bad.append(BadRow(where=f"{name}.json", reason=f"no task of Super-NaturalInstructions: {said}"))
        else:
            if row:
                yield row
            else:
                skipped["no English task of writing"] += 1


def _training_tasks(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").split() if file.is_file() else []


def _example(name: str, task: dict[str, Any]) -> Row | None:
    """The row of a task, None where it is not written in English. If no example is in style, the first drawn is given, so that the
    rules refuse it with a reason."""
    category = _first(task["Categories"])
    if category not in WRITING or [task["Input_language"], task["Output_language"]] != [_ENGLISH, _ENGLISH]:
        return None
    drawn = sorted(task["Instances"], key=lambda one: digest(["example", name, one["input"]]))
    answers = [(one, text.strip()) for one in drawn for text in one["output"]]
    if not answers:
        raise ValueError("it has no instances")
    fitting = (found for found in answers if not objection(found[1], NATURAL_INSTRUCTIONS))
    one, output = next(fitting, answers[0])
    return {
        "instruction": f"{_first(task['Definition']).strip()}\n\n{one['input'].strip()}", "output": output,
        "source": NATURAL_INSTRUCTIONS, "skill": category, "licence": _licence(task), "id": name, "score": 0,
    }  # fmt: skip


def _first(value: str | list[str]) -> str:
    """Definition and categories are lists since version 2.5 of the tasks, and were texts before."""
    return value if isinstance(value, str) else next(iter(value), "")


def _licence(task: dict[str, Any]) -> str:
    """`CC BY 4.0` as `CC-BY-4.0`; of the tasks themselves (Apache-2.0) where none of the instances' is stated."""
    stated = [re.sub(r"\s+", "-", text.strip()) for text in task.get("Instance License") or ()]
    return ", ".join(stated) or "Apache-2.0"
