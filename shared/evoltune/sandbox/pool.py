"""A pool of worker processes behind threads, usable from any thread, at any time, in any process.

Invariant: results come in the order of the items, every item gets exactly one, and nothing that an item does to its worker
raises here: a killed verifier process costs its own item the answer, and the next item meets a new one. Callers take turns
(`fair_queue`), and what a caller has left behind holds no worker.

    pool = Pool(WorkerConfig(domain="math"), workers=2)
    for verdicts in pool.map("verify", records): ...
"""

import json
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any, Self

from evoltune.domain import Job
from evoltune.errors import DomainError, IsolationError
from evoltune.interrupts import result_of
from evoltune.sandbox import wire
from evoltune.sandbox.fair_queue import FairQueue, Lane, Task
from evoltune.sandbox.worker_protocol import OUR_FAULT, TURN_OVER, WHOSE, Level, WorkerConfig, WorkerLost

BATCH_S = 0.02
"""Work that one message to a worker should hold: a maths check takes 15 microseconds, a program 5 milliseconds."""
MAX_BATCH = 64
AHEAD = 4 * MAX_BATCH
"""Items per worker that `map` reads ahead of a slow one, so that the other workers have work meanwhile."""
LATE_S = 0.25
"""A further worker is started when work has waited for this long: its start takes up to a second of CPU, for which one worker
judges thousands of short answers."""
LATENESS_S = 1.0
"""A wait that ended so much later than its limit did not end by it: the process stood still meanwhile (a suspended job, a paused
machine), and the answer is judged once more."""
START_S = 120.0
"""How long a worker may take to import its domain."""
CLOSE_S, ABANDON_S = 30.0, 5.0
"""How long a pool waits for all its workers together when it is closed; what does not end by then ends with the process."""
_RUN_WORKER = (
    "import sys, json; config = json.loads(sys.argv[1]); sys.path[:] = config['path']; "
    "from evoltune.sandbox.worker import main; main(config)"
)
_SELF_TEST: tuple[tuple[str, str], ...] = (
    ("def f(a, b):\n    return a + b\n", "pass"),
    ("def f(a, b):\n    return a - b\n", "fail"),
    ("class A:\n    def __eq__(self, other):\n        return True\ndef f(a, b):\n    return A()\n", "fail"),
    ("import socket\nsocket.socket()\ndef f(a, b):\n    return a + b\n", "fail"),
)


