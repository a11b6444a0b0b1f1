"""The rows that wait for one domain's checker. Requests share its workers fairly: the one that has used least is next.

Invariant: accepted rows never exceed the limits, whoever sends them. An accepted request is verified, or dropped at its
deadline; then none of its rows stays in the queue, and no worker goes on with one.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from evoltune.sandbox.fair_queue import Lane
from evoltune.verification.checker import Checker
from evoltune.verification.rows import verify_rows

AT_ONCE = 64
"""Requests that share the workers; the others wait for one of these to end."""
RATE_S = 10.0
"""The drain rate is an exponential average over about this many busy seconds."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one service accepts. A request waits at most `timeout_s` for its verdicts, its body at most `read_s`."""

    timeout_s: float = 60.0
    read_s: float = 10.0
    body_mb: int = 16
    batch_rows: int = 1024
    queue_rows: int = 8192
    queue_mb: int = 256

    @property
    def most_rows(self) -> int:
        """Rows of one request: never more than the queue can hold."""
        return min(self.batch_rows, self.queue_rows)

    @property
    def most_mb(self) -> int:
        """MiB of one body: never more than the queue can hold."""
        return min(self.body_mb, self.queue_mb)


class QueueFullError(Exception):
    """The queue accepts nothing now; try again after `retry_s` seconds."""

    def __init__(self, reason: str, retry_s: float) -> None:
        super().__init__(reason)
        self.retry_s = max(1, min(60, math.ceil(retry_s)))


class QueuedRequest:
    """One accepted request: a future of verdict rows that can be cancelled. `done` grows meanwhile, in the rows' order."""

    def __init__(self, rows: int) -> None:
        self.rows_left, self.lane = rows, Lane()
        self.done: list[dict[str, Any]] = []
        self.future: Future[list[dict[str, Any]]]

    def cancel(self) -> None:
        """Verifies no further row of it, and interrupts the one that a worker has begun."""
        self.lane.cancel()
        self.future.cancel()


class RowQueue:
    """The queue before one domain's checker. Safe to use from any thread."""

    def __init__(self, checker: Checker, limits: Limits, on_verdict: Callable[[str], None]) -> None:
        self.checker, self.limits, self._on_verdict = checker, limits, on_verdict
        self.rows = 0
        self._requests: set[QueuedRequest] = set()
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="evoltune-rows")
        self._updated, self._busy_s, self._done = time.monotonic(), 0.0, 0.0

    def wait_s(self, rows: int) -> float:
        """Seconds that others take from a request of so many rows, from the drain rate of late; 0 while it is unknown.

        Requests share the workers, so none delays another one by more rows than that one has.
        """
        ahead = sum(min(rows, request.rows_left) for request in self._requests)
        return ahead * self._busy_s / self._done if self._done else 0.0

    def accept(
        self, rows: Sequence[Any], first: int = 1, profile: str = "", policy: Mapping[str, Any] | None = None
    ) -> QueuedRequest:
        """Queues the rows, to be verified under a profile and options of the verifier of their own where these are given.

        Raises QueueFullError where the rows do not fit, or would wait for more than half of the time limit; DomainError for
        an unknown profile or option.
        """
        checker = self.checker.with_choices(profile, policy or {}) if profile or policy else self.checker
        with self._lock:
            wait_s, patience_s = self.wait_s(len(rows)), self.limits.timeout_s / 2
            if self.rows + len(rows) > self.limits.queue_rows:
                raise QueueFullError(f"{self.rows} rows wait, the queue holds {self.limits.queue_rows}", wait_s / 2)
            if wait_s > patience_s:
                raise QueueFullError(f"{self.rows} rows wait, about {wait_s:.0f} s of work", wait_s - patience_s)
            self._update_rate(0)
            self.rows += len(rows)
            request = QueuedRequest(len(rows))
            self._requests.add(request)
        request.future = self._threads.submit(self._verify, checker, request, rows, first)
        request.future.add_done_callback(lambda _: self._forget(request))
        return request

    def _forget(self, request: QueuedRequest) -> None:
        self._finish(request, request.rows_left)
        with self._lock:
            self._requests.discard(request)

    def _verify(
        self, checker: Checker, request: QueuedRequest, rows: Sequence[Any], first: int
    ) -> list[dict[str, Any]]:
        with suppress(CancelledError), closing(verify_rows(checker, rows, first, request.lane)) as verdicts:
            for verdict in verdicts:
                request.done.append(verdict)
                self._on_verdict(verdict["status"])
                self._finish(request, 1)
        return request.done

    def _finish(self, request: QueuedRequest, rows: int) -> None:
        with self._lock:
            self._update_rate(rows)
            request.rows_left -= rows
            self.rows -= rows

    def _update_rate(self, rows: int) -> None:
        """Busy seconds and rows done, both fading with the busy time that passed."""
        now = time.monotonic()
        if self.rows:
            fade = math.exp((self._updated - now) / RATE_S)
            self._busy_s, self._done = self._busy_s * fade + now - self._updated, self._done * fade
        self._updated, self._done = now, self._done + rows

    def close(self) -> None:
        """Ends the workers at once: what was accepted has been answered or refused."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.checker.close(abandon=True)
