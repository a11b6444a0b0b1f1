"""The journal: a reply is committed under the hash of its whole request before anything uses it.

Invariant: a call that the journal holds is never made again; `kill -9` loses at most the calls in flight.
"""

import asyncio
from dataclasses import replace
from typing import Any

from evoltune import recipe as recipes
from evoltune.run.store import Store
from evoltune.teacher.protocol import Reply, Request, Teacher, cost, key_of, request_to_json


def commit_reply(store: Store, key: str, body: dict[str, Any], request: Request, reply: Reply, price: recipes.Price,
                 *, discount: float = 1.0) -> Reply:  # fmt: skip
    """Writes one reply into the journal; returns it with its cost. discount: 0.5 for a provider's batch files."""
    reply = replace(reply, usage=replace(reply.usage, usd=discount * cost(price, reply.usage)))
    store.journal(
        key, purpose=request.purpose, model=request.model, request=body, record=request.record,
        texts=reply.texts, usage=reply.usage, truncated=reply.truncated,
    )  # fmt: skip
    return reply


class Journalled:
    """Answers from the store's journal; otherwise asks `inner`, commits the reply, and only then returns it."""

    def __init__(self, inner: Teacher, store: Store, price: recipes.Price | None = None) -> None:
        self._inner, self._store, self._price = inner, store, price or recipes.Price()
        self._in_flight: dict[str, asyncio.Future[Reply]] = {}

    async def complete(self, request: Request) -> Reply:
        body = request_to_json(request)
        key = key_of(body)
        if (known := self._store.reply(key)) is not None:
            return Reply(texts=tuple(known.texts), usage=known.usage, truncated=known.truncated)
        if key in self._in_flight:  # two chains that ask the same thing pay once
            return await asyncio.shield(self._in_flight[key])
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._in_flight[key] = future
        try:
            reply = await self._inner.complete(request)
            reply = commit_reply(self._store, key, body, request, reply, self._price)
        except BaseException as error:
            if isinstance(error, Exception):
                future.set_exception(error)
                future.exception()  # marks it as retrieved: there may be no second caller
            else:
                future.cancel()
            raise
        finally:
            del self._in_flight[key]
        future.set_result(reply)
        return reply
