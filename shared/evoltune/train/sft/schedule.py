"""The learning rate over a run, as a factor of `learning_rate`: warm-up, then linear, cosine or constant, to a floor.

rate_factor(recipe.train, steps)(step)   # step 0 is the first
"""

import math
from collections.abc import Callable

from evoltune.recipe import Train


def rate_factor(train: Train, steps: int) -> Callable[[int], float]:
    """Reaches 1 at the end of warm-up, and `min_learning_rate` / `learning_rate` after the last step (LIMA: 1e-5 to 1e-6)."""
    warmup = train.warmup_steps or math.ceil(train.warmup_ratio * steps)
    floor = train.min_learning_rate / train.learning_rate
    kind = train.lr_scheduler_type

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if kind.startswith("constant"):
            return 1.0
        done = min(1.0, (step - warmup) / max(1, steps - warmup))
        curve = 1.0 - done if kind == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
        return floor + (1.0 - floor) * curve

    return factor