class WorkerHandle:
    """One exec'd worker process: a supervisor, its zygote, and the verifier process that it forks and re-forks. It starts
    in the background; `open` waits for it."""

    def __init__(self, config: WorkerConfig, path: list[str] | None = None) -> None:
        self.config = config
        self._path = path or module_path()
        self._interrupted = self._stopping = False
        self._launch()

    def _launch(self) -> None:
        self._interrupts = 0
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argument = {"path": self._path, "control": theirs.fileno(), **asdict(self.config)}
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": "/tmp",
            # Like `python -I`, but the hash seed is fixed: the order of a set must not depend on the worker.
            "PYTHONHASHSEED": "0",
            "MALLOC_ARENA_MAX": "1",  # one per thread would use up a job's address space, 64 MiB each, and every fork would hold it
            **{k: os.environ[k] for k in ("LD_LIBRARY_PATH", "EVOLTUNE_DATA") if k in os.environ},
        }
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-B", "-c", _RUN_WORKER, json.dumps(argument)], env=env,
                pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches the driver alone, which ends its workers
            )  # fmt: skip

    def connect(self) -> None:
        """Waits until the worker is ready. Raises as `open`, closing the worker."""
        self.control.settimeout(START_S)
        try:
            notice, self.data = self._next_notice()
        except (EOFError, OSError) as error:
            self.close()
            raise DomainError(f"domain {self.config.domain!r}: its worker process did not start ({error!r})") from error
        self.level: Level = notice["level"]
        self.control.settimeout(10.0)

    def _next_notice(self) -> tuple[dict[str, Any], socket.socket]:
        """The supervisor's notice of a new verifier process, and the stream that leads to it."""
        body, fds, *_ = socket.recv_fds(self.control, 1 << 16, 1)
        if not body:
            raise EOFError
        notice = json.loads(body)
        if "error" in notice:
            self.close()
            raise {"IsolationError": IsolationError}.get(notice["kind"], DomainError)(notice["error"])
        data = socket.socket(fileno=fds[0])
        data.settimeout(60 + 60 * self.config.program_s)
        return notice, data

    def open(self) -> Self:
        """Waits for the worker and tests it: a sandbox that cannot tell these programs apart must not judge any other.

        Raises DomainError or IsolationError; then the worker is closed. The test also warms the zygote; it is skipped at L0,
        where nothing is enforced.
        """
        self.connect()
        if self.level == "L0":
            return self
        tests = "assert f(1, 2) == 3"
        jobs = [Job(program=program, tests=tests, entry_point="f", cpu_s=5.0) for program, _ in _SELF_TEST]
        test = Task("jobs", [jobs], Lane())
        self.check(test)
        (rows,) = test.done
        found = [row[0] for row in rows] if isinstance(rows, list) else [str(rows)]
        expected = [status for _, status in _SELF_TEST]
        if found != expected:
            self.close()
            gave = f"the sandbox's self-test gave {found}, expected {expected}"
            raise IsolationError(f"{gave}: this host breaks it, please report")
        return self

    def check(self, task: Task) -> None:
        """Appends to `task.done` a JSON list per item, and `WorkerLost` for an item that got no answer, until the items, the
        worker's turn or, where the task is cancelled, its patience end."""
        if not task.lane.enter(task, self.interrupt):
            return
        try:
            self._check(task)
        finally:
            task.lane.leave(task)
            if self._interrupted and not self._stopping:
                self._meet_next_verifier()
                self._interrupted = False

    def _check(self, task: Task) -> None:
        done, asked_again = task.done, -1
        began = time.monotonic()
        while len(done) < len(task.items) and not self._interrupted:
            try:
                body = pickle.dumps((task.kind, task.items[len(done) :]), protocol=pickle.HIGHEST_PROTOCOL)
                self.data.sendall(struct.pack(">Q", len(body)) + body)
                while len(done) < len(task.items):
                    message = wire.receive(self.data)
                    if message == TURN_OVER:
                        return
                    done.append(message if isinstance(message, list) else WorkerLost(**message))
                    began = time.monotonic()
            except TimeoutError:
                lost = WorkerLost(status="error", reason="checking this answer did not end")
                waited_s = self.data.gettimeout() or 0.0
                self._restart()
            except (EOFError, OSError, wire.ProtocolError):
                if self._interrupted:
                    return
                lost, waited_s = self._meet_next_verifier()
                waited_s *= _answers_of(task.items[len(done)])
            else:
                continue
            stood_still = waited_s and time.monotonic() - began > waited_s + LATENESS_S
            if stood_still and asked_again != len(done):
                asked_again = len(done)
            else:
                done.append(lost)
            began = time.monotonic()

    def interrupt(self) -> None:
        """From another thread: has the supervisor kill the verifier process, and with it the program that it waits for."""
        self._interrupted = True
        self._interrupts += 1
        with suppress(OSError):
            self.control.send(b"x")

    def stop(self) -> None:
        """From another thread: ends the worker at once, whatever it does; `check` returns."""
        self._stopping = self._interrupted = True
        with suppress(OSError):
            self.control.shutdown(socket.SHUT_RDWR)

    def _meet_next_verifier(self) -> tuple[WorkerLost, float]:
        """Connects to the verifier process that the supervisor forked anew. Returns why the last one died, and the seconds that it
        had waited where that was the reason, else 0."""
        try:
            self.data.close()
            notice, self.data = self._next_notice()
            while notice["interrupts"] < self._interrupts:  # it had died by itself before the interrupt came
                self.data.close()
                notice, self.data = self._next_notice()
        except (EOFError, OSError):
            self._restart()
            return WorkerLost(status="error", reason="the worker process died"), 0.0
        # The verifier, not the program, ran out of time: that says nothing about the answer.
        if notice["died"] == signal.SIGPROF:
            return WorkerLost(status="error", reason=f"checking took more than {self.config.check_s:g} s of CPU"), 0.0
        if notice["died"] == signal.SIGALRM:
            waited_s = self.config.wait_s
            return WorkerLost(status="error", reason=f"checking did not end: it waited for {waited_s:g} s"), waited_s
        whose = "the verifier process died" if notice["died"] == OUR_FAULT else f"{WHOSE} died with its process"
        return WorkerLost(status="error", reason=f"{whose} ({notice['died']})"), 0.0

    def _restart(self) -> None:
        self.close()
        if self._stopping:
            raise DomainError("the pool is closed")
        self._launch()
        self.connect()

    def close(self) -> None:
        """Ends the worker and everything below it."""
        for sock in (self.control, getattr(self, "data", None)):
            if sock:
                sock.close()  # the supervisor sees this, kills its children, and ends
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(0.5 if self._stopping else 5)
            return
        self.process.kill()
        self.process.wait()


def _answers_of(item: Any) -> int:
    """The answers of a record, alone or beside what it is compared with: the limit of waiting is for each."""
    record = item[1] if isinstance(item, tuple) else item
    return max(1, len(getattr(record, "answers", ())))


def module_path() -> list[str]:
    """Where a worker finds modules: as this process, in its present folder."""
    return [p or str(Path.cwd()) for p in sys.path]


