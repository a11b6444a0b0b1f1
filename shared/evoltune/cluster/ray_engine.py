"""The data stages on a Ray cluster: actors with one sandbox worker each, and tasks for pure functions.

Not on Ray Data: results are needed in input order while the driver decides, row by row, what comes next, and a lost actor
may cost no more than its own batches. Invariants: results do not depend on the cluster's shape; a batch whose node dies is
run again on another node, `ATTEMPTS` times in all; at most `AHEAD` batches per worker are held in memory.
"""

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

from evoltune.errors import EngineError, EvoltuneError, require
from evoltune.sandbox.pool import Pool
from evoltune.sandbox.worker_protocol import WorkerConfig

T = TypeVar("T")
R = TypeVar("R")
ATTEMPTS = 4
AHEAD = 4
BATCH_S = 0.1
"""Work that one remote call should hold."""
MAX_BATCH = 512
PER_WORKER = 2
"""Batches sent to a worker: one that it works on, and one that it can start at once."""
START_S = 120.0
"""How long the cluster may take to start a first worker, or another one after all were lost."""


def import_ray() -> Any:
    """The module `ray`. Raises MissingExtraError."""
    require("compute.engine: ray", "ray", "ray")
    import ray

    return ray


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """A connection to the cluster at `address`. A connection that is open already is used, and stays open."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = import_ray()
    if ray.is_initialized():
        yield
        return
    alone = address in (None, "local")
    options: dict[str, Any] = {"include_dashboard": False} if alone else {"address": address}
    check_address(address)
    try:
        ray.init(**options, log_to_driver=False, configure_logging=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise _no_cluster(address, error) from error
    try:
        yield
    finally:
        ray.shutdown()


def check_address(address: str | None) -> None:
    """Raises EngineError when nothing listens at HOST:PORT or ray://HOST:PORT: Ray itself would end the process, or wait."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if address in (None, "", "auto", "local"):
        return
    if not host or not port.isdigit():
        raise EngineError(f"compute.ray_address: {address!r}: must be auto, local, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str | None, error: Exception) -> EngineError:
    return EngineError(
        f"compute.ray_address: no Ray cluster answers at {address or 'local'} ({str(error).splitlines()[0][:200]}): "
        "start one with `ray start --head`, or leave the address out for one of this machine alone"
    )


class WorkerActor:
    """The Ray actor: one worker process with its sandbox, on the node that Ray chose."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.pool: Pool | None = None

    def open(self) -> str:
        """Starts the worker and returns its isolation level. Raises when the domain or the host is at fault."""
        self.pool = self.pool or Pool(self.config, 1)
        return self.pool.level

    def check(self, kind: str, items: bytes) -> tuple[bytes, float]:
        """One result per item, and the seconds that they took.

        Items and results are pickled here: Ray's own pickler also handles classes of a notebook and takes several times as
        long for plain records.
        """
        began = time.perf_counter()
        assert self.pool is not None
        results = self.pool.submit(kind, pickle.loads(items)).result()
        return _pickled(results), time.perf_counter() - began


def _pickled(value: Any) -> bytes:
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


@dataclass
class _Batch:
    number: int
    items: list[Any]
    attempts: int = 0


class RayPool:
    """Workers on the cluster, with the interface of `sandbox.pool.Pool`. Not safe to share between threads."""

    def __init__(self, config: WorkerConfig, workers: int = 0) -> None:
        self.ray = import_ray()
        if "/" in config.domain:  # a path: a worker's current folder is another one
            config = replace(config, domain=str(Path(config.domain).resolve()))
        self.config = config
        self.size = workers or max(1, int(self.ray.cluster_resources().get("CPU", 1)))
        options = {"num_cpus": 1, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        self._actor_class = self.ray.remote(**options)(WorkerActor)
        self._seconds_per_item = 0.005
        self._actors: list[Any] = []
        self._starting: dict[Any, Any] = {}
        """Reference to the pending `open` -> actor."""
        self._start_missing()
        self._await_first()
        self.level: Any = self._level

    def map(self, kind: str, items: Iterable[Any]) -> Iterator[Any]:
        """One result per item, in order, whichever worker gave it and after however many attempts."""
        source, ended = iter(items), False
        sent = yielded = 0
        """Numbers of the next new batch, and of the next one to yield."""
        retries: deque[_Batch] = deque()
        running: dict[Any, tuple[Any, _Batch]] = {}
        done: dict[int, list[Any]] = {}
        while running or retries or not ended:
            while (retries or (not ended and sent - yielded < AHEAD * self.size)) and (
                actor := self._free_actor(running)
            ):
                batch = retries.popleft() if retries else _Batch(sent, self._next_items(source))
                if not batch.items:
                    ended = True
                    break
                sent = max(sent, batch.number + 1)
                running[actor.check.remote(kind, _pickled(batch.items))] = (actor, batch)
            if not running and not retries:
                continue
            for reference in self._finished(running):
                actor, batch = running.pop(reference)
                results = self._results(reference, actor, batch)
                if results is None:
                    retries.append(batch)
                else:
                    done[batch.number] = results
            while yielded in done:
                yield from done.pop(yielded)
                yielded += 1

    def close(self, *, abandon: bool = False) -> None:
        """Ends all workers, at once whether or not `abandon` asks for it; a second call does nothing."""
        for actor in (*self._actors, *self._starting.values()):
            self.ray.kill(actor)
        self._actors, self._starting = [], {}

    # ---- batches

    def _next_items(self, source: Iterator[Any]) -> list[Any]:
        size = int(BATCH_S / max(1e-6, self._seconds_per_item))
        return list(islice(source, max(1, min(MAX_BATCH, size))))

    def _results(self, reference: Any, actor: Any, batch: _Batch) -> list[Any] | None:
        """The results of a batch; None when its actor died. Raises EngineError after the last attempt."""
        try:
            body, seconds = self.ray.get(reference)
        except self.ray.exceptions.RayActorError as error:
            if actor in self._actors:
                self._actors.remove(actor)
                self._start_missing()
            batch.attempts += 1
            if batch.attempts < ATTEMPTS:
                return None
            raise EngineError(
                f"ray: {ATTEMPTS} workers died one after another under the same {len(batch.items)} rows ({error}): "
                "look at the nodes' memory and logs; the same command continues where it stopped"
            ) from error
        self._seconds_per_item += 0.3 * (seconds / len(batch.items) - self._seconds_per_item)
        results: list[Any] = pickle.loads(body)
        return results

    def _finished(self, running: dict[Any, tuple[Any, _Batch]]) -> list[Any]:
        """References of batches that have ended. Workers that have started meanwhile are added to the pool."""
        if not self._actors:
            self._await_first()
            return []
        ready, _ = self.ray.wait([*running, *self._starting], num_returns=1)
        for reference in [r for r in ready if r in self._starting]:
            self._add(reference)
        return [r for r in ready if r in running]

    # ---- workers

    def _free_actor(self, running: dict[Any, tuple[Any, _Batch]]) -> Any:
        """The worker with the fewest batches; None when each has PER_WORKER."""
        load = Counter(id(actor) for actor, _ in running.values())
        free = [actor for actor in self._actors if load[id(actor)] < PER_WORKER]
        return min(free, key=lambda actor: load[id(actor)], default=None)

    def _start_missing(self) -> None:
        while len(self._actors) + len(self._starting) < self.size:
            actor = self._actor_class.remote(self.config)
            self._starting[actor.open.remote()] = actor

    def _add(self, reference: Any) -> None:
        """Adds a worker that has started. One that died meanwhile is replaced."""
        actor = self._starting.pop(reference)
        try:
            self._level = self.ray.get(reference)
        except self.ray.exceptions.RayActorError:
            self._start_missing()
            return
        except self.ray.exceptions.RayTaskError as error:
            self.close()
            raise (error.cause if isinstance(error.cause, EvoltuneError) else error) from None
        self._actors.append(actor)

    def _await_first(self) -> None:
        until = time.monotonic() + START_S
        while not self._actors:
            left = max(0.0, until - time.monotonic())
            ready, _ = self.ray.wait([*self._starting], num_returns=1, timeout=left)
            if not ready:
                self.close()
                raise EngineError(
                    f"ray: no node took a worker (1 CPU each) in {START_S:g} s: see `ray status`; the cluster may be full"
                )
            self._add(ready[0])


def each(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`function` of each item as a task of its own, in order. Ray repeats a task whose node died."""
    ray = import_ray()
    task = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(function)
    window = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    running: deque[Any] = deque()
    for item in items:
        running.append(task.remote(item))
        if len(running) >= window:
            yield ray.get(running.popleft())
    while running:
        yield ray.get(running.popleft())
