"""The journal, and cassettes: a reply is committed under the hash of its whole request before anything uses it; a cassette
is a run's journal as a file of JSON lines, and a teacher that replays it.

    evoltune cassette export runs/demo demo.jsonl      then      teacher: {kind: replay, cassette: demo.jsonl}

Invariants: a call that the journal holds is never made again; `kill -9` loses at most the calls in flight, and an ordinary
stop or a full disk none: what is in flight then comes home and is committed, or kept in the store's reserve. Replay answers only what was recorded; a request that is not
on the cassette is an error, never a guess.

What calls cost, those in flight at a kill included, is counted in budget.py.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evoltune import recipe as recipes
from evoltune.errors import DataError, EvoltuneError, TeacherError
from evoltune.rows.files import jsonl_writer
from evoltune.rows.readers import read_json_lines
from evoltune.run.paths import user_path
from evoltune.run.store import Store, Usage
from evoltune.teacher.budget import BudgetMeter
from evoltune.teacher.protocol import Reply, Request, Teacher, cost, key_of, request_key, request_to_json
from evoltune.text.reasoning import join_reasoning, split_reasoning


def commit_reply(store: Store, key: str, body: dict[str, Any], request: Request, reply: Reply, price: recipes.Price,
                 *, discount: float = 1.0, at_once: bool = True) -> Reply:  # fmt: skip
    """Writes one reply into the journal; returns it as the journal will give it, with its cost. A thought was paid for
    too: it is journalled before its answer. discount: 0.5 for a provider's batch files. at_once: as in `Store.journal`."""
    usage = replace(reply.usage, usd=discount * cost(price, reply.usage))
    texts = [join_reasoning(text, reply.thought(i)) for i, text in enumerate(reply.texts)]
    store.journal(
        key, purpose=request.purpose, model=request.model, request=body, record=request.record,
        texts=texts, usage=usage, truncated=reply.truncated, at_once=at_once,
    )  # fmt: skip
    return _reply_of(texts, usage, reply.truncated)


def _reply_of(texts: Sequence[str], usage: Usage, truncated: Sequence[int]) -> Reply:
    """The reply that was journalled."""
    parts = [split_reasoning(text) for text in texts]
    thoughts = tuple(thought for _, thought in parts)
    return Reply(
        texts=tuple(answer for answer, _ in parts), usage=usage, truncated=tuple(truncated),
        thoughts=thoughts if any(thoughts) else (),
    )  # fmt: skip


class _Call:
    """A call in flight, and those who wait for its reply."""

    __slots__ = ("body", "key", "request", "task", "waiters")
    task: asyncio.Task[None]

    def __init__(self, key: str, body: dict[str, Any], request: Request) -> None:
        self.key, self.body, self.request = key, body, request
        self.waiters: list[asyncio.Future[Reply]] = []


class Journalled:
    """Answers from the store's journal; otherwise asks `inner`, commits the reply, and only then returns it.

    Replies that arrive in one turn of the event loop are committed together: at hundreds of calls a second a transaction for each
    took a tenth of all CPU. Their callers go on when that is done, so nothing uses a reply before.

    Calls are made by tasks of their own, so that each ends in the journal also when its caller was cancelled. A task that is
    done waits for the next call: a new one for each call, behind `asyncio.shield`, cost a tenth of all CPU.
    """

    def __init__(self, inner: Teacher, store: Store, price: recipes.Price | None = None) -> None:
        self._inner, self._store, self._price = inner, store, price or recipes.Price()
        self._in_flight: dict[str, _Call] = {}
        self._idle: list[tuple[asyncio.Task[None], asyncio.Future[_Call]]] = []
        self._arrived: list[tuple[_Call, Reply]] = []
        """Replies that the store holds and has not committed."""
        self._refused: EvoltuneError | None = None
        """Why the store took no more: a full disk."""

    @property
    def calls(self) -> list[asyncio.Task[None]]:
        """The tasks that are at work on a call."""
        self.commit()
        return [call.task for call in self._in_flight.values()]

    async def complete(self, request: Request) -> Reply:
        body = request_to_json(request)
        key = key_of(body)
        if (known := self._store.reply(key)) is not None:
            return _reply_of(known.texts, known.usage, known.truncated)
        call = self._in_flight.get(key)
        if call is None:  # two chains that ask the same thing pay once
            call = self._in_flight[key] = self._begun(_Call(key, body, request))
        waiter: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        call.waiters.append(waiter)
        return await waiter

    def _begun(self, call: _Call) -> _Call:
        while self._idle:
            call.task, turn = self._idle.pop()
            if not turn.done():
                turn.set_result(call)
                return call
        call.task = asyncio.create_task(self._work(call))
        call.task.add_done_callback(self._abandoned)
        return call

    def _abandoned(self, task: asyncio.Task[None]) -> None:
        """Ends the call of a task that was cancelled before it could begin it."""
        self.commit()
        for call in [call for call in self._in_flight.values() if call.task is task]:
            self._end(call, asyncio.CancelledError())

    async def _work(self, call: _Call) -> None:
        while True:
            try:
                reply = await self._inner.complete(call.request)
                self._take(call, reply)
            except BaseException as error:
                self._end(call, error)
                if not isinstance(error, Exception) or call.task.cancelling():
                    raise
            turn: asyncio.Future[_Call] = asyncio.get_running_loop().create_future()
            self._idle.append((call.task, turn))
            call = await turn

    def _take(self, call: _Call, reply: Reply) -> None:
        kept = commit_reply(self._store, call.key, call.body, call.request, reply, self._price, at_once=False)
        if not self._arrived:
            asyncio.get_running_loop().call_soon(self.commit)
        self._arrived.append((call, kept))

    def commit(self) -> None:
        """Commits what has arrived, and then lets its callers go on."""
        arrived, self._arrived = self._arrived, []
        if not arrived:
            return
        try:
            self._store.commit_held()
        except BaseException as error:
            for call, _ in arrived:
                self._end(call, error)
            if not isinstance(error, EvoltuneError):
                raise
            self._refused = error
        else:
            for call, reply in arrived:
                self._end(call, reply)

    def commit_or_refuse(self) -> None:
        """Commits what has arrived, before another call leaves. Raises the store's error from the first one on: what it cannot
        keep would be paid for in vain."""
        self.commit()
        if refused := self._refused or self._store.refused:
            raise refused

    def _end(self, call: _Call, result: Reply | BaseException) -> None:
        del self._in_flight[call.key]
        for waiter in call.waiters:
            if waiter.done():
                continue  # cancelled
            if isinstance(result, Reply):
                waiter.set_result(result)
            elif isinstance(result, asyncio.CancelledError):
                waiter.cancel()
            else:
                waiter.set_exception(result)

    def close(self) -> None:
        """Commits what has arrived, and ends the tasks that wait for a call."""
        self.commit()
        for task, _ in self._idle:
            task.cancel()
        self._idle.clear()


