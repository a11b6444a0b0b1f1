"""The attempts of a run: each is reserved in the budget, and known while it is at work, so that a stop can wait for it.

    attempts = Attempts(meter)
    reply = await attempts.make(request, send)          # one HTTP request; `Paid(engine, attempts)` for other engines

Invariant: after `stop` no attempt begins.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from evoltune.errors import TeacherError
from evoltune.recipe import Budget, Price
from evoltune.teacher.budget import BudgetMeter
from evoltune.teacher.journal import Journalled
from evoltune.teacher.protocol import Reply, Request, Teacher

Send = Callable[[], Awaitable[Reply]]


class Attempts:
    """Knows which attempts are at work; after `stop` it begins none."""

    def __init__(self, meter: BudgetMeter | None = None) -> None:
        self._meter, self._is_stopped = meter or BudgetMeter(Budget(), Price()), False
        self._at_work: set[asyncio.Task[Any] | None] = set()
        self.before_each: Callable[[], None] = lambda: None
        """Called before an attempt leaves: what others brought home is committed first, so that a `kill -9` never loses more
        calls than may be in flight. It raises where no attempt should leave."""

    async def make(self, request: Request, send: Send, server: str = "") -> Reply:
        """One attempt, when its worst case fits into the budget. server: the name of what it goes to, where there are several."""
        return await self._meter.pay(request, lambda: self._tracked(send), server)

    async def _tracked(self, send: Send) -> Reply:
        if self._is_stopped:
            raise TeacherError("the run is stopping")
        self.before_each()
        task = asyncio.current_task()
        self._at_work.add(task)
        try:
            return await send()
        finally:
            self._at_work.discard(task)

    async def stop(self, journalled: Journalled, limit_s: float) -> None:
        """Lets the attempts at work come home and into the journal, for at most `limit_s`; ends all calls that wait for a
        slot, for money or for another try. A second interruption ends everything at once."""
        self._is_stopped = True
        if at_work := len(self._at_work):
            print(f"  stopping: waiting for {at_work} teacher calls in flight, at most {limit_s:g} s (interrupt again to "
                  "end at once; they would be paid again)", file=sys.stderr, flush=True)  # fmt: skip
        end = asyncio.get_running_loop().time() + limit_s
        try:
            while calls := journalled.calls:
                left = end - asyncio.get_running_loop().time()
                for call in calls:
                    if call not in self._at_work or left <= 0:
                        call.cancel()
                await asyncio.wait(calls, timeout=0.05 if left > 0 else None, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for call in journalled.calls:
                call.cancel()
            await asyncio.gather(*journalled.calls, return_exceptions=True)
            journalled.close()


class Paid:
    """An engine whose calls are attempts of the run."""

    def __init__(self, inner: Teacher, attempts: Attempts) -> None:
        self._inner, self._attempts = inner, attempts

    async def complete(self, request: Request) -> Reply:
        return await self._attempts.make(request, lambda: self._inner.complete(request))
