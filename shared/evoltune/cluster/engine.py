"""Where the data stages' workers run: processes of this machine (the default), or actors on a Ray cluster.

The same functions run in both and give the same results in the same order; only the driver writes the run store.

    with engine.using("ray", "auto"):
        list(evoltune.verify(rows, domain="math"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from evoltune.errors import EvoltuneError

if TYPE_CHECKING:
    from evoltune.sandbox.worker_protocol import WorkerConfig

T = TypeVar("T")
R = TypeVar("R")
ENGINES = ("local", "ray")
_CURRENT: ContextVar[str] = ContextVar("engine", default="local")


class EngineError(EvoltuneError):
    """The cluster cannot be reached, or lost its workers for good; everything finished is kept."""

    exit_code = 1


class WorkerPool(Protocol):
    """What a Checker asks of its workers."""

    level: Any
    size: int

    def map(self, kind: str, items: Iterable[Any]) -> Iterator[Any]:
        """One result per item, in order."""

    def close(self) -> None: ...


@contextmanager
def using(engine: str, address: str | None = None) -> Iterator[None]:
    """Pools opened in the body run on this engine. `address` (ray): "auto", HOST:PORT, or None for a cluster of this
    machine alone, which ends with the body. Raises MissingExtraError and EngineError."""
    if engine == "local":
        yield
        return
    from evoltune.cluster.on_ray import connected

    with connected(address):
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
    if _CURRENT.get() == "ray":
        from evoltune.cluster.on_ray import RayPool

        return RayPool(config, workers)
    from evoltune.sandbox.pool import Pool

    return Pool(config, workers)


def each(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`function` of each item, in order; a pure function of a module, for items that are worth a message each."""
    if _CURRENT.get() == "ray":
        from evoltune.cluster.on_ray import each as on_ray

        return on_ray(function, items)
    return map(function, items)
