"""The forms in which people and trainers bring rows: values of other libraries, message lists, several answers in a row,
references under other names.

    plain({"reference": numpy.float64(0.5)})                                  # {"reference": 0.5}
    answer_text([{"role": "assistant", "content": "4"}, {"role": "tool", "content": "ok"}])     # "4"
    [*each_answer([{"answer": ["4", "5"]}])]            # two rows of the id 1, with `sample` 0 and 1
    [*each_answer([{"id": 7, "answer": 4}] * 2)]        # the second one is `sample` 1: no two verdicts have one name

Invariant: a row that is in our own form already comes back equal.
"""

import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from evoltune.rows.turns import read_turns

OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "reference": ("answer", "solution", "ground_truth", "expected_answer", "final_answer"),
    "tests": ("test", "test_list", "test_cases"),
}
"""Our column -> names of datasets for it, the most common first; `answer` is one only where the answer comes apart from the
row, as in a trainer's columns."""
ANSWER_LISTS = ("answers", "completions", "responses", "generations", "samples")
"""Columns with several answers, beside an `answer` that is a list."""

_NARROW = {
    "float32": "f", "Float32": "f", "torch.float32": "f", "float": "f",
    "float16": "e", "torch.float16": "e", "halffloat": "e",
}  # fmt: skip
"""Types of NumPy, pandas, PyTorch and Arrow that hold fewer digits than Python's floats -> their letter in `struct`."""


def plain(value: Any) -> Any:
    """The value in plain Python: arrays, tensors, series and their scalars as lists and numbers, what is missing as None."""
    return _plain(value, {})


def _plain(value: Any, seen: dict[int, Any]) -> Any:
    if value is None or type(value) in (str, int, bool, float):
        return value
    if id(value) in seen:  # containers may share parts
        return seen[id(value)]
    found: Any = value
    if isinstance(value, Mapping):
        found = {key: _plain(part, seen) for key, part in value.items()}
    elif isinstance(value, list | tuple):
        found = type(value)(_plain(part, seen) for part in value) if type(value) in (list, tuple) else list(value)
    elif type(value).__name__ in ("NAType", "NaTType"):
        found = None
    else:
        for method in ("tolist", "to_pylist", "as_py"):
            if callable(convert := getattr(value, method, None)):
                found = convert()
                found = found if found is value else _plain(found, seen)
                if form := _NARROW.get(str(getattr(value, "dtype", "") or getattr(value, "type", ""))):
                    found = _as_written(found, form)
                break
    seen[id(value)] = found
    return found


def _as_written(value: Any, form: str) -> Any:
    """Numbers of a narrow type with the fewest digits that mean them: 0.1, where a plain conversion gives 0.10000000149."""
    if isinstance(value, list):
        return [_as_written(part, form) for part in value]
    if isinstance(value, float) and math.isfinite(value):
        bits = struct.pack(form, value)
        for digits in range(1, 9):
            with suppress(OverflowError):  # rounded up beyond the largest
                if struct.pack(form, shorter := float(f"{value:.{digits}g}")) == bits:
                    return shorter
    return value


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row in plain Python; a cell that holds NaN, as data frames mark what is missing, is None."""
    found = {name: plain(value) for name, value in row.items()}
    return {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in found.items()}


def column_values(value: Any) -> list[Any] | None:
    """A column's values: of a list, an array, a tensor, a series, a column of `datasets`; None for anything else, also for a
    set, which has no order."""
    if isinstance(value, str | bytes | Mapping | set | frozenset):
        return None
    found = plain(value)
    if isinstance(found, list | tuple):
        return list(found)
    return list(plain(list(value))) if isinstance(value, Iterable) and hasattr(value, "__len__") else None


def rows_of(rows: Any) -> Iterable[Any]:
    """The rows of a data frame as objects; other iterables as they are."""
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        found: Iterable[Any] = rows.to_dict("records")
        return found
    return rows  # type: ignore[no-any-return]


def with_our_names(row: dict[str, Any], *, apart: bool = False) -> dict[str, Any]:
    """The row with `reference` and `tests` taken from their other names where it lacks them.

    `apart`: the row holds no answer of a model, so that its `answer` is a reference.
    """
    found = dict(row)
    for ours, others in OTHER_NAMES.items():
        if found.get(ours) is None:
            names = (name for name in others if apart or name != "answer")
            value = next((row[name] for name in names if row.get(name) is not None), None)
            if value is not None:
                found[ours] = value
    return found


def is_conversation(value: Any) -> bool:
    """Whether a value is a list of messages."""
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(message, Mapping) for message in value)


def is_number(value: Any) -> bool:
    """Whether a value is a number, of which a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def answer_text(completion: Any) -> str:
    """A completion's text; of a number its digits. Of a conversation, the text of the assistant's last turn that has one: results
    of tools are not the model's, and a call of a tool is no answer."""
    if isinstance(completion, str):
        return completion
    if is_number(completion):
        with suppress(ValueError):  # an integer of more digits than str() allows
            return str(completion)
    if isinstance(completion, Mapping):
        completion = [completion]
    if not isinstance(completion, Sequence) or not completion:
        return ""
    named = [m if not isinstance(m, Mapping) or _has_role(m) else {"role": "assistant", **m} for m in completion]
    spoken = [
        m for m in named if isinstance(m, Mapping) and m.get("content", m.get("value", m.get("text"))) is not None
    ]
    turns = read_turns(spoken, "answer")
    if isinstance(turns, str):
        return ""
    return next((t.content for t in reversed(turns.turns) if t.role == "assistant" and t.content.strip()), "")


