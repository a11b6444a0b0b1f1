"""Maths suites: GSM8K, GSM-Hard, SVAMP, MATH, MATH-500 and our own held-out suite, in their upstream formats.

    next(iter(BENCHMARKS["gsm8k"].load(Path("gsm8k/test.jsonl.gz")))).reference     # '18'

A suite is a file that `evoltune.rows.readers` reads (JSONL, a JSON array, gzipped or not) or, as MATH was published, a
folder of files with one problem each. Each task has a reference and a name that is unique in its suite; a damaged row is
an error that names its place. An empty `sha256` means that no hash is published: that of the first load is recorded.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evoltune.domain import Benchmark
from evoltune.errors import DataError
from evoltune.record import Task
from evoltune.rows.readers import read_located, read_rows
from evoltune_math.answers.reading.cleanup import closing_brace
from evoltune_math.seeds import HELDOUT, task_of

Row = Mapping[str, Any]


def upstream_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """(place, row): the place is the line number in a file, and in a folder the path of the problem's file without suffix."""
    if not path.is_dir():
        for place, row in read_located(path):
            yield place.rpartition(":")[2], row
        return
    for file in sorted(path.rglob("*.json")):
        for _, row in read_located(file):
            yield file.relative_to(path).with_suffix("").as_posix(), row


def _reader(to_task: Callable[[str, Row, str], Task], suite: str) -> Callable[[Path], Iterator[Task]]:
    def load(path: Path) -> Iterator[Task]:
        for place, row in upstream_rows(path):
            try:
                yield to_task(suite, row, place)
            except KeyError as error:
                raise DataError(f"{path}:{place}: no field {error} (found: {', '.join(row)})") from error
            except (ValueError, TypeError) as error:
                raise DataError(f"{path}:{place}: {error}") from error

    return load


def _text(row: Row, field: str) -> str:
    if not isinstance(row[field], str):
        raise ValueError(f"field {field!r} is {row[field]!r}, must be a string")
    return str(row[field])


def hash_reference(answer: str) -> str:
    """The text after the last `####`, without thousands commas. Raises ValueError if there is none."""
    _, mark, reference = answer.rpartition("####")
    if not mark or not reference.strip():
        raise ValueError(f"no '#### ' reference in answer {answer[-60:]!r}")
    return reference.strip().replace(",", "")


def boxed(solution: str) -> str:
    r"""The content of the last `\boxed{...}` or `\fbox{...}` (braces balanced), or `\boxed x`. Raises ValueError."""
    marks = [mark.end() for mark in re.finditer(r"\\(?:boxed|fbox)\s*", solution)]
    if not marks:
        raise ValueError(f"no \\boxed answer in solution {solution[-60:]!r}")
    start = marks[-1]
    if solution[start : start + 1] != "{":
        return re.split(r"[\s$]", solution[start:].strip(), maxsplit=1)[0]
    end = closing_brace(solution, start)
    if end < 0:
        raise ValueError(f"unbalanced braces after \\boxed: {solution[start : start + 60]!r}")
    return solution[start + 1 : end].strip()


def number_text(value: float | int) -> str:
    """`18.0` -> `18`: whole floats without a point, others in the shortest spelling that reads back the same."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _gsm8k(suite: str, row: Row, place: str) -> Task:
    question, solution = _text(row, "question"), _text(row, "answer")
    fields = {"solution": solution}
    return Task(instruction=question, reference=hash_reference(solution), fields=fields, name=f"{suite}/{place}")


def _gsm_hard(suite: str, row: Row, place: str) -> Task:
    question, fields = _text(row, "input"), {"solution": _text(row, "code")}
    return Task(instruction=question, reference=number_text(row["target"]), fields=fields, name=f"{suite}/{place}")


def _svamp(suite: str, row: Row, place: str) -> Task:
    body, question = _text(row, "Body").strip(), _text(row, "Question").strip()
    text = body + (" " if body.endswith((".", "!", "?")) else ", ") + question
    fields = {"skill": row["Type"], "equation": _text(row, "Equation")}
    reference = number_text(float(row["Answer"]))
    return Task(instruction=text, reference=reference, fields=fields, name=f"{suite}/{row['ID']}")


def _math(suite: str, row: Row, place: str) -> Task:
    """MATH: problem, level, type (or subject), solution; MATH-500 has `answer` and `unique_id` too."""
    problem, solution = _text(row, "problem"), _text(row, "solution")
    reference = _text(row, "answer") if "answer" in row else boxed(solution)
    skill, level = row.get("type", row.get("subject", "")), str(row.get("level", ""))
    fields = {"skill": skill, "level": level, "solution": solution}
    return Task(instruction=problem, reference=reference, fields=fields, name=f"math/{row.get('unique_id') or place}")


_SHA256 = {
    "gsm8k": "4e82068434a2229599bc7a7de5196b4547a4c51762b01402b390735511fd280f",
    "gsm8k-train": "a8df3fbbe2e2c003bce980d68e16fb03ff69fc92c306c4029d126b967c5ec53b",
    "gsm-hard": "fa11498e5abec8ccc3a0fa1b82797b4b53a521993f8c438efe55412e06237017",
    "svamp": "008f23a0c99192d883c804a5f1d8ecf8d46997e6a897b8624c45bba3d64fa342",
}


def _suite(name: str, to_task: Callable[[str, Row, str], Task], file: str, hub: str = "") -> Benchmark:
    return Benchmark(load=_reader(to_task, name), sha256=_SHA256.get(name, ""), licence="MIT", file=file, hub=hub)


BENCHMARKS: Mapping[str, Benchmark] = {
    "gsm8k": _suite("gsm8k", _gsm8k, "gsm8k/test.jsonl.gz", "openai/gsm8k"),
    "gsm8k-train": _suite("gsm8k-train", _gsm8k, "gsm8k/train.jsonl.gz", "openai/gsm8k:main:train"),
    "gsm-hard": _suite("gsm-hard", _gsm_hard, "gsm_hard/gsmhardv2.jsonl.gz", "reasoning-machines/gsm-hard::train"),
    "svamp": _suite("svamp", _svamp, "svamp/SVAMP.json.gz"),  # the data set on the hub has only 300 of the 1,000
    "math": _suite("math", _math, "math/test", "EleutherAI/hendrycks_math"),
    "math-500": _suite("math-500", _math, "math/math500.jsonl", "HuggingFaceH4/MATH-500"),
    "gradeschool-heldout": Benchmark(
        load=lambda path: map(task_of, read_rows(path)),
        sha256="be63b2700a7b84e07375a50203f94d41bc7649e25b80f51bc6fff48683156176",
        licence="Apache-2.0",
        file=str(HELDOUT),  # shipped with the package: an absolute path, which a folder of suites does not change
    ),
}
