"""How good a process reward model is, by the field's own measures.

    process_bench([3, -1, 0], [3, -1, 2])["f1"]           # harmonic mean of accuracy on wrong and on right solutions
    compare_votes(groups)["gain"].sentence                # PRM-weighted vote against majority vote at equal N, paired

Invariant: both votes see the same samples of the same problems, so a difference is the weights' alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evoltune.errors import DataError
from evoltune.evaluate.statistics import Measure, mean, paired
from evoltune.train.reward.steps import HALF


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """One sampled solution: its answer (equal answers have equal text; empty: none), whether the verifier passed it, and
    the model's score."""

    answer: str
    passed: bool
    score: float


def predicted_error(scores: Sequence[float], threshold: float = HALF) -> int:
    """The first step whose score is below the threshold; -1: none."""
    return next((i for i, score in enumerate(scores) if score < threshold), -1)


def process_bench(predicted: Sequence[int], labelled: Sequence[int]) -> dict[str, Any]:
    """ProcessBench's measures (2412.06559): the share of wrong solutions whose first error is found exactly, the share of
    right ones where none is found, and F1, their harmonic mean."""
    if len(predicted) != len(labelled):
        raise DataError(f"{len(predicted)} predictions for {len(labelled)} labels")
    hits = [(float(guess == label), label >= 0) for guess, label in zip(predicted, labelled, strict=True)]
    wrong, right = (
        mean([hit for hit, is_wrong in hits if is_wrong]),
        mean([hit for hit, is_wrong in hits if not is_wrong]),
    )
    total = wrong.value + right.value
    return {
        "f1": 2 * wrong.value * right.value / total if total else 0.0,
        "wrong": wrong,
        "right": right,
        "n_wrong": sum(is_wrong for _, is_wrong in hits),
        "n_right": sum(not is_wrong for _, is_wrong in hits),
    }


def best_of(groups: Sequence[Sequence[Sampled]]) -> Measure:
    """The share of problems whose best-scored sample passes; of equals the first."""
    return mean([float(max(group, key=lambda s: s.score).passed) for group in groups])


def vote(group: Sequence[Sampled], *, weighted: bool) -> bool:
    """Whether the answer with the most votes passes: a vote counts 1, or the sample's score (2308.09583, section 3.3).

    Samples without an answer do not vote; a tie goes to the answer that came first.
    """
    votes: dict[str, float] = {}
    for sample in group:
        if sample.answer:
            votes[sample.answer] = votes.get(sample.answer, 0.0) + (sample.score if weighted else 1.0)
    if not votes:
        return False
    winner = max(votes, key=lambda answer: votes[answer])
    return next(sample.passed for sample in group if sample.answer == winner)


def compare_votes(groups: Sequence[Sequence[Sampled]]) -> dict[str, Any]:
    """Majority vote, PRM-weighted vote, best-of-N and pass@N on the same samples, and the weighted vote's paired gain."""
    sizes = {len(group) for group in groups}
    if len(sizes) != 1:
        raise DataError(f"votes are compared at equal N, these problems have {sorted(sizes)} samples")
    plain = [float(vote(group, weighted=False)) for group in groups]
    weighted = [float(vote(group, weighted=True)) for group in groups]
    return {
        "n": sizes.pop(),
        "majority": mean(plain),
        "weighted": mean(weighted),
        "best": best_of(groups),
        "any": mean([float(any(sample.passed for sample in group)) for group in groups]),
        "gain": paired(plain, weighted),
    }