def prompt_text(prompt: Any) -> str:
    """What a prompt asks: of a conversation, what the user said last. An assistant's or a tool's turns behind it, as in a
    trainer's several-turn rollouts, are not the task."""
    if isinstance(prompt, str):
        return prompt
    messages = [prompt] if isinstance(prompt, Mapping) else list(prompt) if isinstance(prompt, Sequence) else []
    read = [read_turns([message], "prompt") for message in messages if isinstance(message, Mapping)]
    turns = [turn for found in read if not isinstance(found, str) for turn in found.turns]
    asked = [turn.content for turn in turns if turn.role == "user"] or [turn.content for turn in turns]
    return asked[-1] if asked else ""


def _has_role(message: Mapping[str, Any]) -> bool:
    return any(isinstance(message.get(key), str) for key in ("role", "from"))


class Repeats:
    """Finds rows of one id, which would be indistinguishable among the verdicts, and numbers them by `sample`."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        """Repeated ids, and on how many rows each stands."""
        self._next: dict[str, int] = {}
        self._taken: set[tuple[str, int]] = set()

    def numbered(self, rows: Iterable[Mapping[str, Any]], row_id: Any) -> Iterator[Mapping[str, Any]]:
        """The answers of one row of the file: as they are where their `sample` is free, else with the next free number."""
        if not isinstance(row_id, str | int | float):
            yield from rows
            return
        name = str(row_id)
        if name in self._next:
            self.ids[name] = self.ids.get(name, 1) + 1
        for row in rows:
            sample = row.get("sample")
            sample = sample if isinstance(sample, int) and not isinstance(sample, bool) else 0
            if (name, sample) in self._taken:
                sample = self._next[name]
                row = {**row, "sample": sample}
            self._taken.add((name, sample))
            self._next[name] = max(self._next.get(name, 0), sample + 1)
            yield row


def each_answer(rows: Iterable[Any], repeats: Repeats | None = None) -> Iterator[Any]:
    """A row for each answer. A row without an id gets its number, so that all its answers are counted as one problem's. No two
    rows come with the same id and `sample`; `repeats` remembers the ids that stand on several."""
    repeats = repeats or Repeats()
    for number, row in enumerate(rows, 1):
        if isinstance(row, Mapping):
            row_id = row.get("id")
            is_missing = row_id is None or (isinstance(row_id, str) and not row_id)
            row_id = number if is_missing else row_id
            yield from repeats.numbered(_answers_of({**row, "id": row_id} if is_missing else row), row_id)
        else:
            yield row


def _answers_of(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The row, or where it holds several answers a row for each, numbered by `sample`."""
    column = "answer"
    if row.get("answer") is None:
        column = next((name for name in ANSWER_LISTS if isinstance(row.get(name), list | tuple)), "answer")
    answers = row.get(column)
    if column == "answer" and (not isinstance(answers, list | tuple) or is_conversation(answers)):
        yield row
        return
    rest = {name: value for name, value in row.items() if name != column}
    for number, answer in enumerate(answers or ()):
        yield {**rest, "answer": answer, "sample": number}
    if not answers:
        yield {**rest, "answer": None}
