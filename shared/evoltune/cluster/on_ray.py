"""The data stages on a Ray cluster: actors that own a sandbox each, and tasks for pure functions.

Plain actors and not Ray Data: results must come back in input order while the driver still decides, row by row, what
comes next, and a lost actor must cost its batches only. Invariants: results do not depend on the cluster's shape; a
batch whose node dies is run again elsewhere, at most `ATTEMPTS` times; never more than `AHEAD` batches a worker wait.
"""

from __future__ import annotations

import os
import pickle
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from evoltune.cluster.engine import EngineError
from evoltune.errors import EvoltuneError, MissingExtraError
from evoltune.sandbox.pool import Pool
from evoltune.sandbox.worker_protocol import WorkerConfig

T = TypeVar("T")
R = TypeVar("R")
ATTEMPTS = 4
AHEAD = 4
BATCH_S = 0.1
MAX_BATCH = 512
START_S = 120.0
"""How long the cluster may take until a first (or, after losses, another) worker stands."""


def connection() -> Any:
    """The module `ray`. Raises MissingExtraError."""
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "compute.engine: ray") from error
    return ray


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """A connection to the cluster at `address`; to one that is open already, none is made and none is closed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = connection()
    if ray.is_initialized():
        yield
        return
    own: dict[str, Any] = {"include_dashboard": False} if address in (None, "local") else {"address": address}
    try:
        _knock(address or "")
        ray.init(**own, log_to_driver=False, configure_logging=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise EngineError(
            f"compute.ray_address: no Ray cluster answers at {address or 'local'} ({str(error).splitlines()[0][:200]}): "
            "start one with `ray start --head`, or leave the address out for one of this machine alone"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raises OSError when nothing listens at HOST:PORT: Ray itself would end the process."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


class Cell:
    """The actor: one worker process with its sandbox, on whatever node it landed."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.pool: Pool | None = None

    def open(self) -> str:
        """Starts the worker; its isolation level. Raises what is wrong with the domain or the host."""
        self.pool = self.pool or Pool(self.config, 1)
        return self.pool.level

    def check(self, kind: str, items: bytes) -> tuple[bytes, float]:
        """One result per item, and the seconds that they took. Pickled by us: Ray's own pickler, which can do classes of a
        notebook too, takes several times as long over plain records."""
        began = time.perf_counter()
        assert self.pool is not None
        results = self.pool.submit(kind, pickle.loads(items)).result()
        return pickle.dumps(results, protocol=pickle.HIGHEST_PROTOCOL), time.perf_counter() - began


@dataclass
class _Batch:
    number: int
    items: list[Any]
    attempts: int = 0


class RayPool:
    """Workers on the cluster behind the interface of `sandbox.pool.Pool`. Not safe to share between threads."""

    def __init__(self, config: WorkerConfig, workers: int = 0) -> None:
        self.ray = connection()
        if "/" in config.domain:  # a path: a worker's current folder is another
            config = replace(config, domain=str(Path(config.domain).resolve()))
        self.config = config
        self.size = workers or max(1, int(self.ray.cluster_resources().get("CPU", 1)))
        self._kind = self.ray.remote(num_cpus=1, max_restarts=0, scheduling_strategy="SPREAD")(Cell)
        self._seconds_per_item = 0.005
        self._cells: list[Any] = []
        self._starting: dict[Any, Any] = {}
        self._grow()
        self._await_first()
        self.level: Any = self._level

    def map(self, kind: str, items: Iterable[Any]) -> Iterator[Any]:
        """One result per item, in order, whichever worker and however many attempts it took."""
        source, ended, number, turn = iter(items), False, 0, 0
        again: deque[_Batch] = deque()
        running: dict[Any, tuple[Any, _Batch]] = {}
        done: dict[int, list[Any]] = {}
        while running or again or not ended:
            while (again or (not ended and number - turn < AHEAD * self.size)) and (
                cell := self._idle(running)
            ):
                batch = again.popleft() if again else _Batch(number, self._take(source))
                if not batch.items:
                    ended = True
                    break
                number = max(number, batch.number + 1)
                body = pickle.dumps(batch.items, protocol=pickle.HIGHEST_PROTOCOL)
                running[cell.check.remote(kind, body)] = (cell, batch)
            if not running and not again:
                continue
            for ref in self._ready(running):
                cell, batch = running.pop(ref)
                try:
                    body, took = self.ray.get(ref)
                    done[batch.number] = pickle.loads(body)
                    self._seconds_per_item += 0.3 * (took / len(batch.items) - self._seconds_per_item)
                except self.ray.exceptions.RayActorError as error:
                    self._lost(cell)
                    batch.attempts += 1
                    if batch.attempts == ATTEMPTS:
                        raise EngineError(
                            f"ray: {ATTEMPTS} workers died one after another under the same {len(batch.items)} rows ({error}): "
                            "look at the nodes' memory and logs; the same command goes on where it stopped"
                        ) from error
                    again.append(batch)
            while turn in done:
                yield from done.pop(turn)
                turn += 1

    def close(self) -> None:
        """Ends all workers; a second call does nothing."""
        for cell in (*self._cells, *self._starting.values()):
            self.ray.kill(cell)
        self._cells, self._starting = [], {}

    # ---- workers

    def _take(self, source: Iterator[Any]) -> list[Any]:
        return list(islice(source, max(1, min(MAX_BATCH, int(BATCH_S / max(1e-6, self._seconds_per_item))))))

    def _idle(self, running: dict[Any, tuple[Any, _Batch]]) -> Any:
        """A worker with room: one batch under way and one that waits."""
        load = Counter(id(cell) for cell, _ in running.values())
        free = [cell for cell in self._cells if load[id(cell)] < 2]
        return min(free, key=lambda cell: load[id(cell)], default=None)

    def _ready(self, running: dict[Any, tuple[Any, _Batch]]) -> list[Any]:
        """Batches that have ended; meanwhile workers that came up join."""
        if not self._cells:
            self._await_first()
            return []
        ready, _ = self.ray.wait([*running, *self._starting], num_returns=1)
        for ref in [r for r in ready if r in self._starting]:
            self._join(ref)
        return [r for r in ready if r in running]

    def _grow(self) -> None:
        while len(self._cells) + len(self._starting) < self.size:
            cell = self._kind.remote(self.config)
            self._starting[cell.open.remote()] = cell

    def _join(self, ref: Any) -> None:
        cell = self._starting.pop(ref)
        try:
            self._level = self.ray.get(ref)
        except self.ray.exceptions.RayActorError:
            self._grow()
            return
        except self.ray.exceptions.RayTaskError as error:
            self.close()
            raise (error.cause if isinstance(error.cause, EvoltuneError) else error) from None
        self._cells.append(cell)

    def _await_first(self) -> None:
        until = time.monotonic() + START_S
        while not self._cells:
            ready, _ = self.ray.wait(
                [*self._starting], num_returns=1, timeout=max(0.0, until - time.monotonic())
            )
            if not ready:
                self.close()
                raise EngineError(
                    f"ray: no node took a worker (1 CPU each) in {START_S:g} s: see `ray status`; the cluster may be full"
                )
            self._join(ready[0])

    def _lost(self, cell: Any) -> None:
        if cell in self._cells:
            self._cells.remove(cell)
            self._grow()


def each(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`function` of each item as a task of its own, in order; Ray runs a task again when its node dies."""
    ray = connection()
    task = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(function)
    window = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    flying: deque[Any] = deque()
    for item in items:
        flying.append(task.remote(item))
        if len(flying) >= window:
            yield ray.get(flying.popleft())
    while flying:
        yield ray.get(flying.popleft())
