"""The steps of a run: their number, the rows of each rank in a step, and the learning rate. Imports no torch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from evoltune.errors import RecipeError
from evoltune.recipe import Train

MANY_PASSES = 30
"""Passes over the rows from which a line says so; the papers make up to 15."""


@dataclass(frozen=True, kw_only=True)
class BatchLayout:
    """`batch` rows a step, in micro-batches of `micro` rows, over `world` ranks."""

    batch: int
    micro: int
    world: int = 1

    @property
    def accumulation(self) -> int:
        """Micro-batches of one rank in one step."""
        return self.batch // (self.micro * self.world)


def batch_layout(train: Train, world: int) -> BatchLayout:
    """The recipe's batch over `world` ranks; `global_batch_size` is reached through accumulation."""
    micro = train.per_device_train_batch_size
    at_once = micro * world
    batch = train.global_batch_size or at_once * train.gradient_accumulation_steps
    if batch % at_once:
        raise RecipeError(
            f"train.global_batch_size: {batch} is not a multiple of per_device_train_batch_size {micro} x {world} ranks "
            f"= {at_once}: change one of them"
        )
    return BatchLayout(batch=batch, micro=micro, world=world)


def number_of_steps(train: Train, rows: int, layout: BatchLayout) -> int:
    if train.max_steps > 0:
        return train.max_steps
    return max(1, math.ceil(rows * train.num_train_epochs / layout.batch))


def surprises(train: Train, steps: int, rows: int, layout: BatchLayout, longest: int, positions: int) -> Iterator[str]:
    """What a user would want to know of a schedule before its first step, though nothing of it is an error.

    `longest`: tokens of the longest row; `positions`: up to where the base was trained (0: not known).
    """
    warmup, passes = train.warmup_steps or math.ceil(train.warmup_ratio * steps), steps * layout.batch / rows
    if warmup >= steps > 1:
        reached = rate_factor(train, steps)(steps - 1)
        yield f"the warm-up of {warmup} steps is not over in {steps}: the learning rate ends at {reached:.0%} of train.learning_rate"
    if passes > MANY_PASSES:
        yield f"{steps} steps of {layout.batch} go {passes:.0f} times over {rows} rows: set train.num_train_epochs if that is not meant"
    if train.checkpoint_select == "generations" and train.save_steps:
        saved, limit = steps // train.save_steps, train.save_total_limit
        if train.save_steps >= steps:
            yield f"train.save_steps {train.save_steps} saves nothing before the last of {steps} steps, so no checkpoint is chosen"
        elif 0 < limit < saved:
            yield f"of {saved} checkpoints only the newest {limit} are there to choose from: train.save_total_limit: 0 keeps all"
    if 0 < positions < longest:
        yield f"the longest row has {longest} tokens, and the base was trained on {positions} positions (train.max_length)"


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
