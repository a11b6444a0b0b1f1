"""The learning rate over a run."""

from __future__ import annotations

import pytest

from evoltune.recipe import load_recipe
from evoltune.train.schedule import rate_factor


def test_the_rate_warms_up_and_falls_to_its_floor():
    how = [
        "train.lr_scheduler_type=linear",
        "train.learning_rate=1e-5",
        "train.min_learning_rate=1e-6",
        "train.warmup_steps=4",
    ]
    factor = rate_factor(load_recipe("smoke/math", how).train, 100)
    rates = [factor(s) for s in range(101)]
    assert rates[0] == pytest.approx(0.2) and rates[4] == 1.0 and rates[100] == pytest.approx(0.1)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    cosine = rate_factor(
        load_recipe("smoke/math", ["train.lr_scheduler_type=cosine", "train.warmup_steps=0"]).train, 10
    )
    assert cosine(5) == pytest.approx(0.5) and cosine(10) == pytest.approx(0.0)
