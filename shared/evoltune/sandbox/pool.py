"""A pool of worker processes behind threads, usable from any thread, at any time, in any process.

Invariant: results come in the order of the items, every item gets exactly one, and nothing that an item does to its
worker raises here (`worker_handle`).

    pool = Pool(WorkerConfig(domain="math"), workers=2)
    for verdicts in pool.map("verify", records): ...
"""

import os
import queue
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from itertools import islice
from typing import Any

from evoltune.sandbox.worker_handle import WorkerHandle
from evoltune.sandbox.worker_protocol import Level, WorkerConfig

BATCH_S = 0.02
"""Work that one message to a worker should hold: a maths check takes 15 microseconds, a program 5 milliseconds."""
MAX_BATCH = 64
AHEAD = 4 * MAX_BATCH
"""Items per worker that `map` reads ahead of a slow one, so that the other workers have work meanwhile."""


def default_workers() -> int:
    """Cores that this process may use, divided among the ranks of one machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // max(1, int(os.environ.get("LOCAL_WORLD_SIZE") or 1)))


class Pool:
    """Threads that feed workers from one queue. Safe to share between threads; not across a fork.

    Raises DomainError and IsolationError at construction, where the domain or the host is at fault.
    """

    def __init__(self, config: WorkerConfig, workers: int = 0) -> None:
        """`workers` 0: one per core (`default_workers`)."""
        self.config = config
        self.size = workers or default_workers()
        self.pid = os.getpid()
        self._queue: queue.SimpleQueue[tuple[str, list[Any], Future[list[Any]]] | None] = queue.SimpleQueue()
        self._seconds_per_item = 0.01
        self._closed = False
        self._lock_file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the pool
        started = [WorkerHandle(config, self._lock_file.fileno()) for _ in range(self.size)]  # all start at once
        first = started[0]
        self._threads = [
            threading.Thread(
                target=self._serve, args=(worker, worker is first), name=f"evoltune-worker-{i}", daemon=True
            )
            for i, worker in enumerate(started)
        ]
        for thread in self._threads[1:]:
            thread.start()
        try:
            _open(first)  # raises here, in the caller
        except BaseException:
            first.close()
            self.close()
            raise
        self.level: Level = first.level
        self._threads[0].start()

    def _serve(self, worker: WorkerHandle | None, is_open: bool) -> None:
        """A thread's loop: opens its worker, then runs tasks until it meets None."""
        try:
            if worker and not is_open:
                try:
                    _open(worker)
                except Exception:  # noqa: BLE001 - the first task tries again, and raises what it meets
                    worker.close()
                    worker = None
            while (task := self._queue.get()) is not None:
                kind, items, future = task
                if not future.set_running_or_notify_cancel():
                    continue
                began = time.perf_counter()
                try:
                    worker = worker or self._new_worker()
                    future.set_result(worker.check(kind, items))
                except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits
                    worker = None
                    future.set_exception(error)
                took = (time.perf_counter() - began) / len(items)
                self._seconds_per_item += 0.2 * (took - self._seconds_per_item)
        finally:
            if worker:
                worker.close()

    def _new_worker(self) -> WorkerHandle:
        worker = WorkerHandle(self.config, self._lock_file.fileno())
        _open(worker)
        return worker

    def submit(self, kind: str, items: list[Any]) -> Future[list[Any]]:
        """Queues a batch: "verify" or "verify:PROFILE" (records), "overlap" (((method, tasks), record)) or "jobs" (lists of jobs).

        The future gives, for each item, a list or `WorkerLost`.
        """
        if self._closed or self.pid != os.getpid():
            raise RuntimeError("this checker is closed, or was opened before a fork: open one in this process")
        future: Future[list[Any]] = Future()
        self._queue.put((kind, items, future))
        return future

    def map(self, kind: str, items: Iterable[Any]) -> Iterator[Any]:
        """One result per item, in order. Reads a few batches ahead, at most `AHEAD` items per worker while the next result
        is missing; closing the iterator cancels them."""
        pending: deque[Future[list[Any]]] = deque()
        source, ended, ahead = iter(items), False, 0
        try:
            while pending or not ended:
                while not ended and (
                    len(pending) < 4 * self.size or (ahead < AHEAD * self.size and not pending[0].done())
                ):
                    size = max(1, min(MAX_BATCH, int(BATCH_S / self._seconds_per_item)))
                    batch = list(islice(source, size))
                    ended = len(batch) < size
                    if batch:
                        pending.append(self.submit(kind, batch))
                        ahead += len(batch)
                if pending:
                    results = pending.popleft().result()
                    ahead -= len(results)
                    yield from results
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        """Ends all workers once they are idle; a second call does nothing."""
        if self._closed or self.pid != os.getpid():
            return
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=30)
        self._lock_file.close()


def _open(worker: WorkerHandle) -> None:
    """Waits for a worker and tests it. Raises DomainError or IsolationError; then the worker is closed."""
    worker.connect()
    worker.self_test()
