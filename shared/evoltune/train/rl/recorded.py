"""Sampled answers of a reinforcement run with what each was rewarded for, in SAMPLED; the report page shows the first and the last.

    reward = RecordedReward(product, folder / SAMPLED, steps=10, last=100, parts=("verifier", "steps"))   # TRL calls it as `product`

Of step 1, of every tenth and of the last: to each of the step's first prompts the best and the worst rewarded answer. Invariants:
the trainer gets what the reward gives, and its hooks are called as before.
"""

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evoltune.train import metrics
from evoltune.verification.row_forms import answer_text, prompt_text

PROMPTS = 2
"""Of a step, of which answers are recorded."""
LONGEST = 4000
"""Characters of a prompt or an answer that are kept."""
Score = float | None


class RecordedReward:
    """`reward`, which also writes some of what it sees; only on rank 0, whose answers are as good as any other's."""

    def __init__(self, reward: Any, path: Path, *, steps: int, last: int, parts: Sequence[str]) -> None:
        """`parts`: of those that the reward logs, the ones that this run has."""
        self.__name__ = reward.__name__
        self._reward, self._path, self._parts = reward, path, (*parts, "status", "reason")
        self._steps, self._last = steps, last
        self._first = os.environ.get("RANK", "0") == "0"

    def __call__(
        self, completions: Sequence[Any], prompts: Sequence[Any] | None = None, **columns: Any
    ) -> Sequence[Score]:
        state, log_extra = columns.get("trainer_state"), columns.get("log_extra")
        step = getattr(state, "global_step", -1) + 1
        if prompts is None or not self._first or not self._is_recorded(step):
            return self._reward(completions, prompts, **columns)  # type: ignore[no-any-return]
        logged: dict[str, Sequence[Any]] = {}

        def log(column: str, values: Sequence[Any]) -> None:
            logged[column] = values
            if callable(log_extra):
                log_extra(column, values)

        scores: Sequence[Score] = self._reward(completions, prompts, **{**columns, "log_extra": log})
        parts = {part: v for part in self._parts for column, v in logged.items() if column.endswith(f"_{part}")}
        asked, answers = [prompt_text(prompt) for prompt in prompts], [answer_text(text) for text in completions]
        for i in extremes(asked, answers, scores):
            found = {"prompt": asked[i][:LONGEST], "answer": answers[i][:LONGEST], "reward": scores[i]}
            metrics.append(self._path, {"step": step, **found, **{part: values[i] for part, values in parts.items()}})
        return scores

    def _is_recorded(self, step: int) -> bool:
        return step > 0 and (step in (1, self._last) or step % self._steps == 0)


def extremes(prompts: Sequence[str], answers: Sequence[str], scores: Sequence[Score]) -> Iterator[int]:
    """Places of the best and the worst rewarded answer to each of the first prompts; one where the two are the same text. What
    could not be judged is below every score."""
    places: dict[str, list[int]] = {}
    for i, prompt in enumerate(prompts):
        places.setdefault(prompt, []).append(i)
    for found in list(places.values())[:PROMPTS]:
        ranked = sorted(found, key=lambda i: _rank(scores[i]), reverse=True)
        yield ranked[0]
        if answers[ranked[-1]] != answers[ranked[0]]:
            yield ranked[-1]


def _rank(score: Score) -> float:
    return -math.inf if score is None else score
