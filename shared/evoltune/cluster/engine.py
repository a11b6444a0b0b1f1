"""Where the workers of the data stages run: as processes of this machine (the default), or as actors on a Ray cluster.

    with engine.using("ray", "auto"):
        list(evoltune.verify(rows, domain="math"))

Both give the same results in the same order; only the driver writes the run store.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from evoltune.cluster import ray_engine
from evoltune.sandbox.pool import Pool
from evoltune.sandbox.worker_protocol import WorkerConfig

T = TypeVar("T")
R = TypeVar("R")
ENGINES = ("local", "ray")
_CURRENT: ContextVar[str] = ContextVar("engine", default="local")


class WorkerPool(Protocol):
    """What a Checker needs of its workers."""

    level: Any
    """The isolation that the workers run under."""
    size: int

    def map(self, kind: str, items: Iterable[Any]) -> Iterator[Any]:
        """One result per item, in order."""

    def close(self, *, abandon: bool = False) -> None:
        """Ends the workers; `abandon`: at once, whatever they do."""


@contextmanager
def using(engine: str, address: str | None = None) -> Iterator[None]:
    """Pools that are opened in the block run on this engine.

    Args:
        engine: "local" or "ray".
        address: For ray: "auto", HOST:PORT, or None for a cluster of this machine alone, which ends with the block.

    Raises:
        MissingExtraError: Ray is not installed.
        EngineError: No cluster answers at the address.
    """
    if engine == "local":
        yield
        return
    with ray_engine.connected(address):
        token = _CURRENT.set(engine)
        try:
            yield
        finally:
            _CURRENT.reset(token)


def current() -> str:
    """The engine in use: "local" or "ray"."""
    return _CURRENT.get()


def open_pool(config: WorkerConfig, workers: int = 0) -> WorkerPool:
    """Workers for a domain's checks; `workers` 0: as many as there are cores."""
    if current() == "ray":
        return ray_engine.RayPool(config, workers)
    return Pool(config, workers)


def each(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`function` of each item, in order. Only for functions of a module, and items large enough to justify a remote call."""
    return ray_engine.each(function, items) if current() == "ray" else map(function, items)
