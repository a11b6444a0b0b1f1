"""Solutions in steps, each with a label that says where it comes from; rows {prompt, completions, labels} of them.

    steps, separator = split_steps("8 * 6 = 48\\n48 - 8 = 40\\n#### 40")
    Solution(prompt="...", steps=steps, labels=hard_labels(3, first_error=1, method="check"))

A label is the probability that the solution is right up to and including the step: 1 or 0 of a person, an exact check, a
judge or two methods that agree; a share of rollouts from the step on. Invariants: a step that nobody judged has no value,
and no step after the first error has one; `join(split(text))` keeps every step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evoltune.errors import DataError
from evoltune.text.responses import final_text

CHECK, ROLLOUTS, JUDGE, PERSON, PLANTED = "check", "rollouts", "judge", "person", "planted"
"""Methods of a label; two that agree are named `check+rollouts`."""
HALF = 0.5


@dataclass(frozen=True, kw_only=True)
class Label:
    """What is known of one step."""

    value: float | None = None
    """Between 0 and 1; None: not judged, so the step carries no loss."""
    method: str = ""
    tried: int = 0
    """Rollouts from this step on, or judgements of it."""
    passed: int = 0
    """How many of them ended in an answer that the verifier passed, or found no error."""


@dataclass(frozen=True, kw_only=True)
class Solution:
    """A prompt, a solution of it in steps, and a label for each step."""

    prompt: str
    steps: tuple[str, ...]
    labels: tuple[Label, ...]
    separator: str = "\n"
    name: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What else the source says: reference, generator, task."""

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.labels):
            raise DataError(f"{self.name or 'solution'}: {len(self.steps)} steps have {len(self.labels)} labels")

    @property
    def text(self) -> str:
        return self.separator.join(self.steps)

    @property
    def first_error(self) -> int | None:
        """The index of the first step labelled wrong; -1: every step is labelled right; None: neither is known."""
        for index, label in enumerate(self.labels):
            if label.value is not None and label.value < HALF:
                return index
        return -1 if all(label.value is not None for label in self.labels) else None


def split_steps(text: str) -> tuple[tuple[str, ...], str]:
    """The steps of a solution and what separates them: paragraphs where it has any, else lines. Thoughts are left out, and what
    follows an end mark, as the verifier reads neither."""
    answer = final_text(text)
    separator = "\n\n" if "\n\n" in answer.strip() else "\n"
    return tuple(step.strip() for step in answer.split(separator) if step.strip()), separator


def hard_labels(count: int, *, first_error: int, method: str) -> tuple[Label, ...]:
    """1 before the first error, 0 there, no value after it; `first_error` -1: all right."""
    right, wrong, unknown = Label(value=1.0, method=method), Label(value=0.0, method=method), Label(method=method)
    if first_error < 0:
        return (right,) * count
    return tuple(right if i < first_error else wrong if i == first_error else unknown for i in range(count))


def until_first_error(labels: Sequence[Label]) -> tuple[Label, ...]:
    """The labels without the values of steps after the first one labelled wrong, which build on it."""
    found: list[Label] = []
    wrong = False
    for label in labels:
        found.append(Label(method=label.method) if wrong else label)
        wrong = wrong or (label.value is not None and label.value < HALF)
    return tuple(found)


def consensus(first: Sequence[Label], second: Sequence[Label]) -> tuple[Label, ...]:
    """Hard labels where both methods judged a step and agree; no value elsewhere (2501.07301, section 3)."""
    if len(first) != len(second):
        raise DataError(f"labels of {len(first)} and of {len(second)} steps cannot be of one solution")
    found = []
    for a, b in zip(first, second, strict=True):
        method = "+".join(sorted(filter(None, (a.method, b.method))))
        agree = a.value is not None and b.value is not None and (a.value >= HALF) == (b.value >= HALF)
        value = float((a.value or 0.0) >= HALF) if agree else None
        found.append(Label(value=value, method=method, tried=a.tried + b.tried, passed=a.passed + b.passed))
    return until_first_error(found)


def to_row(solution: Solution) -> dict[str, Any]:
    """{prompt, completions, labels}, the form that TRL reads, with the origin of each label beside it."""
    return {
        **solution.extra,
        "prompt": solution.prompt,
        "completions": list(solution.steps),
        "labels": [label.value for label in solution.labels],
        "label_origins": [
            {"method": label.method, "tried": label.tried, "passed": label.passed} for label in solution.labels
        ],
        "separator": solution.separator,
        **({"name": solution.name} if solution.name else {}),
    }


_OWN = frozenset(["prompt", "completions", "labels", "label_origins", "separator", "name"])


def from_row(row: Mapping[str, Any], where: str = "row") -> Solution:
    """The solution of a {prompt, completions, labels} row. Labels are numbers from 0 to 1, booleans, or null. Raises DataError."""
    prompt, steps, values = row.get("prompt"), row.get("completions"), row.get("labels")
    if not isinstance(prompt, str) or not _are_texts(steps) or not isinstance(values, list):
        raise DataError(f"{where}: needs `prompt` (text), `completions` (list of texts) and `labels` (list)")
    origins = row.get("label_origins") or [{}] * len(values)
    if len(origins) != len(values):
        raise DataError(f"{where}: {len(values)} labels have {len(origins)} label_origins")
    labels = []
    for value, origin in zip(values, origins, strict=True):
        if value is not None and (not isinstance(value, int | float) or not 0 <= value <= 1):
            raise DataError(f"{where}: label {value!r}: must be null, true, false or a number from 0 to 1")
        labels.append(Label(value=None if value is None else float(value), **origin))
    return Solution(
        prompt=prompt, steps=tuple(steps or ()), labels=tuple(labels), separator=row.get("separator") or "\n",
        name=str(row.get("name") or where), extra={k: v for k, v in row.items() if k not in _OWN},
    )  # fmt: skip


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
