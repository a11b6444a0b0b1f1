"""A recipe's teacher: an engine, and the wrappers round it.

    async with open_teacher(recipe.teacher, store) as teacher:
        reply = await teacher.complete(make_request(recipe.teacher, "Write a harder task.", purpose="evolve", seed=1))

`open_teacher` builds AllSamples(Journalled(ConcurrencyLimited(Retried(Budgeted(Stoppable(engine)))))). An engine makes one
attempt; every attempt is reserved in the budget first, failed ones are repeated, replies are committed before use.
Invariant: a call that the journal holds is never made again, also when the run was stopped while the call was in flight.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from evoltune import recipe as recipes
from evoltune.errors import TeacherError
from evoltune.run.store import Store
from evoltune.teacher.budget import Budgeted, BudgetMeter
from evoltune.teacher.engines import open_engine
from evoltune.teacher.journal import AllSamples, Journalled
from evoltune.teacher.protocol import Reply, Request, Teacher
from evoltune.teacher.retry import Retried

MAX_STOP_S = 60.0
"""A stopped run waits this long for the calls in flight; batch systems kill it some time after SIGTERM."""


class ConcurrencyLimited:
    """At most `concurrency` calls at once."""

    def __init__(self, inner: Teacher, concurrency: int) -> None:
        self._inner, self._slots = inner, asyncio.Semaphore(concurrency)

    async def complete(self, request: Request) -> Reply:
        async with self._slots:
            return await self._inner.complete(request)


class Stoppable:
    """Knows which attempts are at work; after `stop` it begins none."""

    def __init__(self, inner: Teacher) -> None:
        self._inner, self._is_stopped = inner, False
        self._at_work: set[asyncio.Task[Any] | None] = set()

    async def complete(self, request: Request) -> Reply:
        if self._is_stopped:
            raise TeacherError("the run is stopping")
        task = asyncio.current_task()
        self._at_work.add(task)
        try:
            return await self._inner.complete(request)
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


@asynccontextmanager
async def open_teacher(config: recipes.Teacher, store: Store | None = None) -> AsyncIterator[Teacher]:
    """The recipe's teacher, ready: servers are up, keys are read. With a store: journalled, budget counted over resumes.
    Raises TeacherError (unreachable, not loadable), RecipeError (a key or file is missing); a call may raise BudgetError.
    """
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_engine(config))
        meter = BudgetMeter(config.budget, config.price, store)
        stack.callback(meter.close)
        attempts = Stoppable(engine)
        teacher = ConcurrencyLimited(Retried(Budgeted(attempts, meter), config.max_retries), config.concurrency)
        if store is None:
            yield AllSamples(teacher)
            return
        journalled = Journalled(teacher, store, config.price)
        stack.push_async_callback(attempts.stop, journalled, min(MAX_STOP_S, config.timeout_s))
        yield AllSamples(journalled)
