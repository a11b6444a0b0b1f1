"""Evaluation: suites, generation, scores with intervals, comparisons, judging. See docs/evaluate.md. Imports no torch.

suite = load_suite("math/gsm8k", Path("~/suites"))
scores = evaluate(recipe, "runs/mine/checkpoint", Path("runs/mine/eval/after"), baseline=False)
"""

from __future__ import annotations

from evoltune.evaluate.measure import evaluate
from evoltune.evaluate.suites import Suite, load_suite

__all__ = ["Suite", "evaluate", "load_suite"]
