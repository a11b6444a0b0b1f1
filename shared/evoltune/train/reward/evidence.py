"""What the likelihood of a solution's tokens says of its steps, and how it becomes a score. Imports no torch.

| evidence | the least log probability of a token of |
|---|---|
| result | the number that the step arrives at: behind its last equals sign, else its last one |
| text | the whole step, where it has no number |

A logistic regression on labelled steps weighs them (`fit`). Invariants: a step's evidence depends on the prompt and the steps up to
it alone; no weight is negative, so a likelier token never lowers a score; a score of 1/2 is where the first errors of the labelled
solutions are found best. The step's other numbers and words were tried too: they found no further errors, and fewer right steps
were called right.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from evoltune.train.reward.encode import UNLABELLED, Prompting, last_tokens, solution_ids
from evoltune.train.reward.held_out import sigmoid
from evoltune.train.reward.metrics import predicted_error, process_bench
from evoltune.train.reward.steps import HALF

EVIDENCE = ("result", "text")
LEAST = -20.0
"""Log probabilities below count as this one, so that a single strange token cannot outweigh all others in the fit."""
RIDGE = 1e-2
ROUNDS, HALVINGS = 100, 20
"""Of the fit: rounds at most, and of a step that would raise the loss (Newton's does, far from the minimum)."""
NUMBER = re.compile(r"\d[\d,.]*\d|\d")
Evidence = tuple[float, ...]
"""Of one step, in the order of EVIDENCE; 0, as for a certain token, where the step has none of a kind."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A solution as ids, and what each of its tokens is evidence of."""

    prompt: tuple[int, ...]
    ids: tuple[int, ...]
    """Of the solution, up to the end of its last step."""
    ends: tuple[int, ...]
    """For each step the index in `ids` behind its last token; fewer than the steps where the solution was too long."""
    kinds: tuple[int, ...]
    """For each of the ids an index of EVIDENCE; -1: of neither."""
    values: tuple[float, ...]
    """The label of each step, UNLABELLED for none."""


def write_out(
    prompting: Prompting, prompt: str, steps: Sequence[str], values: Sequence[float | None], separator: str, limit: int
) -> Written:
    """The solution in the ids of SFT; of one longer than `limit` tokens, prompt included, the steps that fit."""
    before, ids, spans = solution_ids(prompting, prompt, steps, separator)
    ends = [token + 1 for token in last_tokens(steps, separator, spans)]
    ends = [end for end in ends if len(before) + end <= limit]
    length = ends[-1] if ends else 0
    return Written(
        prompt=tuple(before), ids=tuple(ids[:length]), ends=tuple(ends), kinds=_kinds(steps, separator, spans[:length]),
        values=tuple(UNLABELLED if value is None else value for value in values),
    )  # fmt: skip


def _kinds(steps: Sequence[str], separator: str, spans: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """What each token is evidence of, an index of EVIDENCE or -1."""
    results, texts, at = set[int](), set[int](), 0
    for step in steps:
        if found := result_of(step):
            results.update(range(at + found.start, at + found.stop))
        else:
            texts.update(range(at, at + len(step)))
        at += len(step) + len(separator)
    places = [set(range(*span)) for span in spans]
    return tuple(0 if place & results else 1 if place & texts else -1 for place in places)


def result_of(step: str) -> range:
    """The characters of the first number behind the last equals sign, else of the last number; empty for none."""
    numbers = [range(*match.span()) for match in NUMBER.finditer(step)]
    equals = step.rfind("=")
    return next((number for number in numbers if number.start > equals >= 0), numbers[-1] if numbers else range(0))


def evidence_of(written: Written, logs: Sequence[float]) -> list[Evidence]:
    """The evidence of each step, from the log probabilities of the ids."""
    begins = (0, *written.ends[:-1])
    return [
        tuple(
            min((max(logs[i], LEAST) for i in range(begin, end) if written.kinds[i] == kind), default=0.0)
            for kind in range(len(EVIDENCE))
        )
        for begin, end in zip(begins, written.ends, strict=True)
    ]


def logit(evidence: Evidence, weights: Sequence[float]) -> float:
    """`weights`: one for each kind of evidence, and the constant."""
    return weights[-1] + sum(weight * value for weight, value in zip(weights, evidence, strict=False))


def fit(solutions: Sequence[tuple[Sequence[Evidence], Sequence[float]]]) -> list[float]:
    """The weights for solutions of (evidence, labels), by the cross entropy of the labelled steps; soft labels as they are.

    Right and wrong steps count alike in all, however many of either there are. The constant is then moved so that 1/2 is where
    ProcessBench's F1 of the first errors is best, if the solutions name any.
    """
    rows = [
        (row, value)
        for evidence, values in solutions
        for row, value in zip(evidence, values, strict=False)
        if value != UNLABELLED
    ]
    weights = _minimised([(*row, 1.0) for row, _ in rows], [value for _, value in rows])
    weights[-1] -= _threshold(solutions, weights)
    return weights


def _minimised(rows: Sequence[tuple[float, ...]], values: Sequence[float]) -> list[float]:
    """The weights of least cross entropy, by Newton's method on one weight at a time; all but the last are at least 0."""
    right = sum(values)
    shares = [value / max(right, 1.0) + (1 - value) / max(len(values) - right, 1.0) for value in values]
    weights, logits = [0.0] * (len(EVIDENCE) + 1), [0.0] * len(rows)

    def loss(at: Sequence[float], weight: float) -> float:
        """Without the ridge of the weights that stay as they are."""
        parts = (share * (_softplus(x) - value * x) for x, value, share in zip(at, values, shares, strict=True))
        return sum(parts) + RIDGE * weight * weight / 2

    for _ in range(ROUNDS):
        moved = 0.0
        for k, weight in enumerate(weights):
            slope, curve = RIDGE * weight, RIDGE
            for row, value, share, at in zip(rows, values, shares, logits, strict=True):
                score = sigmoid(at)
                slope += share * (score - value) * row[k]
                curve += share * score * (1 - score) * row[k] * row[k]
            step = -slope / curve
            if k < len(EVIDENCE):
                step = max(-weight, step)
            before = loss(logits, weight)
            for _ in range(HALVINGS):
                tried = [at + step * row[k] for at, row in zip(logits, rows, strict=True)]
                if loss(tried, weight + step) <= before:
                    weights[k], logits = weight + step, tried
                    moved = max(moved, abs(step))
                    break
                step /= 2
        if moved < 1e-3:
            break
    return weights


def _softplus(value: float) -> float:
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def _threshold(solutions: Sequence[tuple[Sequence[Evidence], Sequence[float]]], weights: Sequence[float]) -> float:
    """The logit below which a step is best called wrong; 0 where no solution names its first error."""
    scored, errors = [], []
    for evidence, values in solutions:
        error = next((i for i, value in enumerate(values) if UNLABELLED < value < HALF), -1)
        if error >= 0 or UNLABELLED not in values:
            scored.append([logit(row, weights) for row in evidence])
            errors.append(error)
    if not errors or max(errors) < 0 or min(errors) >= 0:
        return 0.0
    found = sorted({value for row in scored for value in row})
    between = [(a + b) / 2 for a, b in pairwise(found)]
    tried = between[:: max(1, len(between) // 200)] or [0.0]

    def f1(threshold: float) -> float:
        return float(process_bench([predicted_error(row, threshold) for row in scored], errors)["f1"])

    return max(tried, key=lambda threshold: (f1(threshold), -abs(threshold)))
