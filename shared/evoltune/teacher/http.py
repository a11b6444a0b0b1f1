"""The HTTP teacher: OpenAI-compatible servers over aiohttp, several endpoints with weights and fail-over.

    teacher: {kind: http, model: qwen2.5-7b, endpoints: [{url: "http://localhost:8000/v1"}]}

One attempt per call: retries, budget and journal are wrappers (see `stack`). What differs from provider to provider is in
`dialects`. Invariant: an API key is in a request header and nowhere else: no error, log, journal or recipe shows it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
from yarl import URL

from evoltune import recipe as recipes
from evoltune.errors import RecipeError, TeacherError
from evoltune.teacher.dialects import (
    MAX_COMPLETION_TOKENS,
    MAX_TOKENS,
    QUOTA_USED_UP,
    chat_url,
    is_raw,
    parse_error,
    parse_reply,
    request_body,
)  # fmt: skip
from evoltune.teacher.protocol import AttemptError, GivenUpError, Reply, Request
from evoltune.teacher.rate_limit import RateLimiter, retry_after_s

CONNECT_TIMEOUT_S = 10.0
FAILURES_BEFORE_COOLDOWN, COOLDOWN_S, MAX_COOLDOWN_S = 3, 1.0, 30.0
REFUSED = frozenset({400, 404, 405, 413, 415, 422})
"""The request itself is refused. 404 is also "no such model": `Retried` ends the run when no request ever succeeds."""
UNUSABLE = frozenset({401, 402, 403})
"""The key or the account is wrong: the endpoint takes no further requests."""


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
        """One attempt; a server may return fewer than n choices."""
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

    def _choose(self) -> Endpoint:
        usable = [e for e in self._endpoints if not e.unusable]
        if not usable:
            raise TeacherError("; ".join(e.unusable for e in self._endpoints))
        now = time.monotonic()
        healthy = [e for e in usable if e.cooldown_until <= now]
        return min(healthy, key=lambda e: e.load) if healthy else min(usable, key=lambda e: e.cooldown_until)

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


class Endpoint:
    """One server, and what the calls so far have taught about it."""

    def __init__(self, config: recipes.Endpoint, teacher: recipes.Teacher, where: str) -> None:
        """`where` is the key in the recipe, for errors. Raises RecipeError: a bad URL, a key that cannot be read."""
        chat = chat_url(config.url, where)
        self.url, self.completions_url = URL(chat), URL(chat.removesuffix("/chat/completions") + "/completions")
        self.name = config.url
        self.weight = config.weight
        self._key = _read_key(config, where)
        self.headers = {"Content-Type": "application/json"}
        if self._key:
            self.headers["Authorization"] = f"Bearer {self._key}"
        self.limiter = RateLimiter(teacher.requests_per_minute, teacher.tokens_per_minute)
        self.in_flight, self._failures, self.cooldown_until = 0, 0, 0.0
        self.unusable = ""
        """Why no further request is sent here; "" while the endpoint can be used."""
        self.max_tokens_name = MAX_TOKENS

    @property
    def load(self) -> float:
        """Calls in flight with one more, relative to the weight: the next call goes where this is least."""
        return (self.in_flight + 1) / self.weight

    def record_failure(self) -> None:
        """After three failures in a row the endpoint gets no calls for a while, longer with each further failure."""
        self._failures += 1
        if self._failures >= FAILURES_BEFORE_COOLDOWN:
            doublings = min(self._failures - FAILURES_BEFORE_COOLDOWN, 10)  # hundreds of calls can fail at once
            self.cooldown_until = time.monotonic() + min(MAX_COOLDOWN_S, COOLDOWN_S * 2**doublings)

    def record_reply(self, reply: Reply, headers: Mapping[str, str]) -> None:
        self._failures = 0
        self.limiter.served(reply.usage.completion_tokens, headers)

    def error_of(self, status: int, headers: Mapping[str, str], body: bytes, sent_at: float) -> TeacherError:
        """What a status other than 200 means for the call that was sent at `sent_at`; updates this endpoint's state."""
        message, code = parse_error(body)
        message = message.replace(self._key, "***") if self._key else message  # some servers echo the key
        if status in UNUSABLE or code == QUOTA_USED_UP:
            hint = "check api_key_env or api_key_file" if status in (401, 403) else "check the account"
            self.unusable = f"{self.name}: HTTP {status} {message}: {hint}"
            return AttemptError(f"HTTP {status} {message}", where=self.name)  # another endpoint, or the end
        if status == 429:
            pause = self.limiter.refused(sent_at, headers)
            return AttemptError("HTTP 429", where=self.name, retry_after_s=pause, rate_limited=True)
        if status == 400 and MAX_COMPLETION_TOKENS in message and self.max_tokens_name == MAX_TOKENS:
            self.max_tokens_name = MAX_COMPLETION_TOKENS
            return AttemptError("HTTP 400", where=self.name)
        if status in REFUSED:
            return GivenUpError(f"HTTP {status}", f"{self.name}: {message}")
        self.record_failure()
        pause = min(60.0, retry_after_s(headers))
        # A gateway may answer 5xx after the model behind it has generated, and billed.
        return AttemptError(f"HTTP {status}", where=self.name, retry_after_s=pause, charged=status >= 500)


def _read_key(config: recipes.Endpoint, where: str) -> str:
    """The API key from its variable or file; "" when the recipe names none. Raises RecipeError."""
    if config.api_key_env:
        key = os.environ.get(config.api_key_env, "").strip()
        if not key:
            raise RecipeError(f"{where}.api_key_env: the environment variable {config.api_key_env!r} is not set")
        return key
    if config.api_key_file:
        path = Path(config.api_key_file).expanduser()
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{where}.api_key_file: {str(path)!r} cannot be read: {error}") from None
    return ""


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
