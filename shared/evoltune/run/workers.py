"""Worker processes that serve the stages of a run one after another, and end before those that train.

with workers_kept(recipe.compute) as end_idle:
    end_idle("train")          # nothing stands idle beside a training, which needs the memory
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from evoltune.cluster import engine
from evoltune.generate.processes import processes_kept
from evoltune.recipe.sections import Compute

_NEED_THE_MEMORY = ("train", "reward", "rl")


@contextmanager
def workers_kept(compute: Compute) -> Iterator[Callable[[str], None]]:
    """Inside the block data stages run on the recipe's engine, and verifier pools and generator processes are used again.
    Yields what ends the idle ones where this stage needs the memory."""
    with (
        engine.using(compute.engine, compute.ray_address),
        engine.pools_kept() as end_pools,
        processes_kept() as end_generators,
    ):

        def end_idle(stage: str) -> None:
            if stage in _NEED_THE_MEMORY:
                end_pools()
                end_generators()

        yield end_idle
