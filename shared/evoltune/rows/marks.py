"""What other columns of a row say against training on its text: another split, a wrong answer, pictures, a question elsewhere.

    objection({"instruction": "Answer.", "question": "2 + 2?", "output": "4"}, asked="instruction", texts=["Answer.", "4"])
    ->  "columns 'instruction' and 'question' hold different questions ..."

To name such a column as not read would not do: the row would be learnt wrongly.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

OTHER_SPLITS = frozenset("test testing validation valid val dev eval evaluation holdout heldout".split())
QUESTIONS = ("instruction", "prompt", "question", "problem", "query")
_SPLITS = ("split", "subset", "partition", "data_split", "dataset_split")
_CORRECT = ("is_correct", "is_valid")
_CORRECT_IF_BOOLEAN = ("correct", "passed")
_WEIGHTS = ("weight", "loss_weight", "sample_weight", "train", "trainable")
_MEDIA = frozenset("image images video videos audio audios".split())
_PLACEHOLDER = re.compile(r"<(image|video|audio)(_\d+|\d+)?>|<\|(image|video|audio)_?\d*\|>")
_OPTIONS = ("options", "choices")
_LETTER = re.compile(r"\W*[A-Z0-9]\W*")
_MARKERS = re.compile(r"\W+")


def objection(row: Mapping[str, Any], *, asked: str, texts: Sequence[str]) -> str:
    """Why a row must not be learnt as the conversation that was read from it; "" where nothing speaks against it.

    `asked`: the column of the question, or of the conversation. `texts`: the contents of all turns.
    """
    return (
        _marked_as_bad(row)
        or _of_another_split(row)
        or _needs_media(row, texts)
        or _asked_elsewhere(row, asked, texts)
        or _options_left_out(row, texts)
    )


def _marked_as_bad(row: Mapping[str, Any]) -> str:
    if isinstance(row.get("label"), bool):
        return (
            "column 'label' marks answers as good or bad (unpaired preferences), and both would be trained: keep the good "
            "rows and remove the column"
        )
    marks = [c for c in _CORRECT if _is_off(row.get(c))] + [c for c in _CORRECT_IF_BOOLEAN if row.get(c) is False]
    if wrong := next(iter(marks), ""):
        return f"column {wrong!r} is {row[wrong]!r}: the answer is marked as wrong: remove the row, or the column"
    if unweighted := next((c for c in _WEIGHTS if _is_off(row.get(c))), ""):
        return f"column {unweighted!r} is {row[unweighted]!r}: the row is marked as not to be trained: remove the row, or the column"
    return ""


def _is_off(value: Any) -> bool:
    return (isinstance(value, bool | int | float) and value == 0) or (
        isinstance(value, str) and value.strip().lower() in ("false", "0", "0.0")
    )


def _of_another_split(row: Mapping[str, Any]) -> str:
    for column in _SPLITS:
        value = row.get(column)
        words = set(re.split(r"[^a-z]+", value.lower())) if isinstance(value, str) else set()
        if words & OTHER_SPLITS and "train" not in words:
            return f"column {column!r} is {value!r}: not a row of the training split: remove the row, or the column"
    return ""


def _needs_media(row: Mapping[str, Any], texts: Sequence[str]) -> str:
    """A picture is data, or named where a placeholder in the text stands for it; a mere address beside a text is none."""
    shown = any(_PLACEHOLDER.search(text) for text in texts)
    for column, value in row.items():
        given = value not in (None, "", [], {}) and (shown or not isinstance(value, str))
        if str(column).lower() in _MEDIA and given:
            return f"column {column!r} holds what the text is about, and only text is supported: remove the row, or the column"
    return ""


def _asked_elsewhere(row: Mapping[str, Any], asked: str, texts: Sequence[str]) -> str:
    """A second question, which no turn has: an instruction for all rows beside the question of this one."""
    if asked not in QUESTIONS:
        return ""
    spoken = " ".join(" ".join(texts).split())
    for column in QUESTIONS:
        value = row.get(column)
        if column == asked or not isinstance(value, str) or not value.strip():
            continue
        other = " ".join(value.split())
        if other not in spoken and " ".join(str(row[asked]).split()) not in other:
            return (
                f"columns {asked!r} and {column!r} hold different questions, and only {asked!r} would be asked: join them, or "
                "remove one"
            )
    return ""


def _options_left_out(row: Mapping[str, Any], texts: Sequence[str]) -> str:
    """An answer that is the letter of an option, where no turn shows the options."""
    if not texts or not _LETTER.fullmatch(texts[-1]):
        return ""
    for column in _OPTIONS:
        words = [option for option in _strings(row.get(column)) if len(_MARKERS.sub("", option)) > 1]
        if words and not any(option in text for option in words for text in texts[:-1]):
            return (
                f"column {column!r} holds the options of which {texts[-1].strip()!r} is one, and the question does not show them: "
                "write them into it"
            )
    return ""


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
