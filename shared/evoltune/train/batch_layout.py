"""How the rows of a training step are split into micro-batches over the ranks. Imports no torch."""

from dataclasses import dataclass

from evoltune.errors import RecipeError
from evoltune.recipe import Train


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
    """The recipe's batch over `world` ranks; `global_batch_size` is reached through accumulation.

    Raises:
        RecipeError: `global_batch_size` is not a multiple of what all ranks take at once.
    """
    micro = train.per_device_train_batch_size
    at_once = micro * world
    batch = train.global_batch_size or at_once * train.gradient_accumulation_steps
    if batch % at_once:
        raise RecipeError(
            f"train.global_batch_size: {batch} is not a multiple of per_device_train_batch_size {micro} x {world} ranks "
            f"= {at_once}: change one of them"
        )
    return BatchLayout(batch=batch, micro=micro, world=world)
