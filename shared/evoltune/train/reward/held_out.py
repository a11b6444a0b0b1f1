"""The held-out rows of a reward model: which they are, and what is measured on them. Imports no torch."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from evoltune.evaluate.statistics import mean
from evoltune.train.reward.metrics import predicted_error, process_bench
from evoltune.train.reward.steps import HALF

BINS = 10


def is_held_out(group: str, share: float) -> bool:
    """Whether the rows of a prompt are held out: by a hash of it, so it never stands on both sides."""
    drawn = int.from_bytes(hashlib.sha256(f"held out/{group}".encode()).digest()[:8], "big")
    return drawn < share * 2**64


def sigmoid(logit: float) -> float:
    """Stable at both ends."""
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))


def step_quality(labels: Sequence[Sequence[float]], logits: Sequence[Sequence[float]]) -> dict[str, Any]:
    """ProcessBench's F1 on solutions whose first error is known, and how far the step scores are from the labels."""
    pairs = [
        (sigmoid(logit), value)
        for values, row in zip(labels, logits, strict=True)
        for value, logit in zip(values, row, strict=True)
        if value >= 0
    ]
    predicted, true = [], []
    for values, row in zip(labels, logits, strict=True):
        error = next((i for i, value in enumerate(values) if 0 <= value < HALF), -1)
        if error >= 0 or all(value >= 0 for value in values):
            predicted.append(predicted_error([sigmoid(logit) for logit in row]))
            true.append(error)
    found = process_bench(predicted, true) if true else None
    return {
        "solutions": len(labels),
        "steps": len(pairs),
        "step_accuracy": asdict(mean([float((score >= HALF) == (value >= HALF)) for score, value in pairs])),
        "calibration_error": calibration_error(pairs),
        "f1": found["f1"] if found else None,
        "wrong": {**asdict(found["wrong"]), "n": found["n_wrong"]} if found else None,
        "right": {**asdict(found["right"]), "n": found["n_right"]} if found else None,
    }


def pair_quality(logits: Sequence[Sequence[float]]) -> dict[str, Any]:
    """The share of pairs whose chosen side scores higher, and the calibration of sigma(chosen - rejected)."""
    gaps = [chosen[0] - rejected[0] for chosen, rejected in zip(logits[0::2], logits[1::2], strict=True)]
    # A pair read the other way round is a pair too: without it every label would be 1.
    both = [(sigmoid(gap), 1.0) for gap in gaps] + [(sigmoid(-gap), 0.0) for gap in gaps]
    return {
        "pairs": len(gaps),
        "pair_accuracy": asdict(mean([float(gap > 0) for gap in gaps])),
        "calibration_error": calibration_error(both),
    }


def calibration_error(pairs: Sequence[tuple[float, float]]) -> float:
    """Expected calibration error over ten equal bins: the mean gap between score and frequency; 0 is perfect."""
    bins: dict[int, list[tuple[float, float]]] = {}
    for score, value in pairs:
        bins.setdefault(min(BINS - 1, int(score * BINS)), []).append((score, value))
    total = sum(abs(sum(score for score, _ in group) - sum(value for _, value in group)) for group in bins.values())
    return total / len(pairs) if pairs else 0.0
