"""Rows accepted and not yet judged, per domain: what may come in, what is running, what is given up.

Invariant: accepted rows and bytes never exceed the limits, whoever sends them; a request that was accepted is either
judged or given up at its deadline, and then leaves nothing in the queue. First come, first judged.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from evoltune.verification.checker import Checker
from evoltune.verification.rows import verify_rows

MEMORY_S = 10.0
"""The drain rate is that of about this many busy seconds."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one service takes. A request waits at most `timeout_s` for its verdicts, its body at most `read_s`."""

    timeout_s: float = 60.0
    read_s: float = 10.0
    body_mb: int = 16
    batch_rows: int = 1024
    queue_rows: int = 8192
    queue_mb: int = 256

    @property
    def most_rows(self) -> int:
        """Rows that one request may have: never more than the queue could ever take."""
        return min(self.batch_rows, self.queue_rows)

    @property
    def most_mb(self) -> int:
        """Size of one body, likewise."""
        return min(self.body_mb, self.queue_mb)


class Full(Exception):
    """The queue takes nothing now; try again after `retry_s`."""

    def __init__(self, reason: str, retry_s: float) -> None:
        super().__init__(reason)
        self.retry_s = max(1, min(60, math.ceil(retry_s)))


class Ticket:
    """One accepted request: a future of verdict rows that may be given up."""

    def __init__(self, rows: int) -> None:
        self.left, self.abandoned = rows, threading.Event()
        self.future: Future[list[dict[str, Any]]]

    def abandon(self) -> None:
        """Judges no further row of it. A row that is being judged ends by its own limits."""
        self.abandoned.set()
        self.future.cancel()


class Backlog:
    """The queue before one domain's checker. Safe to use from any thread."""

    def __init__(self, checker: Checker, limits: Limits, judged: Callable[[str], None]) -> None:
        self.checker, self.limits, self._judged = checker, limits, judged
        self.rows = 0
        self._lock = threading.Lock()
        # Twice the workers: the next request's rows stand ready when a worker comes free.
        self._threads = ThreadPoolExecutor(2 * checker.pool.size, thread_name_prefix="evoltune-judge")
        self._since, self._busy_s, self._done = time.monotonic(), 0.0, 0.0

    def wait_s(self) -> float:
        """How long the rows ahead will take, from the rate of the last busy seconds; 0 when nothing is known."""
        return self.rows * self._busy_s / self._done if self._done else 0.0

    def accept(self, rows: Sequence[Any], first: int = 1) -> Ticket:
        """Queues the rows. Raises Full when they do not fit, or would wait for more than half of the time limit."""
        with self._lock:
            wait_s, patience_s = self.wait_s(), self.limits.timeout_s / 2
            if self.rows + len(rows) > self.limits.queue_rows:
                raise Full(f"{self.rows} rows wait, the queue holds {self.limits.queue_rows}", wait_s / 2)
            if wait_s > patience_s:
                raise Full(f"{self.rows} rows wait, about {wait_s:.0f} s of work", wait_s - patience_s)
            self._account(0)
            self.rows += len(rows)
        ticket = Ticket(len(rows))
        ticket.future = self._threads.submit(self._judge, ticket, rows, first)
        ticket.future.add_done_callback(lambda _: self._settle(ticket, ticket.left))
        return ticket

    def _judge(self, ticket: Ticket, rows: Sequence[Any], first: int) -> list[dict[str, Any]]:
        done: list[dict[str, Any]] = []
        with closing(verify_rows(self.checker, rows, first)) as verdicts:  # type: ignore[type-var]
            for verdict in verdicts:
                done.append(verdict)
                self._judged(verdict["status"])
                self._settle(ticket, 1)
                if ticket.abandoned.is_set():
                    break
        return done

    def _settle(self, ticket: Ticket, rows: int) -> None:
        with self._lock:
            self._account(rows)
            ticket.left -= rows
            self.rows -= rows

    def _account(self, rows: int) -> None:
        """Busy seconds and rows done, both fading with the busy time that passed."""
        now = time.monotonic()
        if self.rows:
            fade = math.exp((self._since - now) / MEMORY_S)
            self._busy_s, self._done = self._busy_s * fade + now - self._since, self._done * fade
        self._since, self._done = now, self._done + rows

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.checker.close()
