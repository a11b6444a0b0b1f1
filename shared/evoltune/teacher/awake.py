"""Limits of time that do not count while this process stood still: a laptop asleep, a job suspended, a machine that was paused.

    limits = AwakeLimits(60.0)
    limits.begin()
    async with limits.limit():          # TimeoutError after 60 s in which the process was awake
        reply = await request()

What a server sent meanwhile is in the socket's buffer: with an ordinary limit the call would be given up and paid again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

TICK_S = 1.0
"""How often it is seen whether the process stood still; a fourth of the limit where that is shorter."""


class AwakeLimits:
    """The limits of calls in flight. Invariant: a limit ends after its seconds, and after the time by which ticks came late."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._tick_s = seconds, min(TICK_S, seconds / 4)
        self._running: set[asyncio.Timeout] = set()
        self._seen = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """From now on it is watched, until `end`. Called inside the event loop."""
        loop = asyncio.get_running_loop()
        self._seen = loop.time()
        self._timer = loop.call_later(self._tick_s, self._tick, loop)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        late = now - self._seen - self._tick_s
        self._seen = now
        if late > self._tick_s:
            for limit in self._running:
                if (when := limit.when()) is not None:
                    limit.reschedule(when + late)
        self._timer = loop.call_later(self._tick_s, self._tick, loop)

    @asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """Raises TimeoutError when the block takes longer."""
        async with asyncio.timeout(self._seconds) as limit:
            self._running.add(limit)
            try:
                yield
            finally:
                self._running.discard(limit)
