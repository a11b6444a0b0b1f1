"""The driver's side: exec'd workers behind threads, usable from any thread, at any time, in any process.

Invariant: results come in the order of the items, every item gets exactly one, and nothing that an item does to its
worker raises here: a killed checker costs its own item a verdict, the next item meets a fresh one.

    pool = Pool(WorkerConfig(domain="math"), workers=2)
    for verdicts in pool.map("verify", records): ...
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evoltune.domain import Job
from evoltune.errors import DomainError, IsolationError
from evoltune.sandbox import wire
from evoltune.sandbox.worker_protocol import Level, WorkerConfig, WorkerLost

BATCH_S = 0.02
"""Work that one message to a worker should hold: a maths check takes 15 microseconds, a program 5 milliseconds."""
MAX_BATCH = 64
AHEAD = 4 * MAX_BATCH
"""Items a worker that `map` reads ahead of a slow one, so that the other workers have some meanwhile."""
START_S = 120.0


def default_workers() -> int:
    """Cores that this process may use, shared between the ranks of one machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // max(1, int(os.environ.get("LOCAL_WORLD_SIZE") or 1)))


class Worker:
    """One exec'd worker process: a supervisor, its job zygote, and the checker that it forks and re-forks. It starts
    while the caller goes on; `meet` waits for it."""

    def __init__(self, spec: WorkerConfig, turn: int = -1) -> None:
        self.spec, self._turn = spec, turn
        self._launch()

    def _launch(self) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = "import sys, json; a = json.loads(sys.argv[1]); sys.path[:] = a['path']; from evoltune.sandbox.worker import main; main(a)"
        argument = {
            "path": [p or str(Path.cwd()) for p in sys.path],
            "control": theirs.fileno(),
            "turn": self._turn,
            **asdict(self.spec),
        }
        # Like `python -I`, but the hash seed stays ours: the order of a set must not depend on the worker.
        kept = {k: os.environ[k] for k in ("LD_LIBRARY_PATH", "EVOLTUNE_DATA") if k in os.environ}
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": "/tmp",
            "PYTHONHASHSEED": "0",
            "MALLOC_ARENA_MAX": "2",  # an arena per thread would use up a job's address space, 64 MiB each
            **kept,
        }
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-B", "-c", code, json.dumps(argument)],
                pass_fds=[fd for fd in (theirs.fileno(), self._turn) if fd >= 0], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip

    def meet(self) -> None:
        """Waits until the worker is ready. Raises what is wrong with the domain or the host; then it is closed."""
        self.control.settimeout(START_S)
        try:
            hello, self.data = self._notice()
        except (EOFError, OSError) as error:
            self.close()
            raise DomainError(
                f"domain {self.spec.domain!r}: its worker process did not start ({error!r})"
            ) from error
        self.level: Level = hello["level"]
        self.control.settimeout(10.0)

    def _notice(self) -> tuple[dict[str, Any], socket.socket]:
        """The supervisor's word about a new checker, and the stream that leads to it."""
        body, fds, *_ = socket.recv_fds(self.control, 1 << 16, 1)
        if not body:
            raise EOFError
        notice = json.loads(body)
        if "error" in notice:
            self.close()
            raise {"IsolationError": IsolationError}.get(notice["kind"], DomainError)(notice["error"])
        data = socket.socket(fileno=fds[0])
        data.settimeout(60 + 60 * self.spec.program_s)
        return notice, data

    def check(self, kind: str, items: list[Any]) -> list[Any]:
        """One JSON result per item; `WorkerLost` for an item under which the checker died."""
        done: list[Any] = []
        while len(done) < len(items):
            try:
                body = pickle.dumps((kind, items[len(done) :]), protocol=pickle.HIGHEST_PROTOCOL)
                self.data.sendall(struct.pack(">Q", len(body)) + body)
                while len(done) < len(items):
                    done.append(_result(wire.receive(self.data)))
            except TimeoutError:
                done.append(WorkerLost(status="timeout", reason="checking this answer did not end"))
                self._restart()
            except (EOFError, OSError, wire.ProtocolError):
                done.append(self._next_checker())
        return done

    def _next_checker(self) -> WorkerLost:
        try:
            self.data.close()
            notice, self.data = self._notice()
        except (EOFError, OSError):
            self._restart()
            return WorkerLost(status="error", reason="the worker process died")
        if notice["died"] == signal.SIGPROF:
            return WorkerLost(
                status="timeout", reason=f"checking took more than {self.spec.check_s:g} s of CPU"
            )
        return WorkerLost(status="error", reason=f"the checker died ({notice['died']})")

    def _restart(self) -> None:
        self.close()
        self._launch()
        self.meet()

    def close(self) -> None:
        """Ends the worker and everything below it."""
        for sock in (self.control, getattr(self, "data", None)):
            if sock:
                sock.close()  # the supervisor sees this, kills its children, leaves
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
            return
        self.process.kill()
        self.process.wait()


