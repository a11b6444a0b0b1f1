"""The journal: a reply is committed under the hash of its whole request before anything uses it.

Invariant: a call that the journal holds is never made again; `kill -9` loses at most the calls in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from evoltune import recipe as recipes
from evoltune.run.store import Store, Usage
from evoltune.teacher.protocol import Reply, Request, Teacher, cost, key_of, request_to_json, usage_of


def journalled(teacher: Teacher, store: Store, price: recipes.Price | None = None) -> Teacher:
    """Answers from the store's journal; else asks, commits the reply, and only then hands it out."""
    return _Journalled(teacher, store, price or recipes.Price())


class _Journalled:
    def __init__(self, inner: Teacher, store: Store, price: recipes.Price) -> None:
        self._inner, self._store, self._price = inner, store, price
        self._flying: dict[str, asyncio.Future[Reply]] = {}

    async def complete(self, request: Request) -> Sequence[str]:
        body = request_to_json(request)
        key = key_of(body)
        if (known := self._store.replied(key)) is not None:
            return Reply(texts=tuple(known.texts), usage=known.usage, cut=known.cut)
        if key in self._flying:  # two chains that ask the same thing pay once
            return await asyncio.shield(self._flying[key])
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._flying[key] = future
        try:
            reply = await self._ask(request, key, body)
        except BaseException as error:
            if isinstance(error, Exception):
                future.set_exception(error)
                future.exception()  # seen: nobody may be waiting
            else:
                future.cancel()
            raise
        finally:
            del self._flying[key]
        future.set_result(reply)
        return reply

    async def _ask(self, request: Request, key: str, body: dict[str, Any]) -> Reply:
        texts = await self._inner.complete(request)
        used = usage_of(texts)
        usage = Usage(
            prompt_tokens=used.prompt_tokens,
            completion_tokens=used.completion_tokens,
            usd=cost(self._price, used),
        )
        reply = Reply(texts=tuple(texts), usage=usage, cut=texts.cut if isinstance(texts, Reply) else ())
        self._store.journal(
            key,
            purpose=request.purpose,
            model=request.model,
            request=body,
            texts=reply.texts,
            usage=usage,
            record=request.record,
            cut=reply.cut,
        )
        return reply
