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


def _reader(to_task: Callable[[str, Row], Task]) -> Callable[[Path], Iterator[Task]]:
    def load(path: Path) -> Iterator[Task]:
        for place, row in upstream_rows(path):
            try:
                yield to_task(place, row)
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


def _gsm8k(suite: str) -> Callable[[str, Row], Task]:
    def to_task(place: str, row: Row) -> Task:
        solution = _text(row, "answer")
        return Task(
            instruction=_text(row, "question"),
            reference=hash_reference(solution),
            fields={"solution": solution},
            name=f"{suite}/{place}",
        )

    return to_task


def _gsm_hard(place: str, row: Row) -> Task:
    return Task(
        instruction=_text(row, "input"),
        reference=number_text(row["target"]),
        fields={"solution": _text(row, "code")},
        name=f"gsm-hard/{place}",
    )


def _svamp(place: str, row: Row) -> Task:
    body, question = _text(row, "Body").strip(), _text(row, "Question").strip()
    joint = " " if body.endswith((".", "!", "?")) else ", "
    return Task(
        instruction=f"{body}{joint}{question}",
        reference=number_text(float(row["Answer"])),
        fields={"skill": row["Type"], "equation": _text(row, "Equation")},
        name=f"svamp/{row['ID']}",
    )


def _math(place: str, row: Row) -> Task:
    """MATH: problem, level, type (or subject), solution; MATH-500 has `answer` and `unique_id` too."""
    return Task(
        instruction=_text(row, "problem"),
        reference=_text(row, "answer") if "answer" in row else boxed(_text(row, "solution")),
        fields={
            "skill": row.get("type", row.get("subject", "")),
            "level": str(row.get("level", "")),
            "solution": _text(row, "solution"),
        },
        name=f"math/{row.get('unique_id') or place}",
    )


def _heldout(path: Path) -> Iterator[Task]:
    return map(task_of, read_rows(path))


BENCHMARKS: Mapping[str, Benchmark] = {
    "gsm8k": Benchmark(
        load=_reader(_gsm8k("gsm8k")),
        sha256="4e82068434a2229599bc7a7de5196b4547a4c51762b01402b390735511fd280f",
        licence="MIT",
        file="gsm8k/test.jsonl.gz",
        hub="openai/gsm8k",
    ),
    "gsm8k-train": Benchmark(
        load=_reader(_gsm8k("gsm8k-train")),
        sha256="a8df3fbbe2e2c003bce980d68e16fb03ff69fc92c306c4029d126b967c5ec53b",
        licence="MIT",
        file="gsm8k/train.jsonl.gz",
        hub="openai/gsm8k:main:train",
    ),
    "gsm-hard": Benchmark(
        load=_reader(_gsm_hard),
        sha256="fa11498e5abec8ccc3a0fa1b82797b4b53a521993f8c438efe55412e06237017",
        licence="MIT",
        file="gsm_hard/gsmhardv2.jsonl.gz",
        hub="reasoning-machines/gsm-hard::train",
    ),
    "svamp": Benchmark(
        load=_reader(_svamp),
        sha256="008f23a0c99192d883c804a5f1d8ecf8d46997e6a897b8624c45bba3d64fa342",
        licence="MIT",
        file="svamp/SVAMP.json.gz",  # not from the hub: the data set there has only 300 of the 1,000
    ),
    "math": Benchmark(load=_reader(_math), sha256="", licence="MIT", file="math/test", hub="EleutherAI/hendrycks_math"),
    "math-500": Benchmark(
        load=_reader(_math), sha256="", licence="MIT", file="math/math500.jsonl", hub="HuggingFaceH4/MATH-500"
    ),
    "gradeschool-heldout": Benchmark(
        load=_heldout,
        sha256="be63b2700a7b84e07375a50203f94d41bc7649e25b80f51bc6fff48683156176",
        licence="Apache-2.0",
        # Shipped with the package: joining a folder of suites and an absolute path gives the absolute path.
        file=str(HELDOUT),
    ),
}
