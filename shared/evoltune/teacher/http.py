"""The HTTP teacher: OpenAI-compatible servers over aiohttp, several endpoints with weights and fail-over.

    teacher: {kind: http, model: qwen2.5-7b, endpoints: [{url: "http://localhost:8000/v1"}]}

One attempt per call: retries, budget and journal are wrappers (see `stack`). What differs from provider to provider is in
`dialects`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import orjson

from evoltune import recipe as recipes
from evoltune.errors import RecipeError, TeacherError
from evoltune.run.store import Usage
from evoltune.teacher.dialects import is_raw, parse_reply, request_body
from evoltune.teacher.endpoint import Endpoint
from evoltune.teacher.protocol import AttemptError, Reply, Request

CONNECT_TIMEOUT_S = 10.0


@asynccontextmanager
async def open_http(config: recipes.Teacher) -> AsyncIterator[EndpointPool]:
    """A pool over `teacher.endpoints`; connects at the first call. Raises RecipeError when a key is missing."""
    if not config.endpoints:
        raise RecipeError(
            "teacher.endpoints: kind 'http' needs at least one, e.g. endpoints: [{url: http://localhost:8000/v1}]"
        )
    endpoints = [Endpoint(e, config, where=f"teacher.endpoints.{i}") for i, e in enumerate(config.endpoints)]
    connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300)
    timeout = aiohttp.ClientTimeout(total=config.timeout_s, connect=min(CONNECT_TIMEOUT_S, config.timeout_s))
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=jar) as session:
        yield EndpointPool(session, endpoints)


class EndpointPool:
    """A Teacher over endpoints: each call goes to the healthy one with the least load for its weight."""

    def __init__(self, session: aiohttp.ClientSession, endpoints: Sequence[Endpoint]) -> None:
        self._session, self._endpoints = session, endpoints

    async def complete(self, request: Request) -> Reply:
        """One attempt; where a server returns fewer than n choices, the others are requested one by one."""
        reply = await self._attempt(request)
        texts, truncated = list(reply.texts[: request.n]), [i for i in reply.truncated if i < request.n]
        usage = reply.usage
        while len(texts) < request.n:
            seed = (request.seed + len(texts)) % 2**31
            more = await self._attempt(replace(request, n=1, seed=seed))
            truncated += [len(texts)] if more.truncated else []
            texts.append(more.texts[0])
            usage = Usage(
                prompt_tokens=usage.prompt_tokens + more.usage.prompt_tokens,
                completion_tokens=usage.completion_tokens + more.usage.completion_tokens,
            )
        return Reply(texts=tuple(texts), usage=usage, truncated=tuple(truncated))

    def _choose(self) -> Endpoint:
        usable = [e for e in self._endpoints if not e.unusable]
        if not usable:
            raise TeacherError("; ".join(e.unusable for e in self._endpoints))
        now = time.monotonic()
        healthy = [e for e in usable if e.cooldown_until <= now]
        return min(healthy, key=lambda e: e.load) if healthy else min(usable, key=lambda e: e.cooldown_until)

    async def _attempt(self, request: Request) -> Reply:
        endpoint = self._choose()
        endpoint.in_flight += 1
        try:
            sent_at = await endpoint.limiter.admit(sum(len(c) for _, c in request.messages) // 4)
            status, headers, body = await self._post(endpoint, request)
        finally:
            endpoint.in_flight -= 1
        if status != 200:
            raise endpoint.error_of(status, headers, body, sent_at)
        try:
            reply = parse_reply(body)
        except ValueError as error:
            raise AttemptError(str(error), where=endpoint.name, charged=True) from None
        endpoint.record_reply(reply, headers)
        return reply

    async def _post(self, endpoint: Endpoint, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        body = orjson.dumps(request_body(request, endpoint.max_tokens_name))
        url = endpoint.completions_url if is_raw(request) else endpoint.url
        try:
            post = self._session.post(url, data=body, headers=endpoint.headers, allow_redirects=False)
            async with post as response:
                return response.status, response.headers, await response.read()
        except aiohttp.ClientConnectorError as error:  # nothing left this machine
            endpoint.record_failure()
            detail = error.os_error.strerror or str(error.os_error)
            raise AttemptError(
                f"cannot connect ({detail}): is a server running there? e.g. `vllm serve MODEL`, or `llama-server -m FILE`",
                where=endpoint.name,
                unreachable=True,
            ) from None
        except TimeoutError:
            raise AttemptError("timed out", where=endpoint.name, charged=True) from None
        except (aiohttp.ClientError, OSError) as error:
            endpoint.record_failure()
            raise AttemptError(f"connection lost ({type(error).__name__})", where=endpoint.name, charged=True) from None


async def wait_healthy(url: str, timeout_s: float) -> None:
    """Waits until GET url answers 200. Raises TeacherError after `timeout_s`."""
    end = time.monotonic() + timeout_s
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url, timeout=aiohttp.ClientTimeout(total=5)) as response:
                    if response.status == 200:
                        return
                    state = f"HTTP {response.status}"
            except (aiohttp.ClientError, TimeoutError) as error:
                state = type(error).__name__
            if time.monotonic() > end:
                raise TeacherError(f"{url}: not healthy after {timeout_s:g} s ({state})")
            await asyncio.sleep(0.1)
