"""The teacher: one small protocol, and functions that put one Teacher round another.

    async with open_teacher(recipe.teacher, store) as teacher:
        texts = await teacher.complete(ask(recipe.teacher, "Write a harder task.", purpose="evolve", seed=1))

`open_teacher` builds journalled(gated(retried(budgeted(engine)))): an engine makes one attempt (http, embedded, replay,
transformers, vllm), every attempt is reserved in the budget first, faults are retried, replies are committed before use.
Invariant: a call that the journal holds is never made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from evoltune import recipe as recipes
from evoltune.errors import RecipeError
from evoltune.run.store import Store
from evoltune.teacher.budget import Meter, budgeted
from evoltune.teacher.journal import journalled
from evoltune.teacher.protocol import (
    AttemptError,
    GivenUpError,
    Message,
    Reply,
    Request,
    Teacher,
    ask,
    draw_seed,
    request_key,
    request_to_json,
)
from evoltune.teacher.retry import retried

__all__ = [
    "AttemptError",
    "GivenUpError",
    "Message",
    "Meter",
    "Reply",
    "Request",
    "Teacher",
    "ask",
    "budgeted",
    "draw_seed",
    "gated",
    "journalled",
    "open_teacher",
    "request_key",
    "request_to_json",
    "retried",
]


def gated(teacher: Teacher, concurrency: int) -> Teacher:
    """At most `concurrency` calls at once."""
    return _Gated(teacher, asyncio.Semaphore(concurrency))


class _Gated:
    def __init__(self, inner: Teacher, gate: asyncio.Semaphore) -> None:
        self._inner, self._gate = inner, gate

    async def complete(self, request: Request) -> Sequence[str]:
        async with self._gate:
            return await self._inner.complete(request)


@asynccontextmanager
async def open_teacher(config: recipes.Teacher, store: Store | None = None) -> AsyncIterator[Teacher]:
    """The recipe's teacher, ready: servers are up, keys are read. With a store: journalled, budget counted over resumes.

    Raises TeacherError (unreachable, with the URL and what to start), RecipeError (a key or file that is missing),
    BudgetError from a call that would break a cap.
    """
    async with AsyncExitStack() as stack:
        engine = await _engine(config, stack)
        meter = Meter(config.budget, config.price, store)
        stack.callback(meter.close)
        teacher = retried(budgeted(engine, meter), config.max_retries)
        teacher = gated(teacher, config.concurrency)
        yield journalled(teacher, store, config.price) if store is not None else teacher


async def _engine(config: recipes.Teacher, stack: AsyncExitStack) -> Teacher:
    if config.kind == "http":
        from evoltune.teacher.http import open_http

        return await stack.enter_async_context(open_http(config))
    if config.kind == "embedded":
        from evoltune.teacher.embedded import open_embedded

        return await stack.enter_async_context(open_embedded(config))
    if config.kind == "replay":
        from evoltune.teacher.replay import load_cassette

        if not config.cassette:
            raise RecipeError(
                "teacher.cassette: kind 'replay' needs a file written by `evoltune cassette export`"
            )
        return load_cassette(config.cassette)
    from evoltune.teacher.offline import open_local

    return await stack.enter_async_context(open_local(config))
