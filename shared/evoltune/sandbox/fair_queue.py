"""Tasks of several callers for one pool of workers. Who has used the least time is next, so a caller with a thousand slow
items delays another one by the item at hand, not by a thousand.

    lane = Lane()
    queue.put(Task("verify", records, lane))
    lane.cancel()       # from any thread: what waits is dropped, what runs is interrupted

Invariant: every task that was put ends in its future: with results, an error, or CancelledError.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any


class Lane:
    """One caller's tasks, which can be cancelled together."""

    def __init__(self) -> None:
        self.cancelled = False
        self.used_s = 0.0
        """Seconds of workers, counted from the queue's clock when this lane came."""
        self._lock = threading.Lock()
        self._running: dict[Task, Callable[[], None]] = {}

    def cancel(self) -> None:
        """Cancels all tasks of the lane, now and later. Safe from any thread; a second call does nothing."""
        with self._lock:
            if not self.cancelled:
                self.cancelled = True
                for interrupt in self._running.values():
                    interrupt()

    def enter(self, task: "Task", interrupt: Callable[[], None]) -> bool:
        """Marks a task as running, to be interrupted by `cancel`; False where the lane is cancelled."""
        with self._lock:
            if not self.cancelled:
                self._running[task] = interrupt
            return not self.cancelled

    def leave(self, task: "Task") -> None:
        """The end of `enter`."""
        with self._lock:
            self._running.pop(task, None)

    @property
    def turn(self) -> tuple[float, int]:
        """The lane with the least is next."""
        return self.used_s, len(self._running)


class Task:
    """A batch of items of one kind; `done` grows until it holds a result for each of them."""

    def __init__(self, kind: str, items: list[Any], lane: Lane) -> None:
        self.kind, self.items, self.lane = kind, items, lane
        self.done: list[Any] = []
        self.future: Future[list[Any]] = Future()
        self.waits_since = 0.0

    def drop(self) -> None:
        """Ends the task without results."""
        if not self.future.cancel() and not self.future.done():
            self.future.set_exception(CancelledError())


class FairQueue:
    """Blocks takers while it is empty. Within a lane, first come, first served."""

    def __init__(self) -> None:
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._filled = threading.Condition(lock)
        """For `wait_for_late` alone: a task's one notice must reach a taker."""
        self._is_awaited = False
        self._lanes: dict[Lane, deque[Task]] = {}
        self._clock_s = 0.0
        """What a lane would have used that had always had its fair share: where lanes begin that come now. Without it, a
        stream of new lanes would keep those waiting that have used something."""
        self._closed = False

    def put(self, task: Task, *, first: bool = False) -> None:
        """Appends a task to its lane; `first`: the rest of a task whose turn is over goes before the lane's others."""
        with self._changed:
            if not self._closed:
                if task.lane not in self._lanes:
                    task.lane.used_s = max(task.lane.used_s, self._clock_s)
                task.waits_since = time.monotonic()
                waiting = self._lanes.setdefault(task.lane, deque())
                waiting.appendleft(task) if first else waiting.append(task)
                self._changed.notify()
                if self._is_awaited:
                    self._filled.notify_all()
                return
        task.drop()

    def take(self) -> Task | None:
        """The next task; None when the queue is closed and empty."""
        with self._changed:
            while not self._lanes:
                if self._closed:
                    return None
                self._changed.wait()
            lane = min(self._lanes, key=lambda lane: lane.turn)
            task = self._lanes[lane].popleft()
            if not self._lanes[lane]:
                del self._lanes[lane]
            return task

    def wait_for_late(self, seconds: float) -> bool:
        """Blocks until a task has waited for this long; False when the queue is closed."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                since = min((waiting[0].waits_since for waiting in self._lanes.values()), default=None)
                if since is not None and now - since >= seconds:
                    return True
                self._is_awaited = since is None
                self._filled.wait(None if since is None else since + seconds - now)
            return False

    def charge(self, lane: Lane, seconds: float) -> None:
        """Counts the time of a turn."""
        with self._changed:
            lane.used_s += seconds
            self._clock_s += seconds / len({*self._lanes, lane})

    def remove(self, lane: Lane) -> None:
        """Drops what waits in a lane."""
        with self._changed:
            dropped = self._lanes.pop(lane, deque())
        for task in dropped:
            task.drop()

    def close(self, *, drop: bool = False) -> None:
        """Takes nothing more; `drop`: what waits is dropped instead of handed out."""
        with self._changed:
            self._closed = True
            dropped = [task for waiting in self._lanes.values() for task in waiting] if drop else []
            if drop:
                self._lanes.clear()
            self._changed.notify_all()
            self._filled.notify_all()
        for task in dropped:
            with suppress(Exception):
                task.drop()
