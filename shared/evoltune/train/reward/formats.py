"""Process-reward data in the forms that people publish, read and written.

    for solution in read_solutions("phase2_train.jsonl"): ...           # the form is recognised by its fields
    write_solutions(Path("out.jsonl"), solutions, "math-shepherd")

| form | a row | labels |
|---|---|---|
| `prm800k` (2305.20050) | question, label.steps[].completions[].rating | 1 and 0 (neutral) right, as in the paper; -1 wrong |
| `math-shepherd` (2312.08935) | input with a mark after each step, label with + or - there | 1, 0 |
| `processbench` (2412.06559) | problem, steps, label | index of the first wrong step, or -1 |
| `steps` | prompt, completions, labels (TRL), with the origin of each label | from 0 to 1, or null |

Invariant: writing refuses what a form cannot hold, so reading back gives the same steps and labels.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evoltune.errors import DataError, nearest
from evoltune.rows.files import jsonl_writer
from evoltune.rows.readers import read_located
from evoltune.train.reward.steps import PERSON, ROLLOUTS, Label, Solution, from_row, hard_labels, to_row

Row = Mapping[str, Any]
MARK = "ки"
"""Math-Shepherd's step tag."""


def read_solutions(source: str | Path) -> Iterator[Solution]:
    """The solutions of a file, folder or hub id, in any of these forms. Raises DataError that names the row."""
    for where, row in read_located(source):
        yield _reader_of(row, where)(row, where)


def write_solutions(path: Path, solutions: Iterable[Solution], form: str = "steps") -> int:
    """Writes JSON lines and returns how many. Raises DataError for labels that the form cannot hold."""
    if form not in WRITERS:
        raise DataError(f"form {form!r}: {nearest(form, WRITERS)}")
    count = 0
    with jsonl_writer(path) as write:
        for solution in solutions:
            write(WRITERS[form](solution))
            count += 1
    return count


def _reader_of(row: Row, where: str) -> Callable[[Row, str], Solution]:
    if "completions" in row and "labels" in row:
        return from_row
    if isinstance(row.get("question"), Mapping) and isinstance(row.get("label"), Mapping):
        return from_prm800k
    if "steps" in row and "problem" in row and "label" in row:
        return from_processbench
    if isinstance(row.get("input"), str) and isinstance(row.get("label"), str):
        return from_math_shepherd
    raise DataError(
        f"{where}: fields {', '.join(map(str, row))}: not a form of step labels; allowed: prompt, completions, labels (steps); "
        "question, label (PRM800K); problem, steps, label (ProcessBench); input, label (Math-Shepherd)"
    )


# ---- PRM800K


def from_prm800k(row: Row, where: str = "row") -> Solution:
    """The path that the labeller took: at each step the chosen completion, the person's own, or the one that ended it."""
    question, given = row["question"], row["label"]
    steps, labels = [], []
    for step in given.get("steps") or ():
        completions, chosen, human = (
            step.get("completions") or [],
            step.get("chosen_completion"),
            step.get("human_completion"),
        )
        if chosen is not None and 0 <= chosen < len(completions):
            taken = completions[chosen]
        elif human:
            taken = {"text": human["text"] if isinstance(human, Mapping) else human, "rating": 1}
        elif completions:
            taken = completions[0]
        else:
            continue
        rating = taken.get("rating")
        if rating not in (-1, 0, 1, None):
            raise DataError(f"{where}: rating {rating!r}: allowed: -1, 0, 1, null")
        steps.append(str(taken["text"]))
        value = None if rating is None else float(rating >= 0)
        labels.append(Label(value=value, method=PERSON if rating is not None else ""))
    reference = question.get("ground_truth_answer")
    extra = {"reference": reference} if reference is not None else {}
    return Solution(prompt=str(question["problem"]), steps=tuple(steps), labels=tuple(labels), name=where, extra=extra)


def to_prm800k(solution: Solution) -> dict[str, Any]:
    ratings = {None: None, 0.0: -1, 1.0: 1}
    steps = [
        {"completions": [{"text": step, "rating": ratings[value], "flagged": False}], "human_completion": None,
         "chosen_completion": 0}
        for step, value in zip(solution.steps, _hard(solution, "prm800k", unknown=True), strict=True)
    ]  # fmt: skip
    reason = "found_error" if (solution.first_error or 0) >= 0 and solution.first_error is not None else "solution"
    return {
        "question": {"problem": solution.prompt, "ground_truth_answer": solution.extra.get("reference")},
        "label": {"steps": steps, "finish_reason": reason},
    }