def _result(message: Any) -> Any:
    """A worker's answer: a JSON list, or `WorkerLost` where it says that it has none."""
    return message if isinstance(message, list) else WorkerLost(**message)


_GOLDEN: tuple[tuple[str, str], ...] = (
    ("def f(a, b):\n    return a + b\n", "pass"),
    ("def f(a, b):\n    return a - b\n", "fail"),
    ("class A:\n    def __eq__(self, other):\n        return True\ndef f(a, b):\n    return A()\n", "fail"),
    ("import socket\nsocket.socket()\ndef f(a, b):\n    return a + b\n", "fail"),
)


def _open(worker: Worker) -> None:
    """Meets a worker and tests it, so that its zygote is warm too. Raises what is wrong; then it is closed."""
    worker.meet()
    _self_test(worker)


def _self_test(worker: Worker) -> None:
    """A sandbox that cannot tell these apart must not judge anything else. Only where something is enforced at all."""
    if worker.level == "L0":
        return
    tests = "assert f(1, 2) == 3"
    jobs = [Job(program=program, tests=tests, entry_point="f", cpu_s=5.0) for program, _ in _GOLDEN]
    (rows,) = worker.check("jobs", [jobs])
    said = [row[0] for row in rows] if isinstance(rows, list) else [str(rows)]
    if said != [status for _, status in _GOLDEN]:
        worker.close()
        raise IsolationError(
            f"the sandbox's self-test gave {said}, expected {[s for _, s in _GOLDEN]}: this host breaks it, please report"
        )


class Pool:
    """Threads that feed workers from one queue. Safe to share between threads; not across a fork."""

    def __init__(self, spec: WorkerConfig, workers: int = 0) -> None:
        self.spec = spec
        self.size = workers or default_workers()
        self.pid = os.getpid()
        self._queue: queue.SimpleQueue[tuple[str, list[Any], Future[list[Any]]] | None] = queue.SimpleQueue()
        self._seconds_per_item = 0.01
        self._closed = False
        self._turn = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the pool
        started = [Worker(spec, self._turn.fileno()) for _ in range(self.size)]  # they all start at once
        self._threads = [
            threading.Thread(target=self._serve, args=(worker, worker is not started[0]), name=f"evoltune-worker-{i}", daemon=True)
            for i, worker in enumerate(started)
        ]  # fmt: skip
        for thread in self._threads[1:]:
            thread.start()
        try:
            _open(started[0])  # raises here, in the caller, what is wrong with the domain or the host
        except BaseException:
            started[0].close()
            self.close()
            raise
        self.level: Level = started[0].level
        self._threads[0].start()

    def _serve(self, worker: Worker | None, fresh: bool) -> None:
        try:
            if fresh and worker:
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
                    worker = worker or self._another()
                    future.set_result(worker.check(kind, items))
                except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits
                    worker = None
                    future.set_exception(error)
                took = (time.perf_counter() - began) / len(items)
                self._seconds_per_item += 0.2 * (took - self._seconds_per_item)
        finally:
            if worker:
                worker.close()

    def _another(self) -> Worker:
        worker = Worker(self.spec, self._turn.fileno())
        _open(worker)
        return worker

    def submit(self, kind: str, items: list[Any]) -> Future[list[Any]]:
        if self._closed or self.pid != os.getpid():
            raise RuntimeError(
                "this checker is closed, or was opened before a fork: open one in this process"
            )
        future: Future[list[Any]] = Future()
        self._queue.put((kind, items, future))
        return future

    def map(self, kind: str, items: Iterable[Any]) -> Iterator[Any]:
        """One result per item, in order; reads a few batches ahead, at most `AHEAD` items a worker while the next result
        is not there; they are dropped when it is closed."""
        flying: deque[Future[list[Any]]] = deque()
        source, ended, ahead = iter(items), False, 0
        try:
            while flying or not ended:
                while not ended and (
                    len(flying) < 4 * self.size or (ahead < AHEAD * self.size and not flying[0].done())
                ):
                    size = max(1, min(MAX_BATCH, int(BATCH_S / self._seconds_per_item)))
                    batch = [item for _, item in zip(range(size), source, strict=False)]
                    ended = len(batch) < size
                    if batch:
                        flying.append(self.submit(kind, batch))
                        ahead += len(batch)
                if flying:
                    results = flying.popleft().result()
                    ahead -= len(results)
                    yield from results
        finally:
            for future in flying:
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
        self._turn.close()
