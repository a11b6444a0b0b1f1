"""A recipe's teacher: an engine, and the wrappers round it.

    async with open_teacher(recipe.teacher, store) as teacher:
        reply = await teacher.complete(make_request(recipe.teacher, "Write a harder task.", purpose="evolve", seed=1))

`open_teacher` builds Journalled(ConcurrencyLimited(Retried(Budgeted(engine)))). An engine makes one attempt; every attempt
is reserved in the budget first, failed ones are repeated, replies are committed before use.
Invariant: a call that the journal holds is never made again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext

from evoltune import recipe as recipes
from evoltune.errors import RecipeError
from evoltune.run.store import Store
from evoltune.teacher.budget import Budgeted, BudgetMeter
from evoltune.teacher.in_process import open_in_process
from evoltune.teacher.journal import Journalled, load_cassette
from evoltune.teacher.protocol import Reply, Request, Teacher
from evoltune.teacher.retry import Retried


class ConcurrencyLimited:
    """At most `concurrency` calls at once."""

    def __init__(self, inner: Teacher, concurrency: int) -> None:
        self._inner, self._slots = inner, asyncio.Semaphore(concurrency)

    async def complete(self, request: Request) -> Reply:
        async with self._slots:
            return await self._inner.complete(request)


@asynccontextmanager
async def open_teacher(config: recipes.Teacher, store: Store | None = None) -> AsyncIterator[Teacher]:
    """The recipe's teacher, ready: servers are up, keys are read. With a store: journalled, budget counted over resumes.
    Raises TeacherError (unreachable, not loadable), RecipeError (a key or file is missing); a call may raise BudgetError.
    """
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(_open_engine(config))
        meter = BudgetMeter(config.budget, config.price, store)
        stack.callback(meter.close)
        teacher = ConcurrencyLimited(Retried(Budgeted(engine, meter), config.max_retries), config.concurrency)
        yield Journalled(teacher, store, config.price) if store is not None else teacher


def _open_engine(config: recipes.Teacher) -> AbstractAsyncContextManager[Teacher]:
    # aiohttp is imported only where it is used: a replayed or local run starts without it.
    if config.kind == "http":
        from evoltune.teacher.http import open_http

        return open_http(config)
    if config.kind == "embedded":
        from evoltune.teacher.embedded import open_embedded

        return open_embedded(config)
    if config.kind == "replay":
        if not config.cassette:
            raise RecipeError("teacher.cassette: kind 'replay' needs a file written by `evoltune cassette export`")
        return nullcontext(load_cassette(config.cassette))
    return open_in_process(config)
