"""Where the workers of the data stages run: as processes of this machine (the default), or as actors on a Ray cluster.

    with engine.using("ray", "auto"):
        list(evoltune.verify(rows, domain="math"))

Both give the same results in the same order; only the driver writes the run store.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict
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


def open_pool(config: WorkerConfig, workers: int = 0, *, warm: bool = False) -> WorkerPool:
    """Workers for a domain's checks; `workers` 0: as many as there are cores; `warm`: on this machine too all start at once."""
    if current() == "ray":
        return ray_engine.RayPool(config, workers)
    return Pool(config, workers, warm=warm) if _idle is None else LentPool(config, workers)


_idle: dict[str, list[Pool]] | None = None
"""Inside `pools_kept`: pools that nobody uses, by what they were opened with."""


@contextmanager
def pools_kept() -> Iterator[Callable[[], None]]:
    """Inside the block a pool of this machine that is closed is kept for the next caller who asks for the same one: starting
    its processes takes longer than judging a short suite. Yields what ends those that are idle. A block inside another shares
    its pools."""
    global _idle
    if _idle is not None:
        yield _end_idle
        return
    _idle = {}
    try:
        yield _end_idle
    finally:
        _end_idle()
        _idle = None


def _end_idle() -> None:
    for pools in (_idle or {}).values():
        while pools:
            pools.pop().close()


class LentPool:
    """A pool of one caller at a time, given back by `close`; with `abandon` it ends, since its workers may hold work."""

    def __init__(self, config: WorkerConfig, workers: int) -> None:
        assert _idle is not None
        self._key = json.dumps([asdict(config), workers, os.getpid()], sort_keys=True)  # a fork cannot use its parent's
        self._home = _idle.setdefault(self._key, [])
        try:
            self._pool = self._home.pop()
        except IndexError:
            self._pool = Pool(config, workers)
        self.level, self.size = self._pool.level, self._pool.size
        self._closed = False

    def map(self, kind: str, items: Iterable[Any], **options: Any) -> Iterator[Any]:
        """As `Pool.map`."""
        if self._closed:
            raise RuntimeError("this checker is closed: open one")
        return self._pool.map(kind, items, **options)

    def close(self, *, abandon: bool = False) -> None:
        """As `Pool.close`, but an idle pool stays for the next caller."""
        if self._closed:
            return
        self._closed = True
        is_kept = _idle is not None and _idle.get(self._key) is self._home  # the block has not ended
        if is_kept and not abandon:
            self._home.append(self._pool)
        else:
            self._pool.close(abandon=abandon)


def each(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`function` of each item, in order. Only for functions of a module, and items large enough to justify a remote call."""
    return ray_engine.each(function, items) if current() == "ray" else map(function, items)