def default_workers() -> int:
    """Cores that this process may use, divided among the ranks of one machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // max(1, int(os.environ.get("LOCAL_WORLD_SIZE") or 1)))


class Pool:
    """Threads that feed workers from one queue, by default one per core. Safe to share between threads; not across a fork.

    One worker starts at once, the others when work waits; `warm`: all at once, for a service.

    Raises DomainError and IsolationError at construction, where the domain or the host is at fault.
    """

    def __init__(self, config: WorkerConfig, workers: int = 0, *, warm: bool = False) -> None:
        self.config = config
        self.size = workers or default_workers()
        self.pid = os.getpid()
        self._queue = FairQueue()
        self._seconds_per_item = 0.01
        self._closed = False
        self._workers: set[WorkerHandle] = set()
        self._path = module_path()
        is_path = "/" in config.domain
        self._config_of_others = replace(config, domain=str(Path(config.domain).resolve())) if is_path else config
        """The folder may be another one when they start."""
        first, *others = [self._worker(config) for _ in range(self.size if warm else 1)]
        self._threads: list[threading.Thread] = []
        for worker in others:
            self._start_thread(worker)
        try:
            first.open()  # raises here, in the caller
        except BaseException:
            first.close()
            self.close(abandon=True)
            raise
        self.level: Level = first.level
        self._start_thread(first, is_open=True)
        self._start_thread()

    def _start_thread(self, worker: WorkerHandle | None = None, is_open: bool = False) -> None:
        """Adds a thread, up to `size`. One without a worker starts it once work waits, and adds the next thread."""
        if len(self._threads) < self.size:
            name = f"evoltune-worker-{len(self._threads)}"
            thread = threading.Thread(target=self._serve, args=(worker, is_open), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _worker(self, config: WorkerConfig | None = None) -> WorkerHandle:
        worker = WorkerHandle(config or self._config_of_others, self._path)
        self._workers.add(worker)
        return worker

    def _serve(self, worker: WorkerHandle | None, is_open: bool) -> None:
        """A thread's loop: opens its worker, then runs tasks until the queue is closed and empty."""
        try:
            if not worker:
                if not self._queue.wait_for_late(LATE_S):
                    return
                worker = self._worker()
                if self._closed:  # perhaps too late for `close` to have seen this worker
                    return
                self._start_thread()
            if not is_open:
                try:
                    worker.open()
                except Exception:  # noqa: BLE001 - the first task tries again, and raises what it meets
                    self._end(worker)
                    worker = None
            while (task := self._queue.take()) is not None:
                if task.lane.cancelled or not (task.future.running() or task.future.set_running_or_notify_cancel()):
                    task.drop()
                    continue
                try:
                    worker = worker or self._worker().open()
                    self._run(worker, task)
                except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits
                    self._end(worker)
                    worker = None
                    task.future.set_exception(error)
        finally:
            self._end(worker)

    def _run(self, worker: WorkerHandle, task: Task) -> None:
        """One turn of a task."""
        began, before = time.perf_counter(), len(task.done)
        worker.check(task)
        self._queue.charge(task.lane, time.perf_counter() - began)
        if task.lane.cancelled:
            task.drop()
            return
        took = (time.perf_counter() - began) / max(1, len(task.done) - before)
        self._seconds_per_item += 0.2 * (took - self._seconds_per_item)
        if len(task.done) == len(task.items):
            task.future.set_result(task.done)
        else:
            self._queue.put(task, first=True)

    def _end(self, worker: WorkerHandle | None) -> None:
        if worker:
            worker.close()
            self._workers.discard(worker)

    def submit(self, kind: str, items: list[Any], lane: Lane | None = None) -> Future[list[Any]]:
        """Queues a batch: "verify" or "verify:PROFILE[:POLICY]" (records), "overlap" (((method, tasks), record)) or "jobs" (lists of
        jobs). The future gives, for each item, a list or `WorkerLost`. `lane`: the caller's, where it has several batches."""
        if self._closed or self.pid != os.getpid():
            raise RuntimeError("this checker is closed, or was opened before a fork: open one in this process")
        task = Task(kind, items, lane or Lane())
        self._queue.put(task)
        return task.future

    def map(self, kind: str, items: Iterable[Any], lane: Lane | None = None) -> Iterator[Any]:
        """One result per item, in order. Reads a few batches ahead, at most `AHEAD` items per worker while the next result
        is missing; closing the iterator cancels them, and cancelling `lane` raises CancelledError here."""
        lane = lane or Lane()
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
                        pending.append(self.submit(kind, batch, lane))
                        ahead += len(batch)
                if pending:
                    results = result_of(pending.popleft())
                    ahead -= len(results)
                    yield from results
        finally:
            if pending:
                lane.cancel()
                self._queue.remove(lane)

    def close(self, *, abandon: bool = False) -> None:
        """Ends all workers: once they are idle, or with `abandon` at once. A second call does nothing."""
        if self._closed or self.pid != os.getpid():
            return
        self._closed = True
        self._queue.close(drop=abandon)
        for worker in list(self._workers) if abandon else ():
            worker.stop()
        deadline = time.monotonic() + (ABANDON_S if abandon else CLOSE_S)
        for thread in list(self._threads):
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
