"""The learning rate over a run."""

from __future__ import annotations

import pytest

from evoltune.recipe import load_recipe
from evoltune.train.schedule import BatchLayout, rate_factor, surprises


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


CHOOSE = "train.checkpoint_select=generations"


@pytest.mark.parametrize(
    ("overrides", "steps", "rows", "longest", "told"),
    [
        ([], 60, 747, 400, []),
        (["train.save_steps=10", "train.save_total_limit=2"], 60, 747, 400, []),  # all but the last are only to resume from
        (["train.warmup_steps=60"], 60, 747, 400, ["the warm-up of 60 steps is not over in 60: the learning rate ends at 98%"]),
        ([], 60, 10, 400, ["60 steps of 8 go 48 times over 10 rows"]),
        ([CHOOSE, "train.save_steps=20", "train.save_total_limit=3"], 60, 747, 400, []),
        ([CHOOSE, "train.save_steps=10", "train.save_total_limit=2"], 60, 747, 400, ["of 6 checkpoints only the newest 2"]),
        ([CHOOSE, "train.save_steps=10", "train.save_total_limit=0"], 60, 747, 400, []),
        ([CHOOSE, "train.save_steps=60"], 60, 747, 400, ["train.save_steps 60 saves nothing before the last of 60 steps"]),
        ([], 60, 747, 2049, ["the longest row has 2049 tokens, and the base was trained on 2048 positions"]),
    ],
)  # fmt: skip
def test_what_surprises_in_a_schedule_is_said_before_the_first_step(overrides, steps, rows, longest, told):
    train = load_recipe("smoke/math", overrides).train
    lines = list(surprises(train, steps, rows, BatchLayout(batch=8, micro=8), longest, 2048))
    assert len(lines) == len(told) and all(line.startswith(start) for line, start in zip(lines, told, strict=True))