class AllSamples:
    """n texts: those that a server did not return in one call are asked for one by one, each a call of its own."""

    def __init__(self, inner: Teacher, meter: BudgetMeter | None = None) -> None:
        self._inner, self.meter = inner, meter

    async def complete(self, request: Request) -> Reply:
        reply = await self._inner.complete(request)
        if len(reply.texts) == request.n:
            return reply
        texts, usage = list(reply.texts[: request.n]), reply.usage
        thoughts = [reply.thought(i) for i in range(len(texts))]
        truncated = [i for i in reply.truncated if i < request.n]
        while len(texts) < request.n:
            seed = (request.seed + len(texts)) % 2**31
            more = await self._inner.complete(replace(request, n=1, seed=seed))
            truncated += [len(texts)] if 0 in more.truncated else []
            texts.append(more.texts[0])
            thoughts.append(more.thought(0))
            usage = Usage(
                prompt_tokens=usage.prompt_tokens + more.usage.prompt_tokens,
                completion_tokens=usage.completion_tokens + more.usage.completion_tokens,
                usd=usage.usd + more.usage.usd,
            )
        return Reply(
            texts=tuple(texts),
            usage=usage,
            truncated=tuple(truncated),
            thoughts=tuple(thoughts) if any(thoughts) else (),
        )


def export_cassette(store: Store, path: Path) -> int:
    """Writes every journalled call to `path` (gzip when it ends in .gz), ordered by key so that diffs stay small, and
    returns how many."""
    count = 0
    with jsonl_writer(path) as write:
        for call in store.calls():
            write(call)
            count += 1
    return count


def read_cassette(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The calls on a cassette. Raises DataError with file and line."""
    for where, call in read_json_lines(user_path(path)):
        texts = call.get("texts")
        if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts) or "key" not in call:
            raise DataError(f"{where}: not a line of a cassette: needs `key` and a list `texts`")
        yield call


class ReplayTeacher:
    """Answers by request key."""

    def __init__(self, calls: Mapping[str, Mapping[str, Any]], name: str) -> None:
        self._calls, self._name = calls, name

    async def complete(self, request: Request) -> Reply:
        call = self._calls.get(request_key(request))
        if call is None:
            raise TeacherError(
                f"{self._name}: no reply to this request (purpose {request.purpose!r}, record {request.record or '-'}) "
                f"among {len(self._calls)}: recorded with another recipe, domain or version; export it again"
            )
        usage = Usage(prompt_tokens=call.get("prompt_tokens", 0), completion_tokens=call.get("completion_tokens", 0))
        return _reply_of(call["texts"], usage, call.get("cut", ()))


def load_cassette(path: str | os.PathLike[str]) -> ReplayTeacher:
    """The teacher that answers from a cassette. Raises DataError."""
    return ReplayTeacher({call["key"]: call for call in read_cassette(path)}, str(path))
