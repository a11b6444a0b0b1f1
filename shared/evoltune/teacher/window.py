"""How many calls one server gets at once: halved when calls time out, then more with each round that was served.

A saturated server queues what it cannot serve, and queued calls time out: with fewer at once, each is served in time.
Invariant: at least one call may always leave.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

UNLIMITED = float("inf")
FAST, NEAR = 1 / 16, 0.8
"""Growth of a round: a sixteenth until it is near the number at which calls timed out, from then on one call."""


class Window:
    """Slots for calls in flight. `full`: the number from which on nothing is limited any more; `limit`: slots to begin with."""

    def __init__(self, full: int, clock: Callable[[], float] = time.monotonic, *, limit: float = UNLIMITED) -> None:
        self._full, self._clock, self.limit = full, clock, limit
        self.in_flight = 0
        self._failed = UNLIMITED
        """How many were in flight when calls last timed out."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._lowered_at = 0.0

    async def __aenter__(self) -> None:
        """Waits, in order of arrival, until one more call may be in flight."""
        if self.in_flight >= self.limit or self._waiting:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn  # whoever resolves it has counted this call already
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._leave()
                elif turn in self._waiting:
                    self._waiting.remove(turn)
                raise
        else:
            self.in_flight += 1

    async def __aexit__(self, *raised: object) -> None:
        self._leave()

    def _leave(self) -> None:
        self.in_flight -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.in_flight < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)

    def timed_out(self, sent_at: float) -> int:
        """A call that left at `sent_at` timed out. Returns the new limit when this lowers it, else 0: calls that were in
        flight together lower it once."""
        if sent_at < self._lowered_at or self.in_flight <= 1:
            return 0
        self._failed = min(self.limit, self.in_flight)
        self.limit = max(1, int(self._failed) // 2)
        self._lowered_at = self._clock()
        return int(self.limit)

    def served(self) -> None:
        """Call this after a reply that came in time: raises the limit again."""
        if self.limit < UNLIMITED:
            share = 1 / self.limit  # of a round
            self.limit += max(share, FAST) if self.limit < NEAR * self._failed else share
            if self.limit >= self._full:
                self.limit = UNLIMITED
            self._admit()