# ---- Math-Shepherd


def from_math_shepherd(row: Row, where: str = "row") -> Solution:
    """The question is what stands before `Step 1:`; each step ends at its mark. The two texts are the same but for the marks, so a
    plus or minus of the text itself is none."""
    *parts, rest = row["input"].split(MARK)
    signs = _signs(parts, row["label"])
    question, first, step = parts[0].partition("Step 1:") if parts else ("", "", "")
    if signs is None or rest.strip() or not first:
        raise DataError(
            f"{where}: not a row of Math-Shepherd: `label` is `input` with + or - for each {MARK!r}, the last of which ends it, and "
            "its steps begin with `Step 1:`"
        )
    prompt, steps = question.strip(), [(first + step).strip(), *map(str.strip, parts[1:])]
    labels = tuple(Label(value=float(sign == "+"), method=ROLLOUTS) for sign in signs)
    extra = {"task": row["task"]} if row.get("task") else {}
    return Solution(prompt=prompt, steps=tuple(steps), labels=labels, name=where, extra=extra)


def _signs(parts: Sequence[str], marked: str) -> list[str] | None:
    """The sign behind each of the parts of a marked text; None where it is another text."""
    signs, at = [], 0
    for part in parts:
        end = at + len(part)
        if marked[at:end] != part or marked[end : end + 1] not in ("+", "-"):
            return None
        signs.append(marked[end])
        at = end + 1
    return None if marked[at:].strip() else signs


def to_math_shepherd(solution: Solution) -> dict[str, Any]:
    values = _hard(solution, "math-shepherd", unknown=False)
    if not solution.steps or not solution.steps[0].startswith("Step 1:"):
        raise DataError(f"{solution.name}: form math-shepherd: its steps begin `Step 1:`")
    if "Step 1:" in solution.prompt or any(MARK in text for text in (solution.prompt, *solution.steps)):
        raise DataError(f"{solution.name}: form math-shepherd: its question holds `Step 1:`, or its text {MARK!r}")
    lines = [(step, "+" if value else "-") for step, value in zip(solution.steps, values, strict=True)]
    return {
        "input": f"{solution.prompt} " + "\n".join(f"{step} {MARK}" for step, _ in lines),
        "label": f"{solution.prompt} " + "\n".join(f"{step} {sign}" for step, sign in lines),
        "task": solution.extra.get("task", "GSM8K"),
    }


# ---- ProcessBench


def from_processbench(row: Row, where: str = "row") -> Solution:
    steps, label = tuple(row["steps"]), row["label"]
    if not isinstance(label, int) or not -1 <= label < len(steps):
        raise DataError(f"{where}: label {label!r}: must be -1 or the index of one of the {len(steps)} steps")
    kept = {name: row[name] for name in ("generator", "final_answer_correct") if name in row}
    return Solution(
        prompt=str(row["problem"]), steps=steps, separator="\n\n", name=str(row.get("id") or where), extra=kept,
        labels=hard_labels(len(steps), first_error=label, method=PERSON),
    )  # fmt: skip


def to_processbench(solution: Solution) -> dict[str, Any]:
    error = solution.first_error
    if error is None or any(
        label.value not in (0.0, 1.0) for label in solution.labels[: error + 1 if error >= 0 else None]
    ):
        raise DataError(f"{solution.name}: form processbench: every step up to the first error needs a label 0 or 1")
    return {
        "id": solution.name, "generator": solution.extra.get("generator", ""), "problem": solution.prompt,
        "steps": list(solution.steps), "final_answer_correct": solution.extra.get("final_answer_correct", error < 0),
        "label": error,
    }  # fmt: skip


def _hard(solution: Solution, form: str, *, unknown: bool) -> list[float | None]:
    """The labels as 0 and 1, and None where the form has a place for it. Raises DataError for others."""
    values = [label.value for label in solution.labels]
    for value in values:
        if value not in (0.0, 1.0) and not (value is None and unknown):
            allowed = "0, 1 and null" if unknown else "0 and 1"
            raise DataError(f"{solution.name}: form {form} holds the labels {allowed}, not {value!r}: write form steps")
    return values


WRITERS: Mapping[str, Callable[[Solution], dict[str, Any]]] = {
    "steps": to_row, "prm800k": to_prm800k, "math-shepherd": to_math_shepherd, "processbench": to_processbench,
}  # fmt: skip
