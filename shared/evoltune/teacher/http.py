"""The OpenAI wire format over aiohttp and orjson: one attempt per call, several endpoints with weights and fail-over.

    teacher: {kind: http, model: qwen2.5-7b, endpoints: [{url: "http://localhost:8000/v1"}]}

Invariant: an API key lives in a request header and nowhere else: no error, log, journal or recipe shows it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from yarl import URL

from evoltune import recipe as recipes
from evoltune.errors import RecipeError, TeacherError
from evoltune.run.store import Usage
from evoltune.teacher.limits import Limiter, retry_after_s
from evoltune.teacher.protocol import AttemptError, GivenUpError, Reply, Request, chat_url

COOL_AFTER, COOL_S, MAX_COOL_S = 3, 1.0, 30.0
REFUSALS = {
    400,
    404,
    405,
    413,
    415,
    422,
}  # 404: also "no such model"; `retried` ends the run when nothing succeeds
DEAD = {401, 402, 403}


@asynccontextmanager
async def open_http(config: recipes.Teacher) -> AsyncIterator[Pool]:
    """A pool over `teacher.endpoints`. Raises RecipeError when a key is missing; connects at the first call."""
    if not config.endpoints:
        raise RecipeError(
            "teacher.endpoints: kind 'http' needs at least one, e.g. endpoints: [{url: http://localhost:8000/v1}]"
        )
    endpoints = [Endpoint(e, config, where=f"teacher.endpoints.{i}") for i, e in enumerate(config.endpoints)]
    connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300)
    timeout = aiohttp.ClientTimeout(total=config.timeout_s, connect=min(10.0, config.timeout_s))
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=jar) as session:
        yield Pool(session, endpoints)


class Endpoint:
    """One server: its URL and key, its rate limits, its health."""

    def __init__(self, config: recipes.Endpoint, teacher: recipes.Teacher, where: str) -> None:
        self.url = URL(chat_url(config.url, where))
        self.name = config.url
        self.weight = config.weight
        self.key = read_key(config, where)
        self.headers = {"Content-Type": "application/json"}
        if self.key:
            self.headers["Authorization"] = f"Bearer {self.key}"
        self.limiter = Limiter(teacher.requests_per_minute, teacher.tokens_per_minute)
        self.flying, self.faults, self.cool_until = 0, 0, 0.0
        self.dead = ""
        self.completion_tokens_name = "max_tokens"

    def fault(self) -> None:
        """After COOL_AFTER faults in a row the endpoint rests, ever longer."""
        self.faults += 1
        if self.faults >= COOL_AFTER:
            doubled = min(self.faults - COOL_AFTER, 10)  # hundreds of calls can fail together
            self.cool_until = time.monotonic() + min(MAX_COOL_S, COOL_S * 2**doubled)

    def hide(self, text: str) -> str:
        """Text from the server without our key, which some servers echo."""
        return text.replace(self.key, "***") if self.key else text


class Pool:
    """A Teacher over endpoints: the least loaded for its weight among those that are well."""

    def __init__(self, session: aiohttp.ClientSession, endpoints: Sequence[Endpoint]) -> None:
        self._session, self._endpoints = session, endpoints

    async def complete(self, request: Request) -> Sequence[str]:
        """One attempt; when a server returns fewer than n choices, the rest is asked one by one with further seeds."""
        reply = await self._attempt(request)
        texts, cut = list(reply.texts[: request.n]), [i for i in reply.cut if i < request.n]
        usage = reply.usage
        while len(texts) < request.n:
            more = await self._attempt(_single(request, len(texts)))
            cut += [len(texts)] if more.cut else []
            texts.append(more.texts[0])
            usage = Usage(
                prompt_tokens=usage.prompt_tokens + more.usage.prompt_tokens,
                completion_tokens=usage.completion_tokens + more.usage.completion_tokens,
            )
        return Reply(texts=tuple(texts), usage=usage, cut=tuple(cut))

    def _choose(self) -> Endpoint:
        alive = [e for e in self._endpoints if not e.dead]
        if not alive:
            raise TeacherError("; ".join(e.dead for e in self._endpoints))
        now = time.monotonic()
        well = [e for e in alive if e.cool_until <= now] or [min(alive, key=lambda e: e.cool_until)]
        return min(well, key=lambda e: (e.flying + 1) / e.weight)

    async def _attempt(self, request: Request) -> Reply:
        endpoint = self._choose()
        endpoint.flying += 1
        try:
            left_at = await endpoint.limiter.admit(sum(len(c) for _, c in request.messages) // 4)
            status, headers, body = await self._post(endpoint, request)
        finally:
            endpoint.flying -= 1
        if status != 200:
            raise _refusal(endpoint, status, headers, body, left_at)
        try:
            reply = parse_reply(body)
        except ValueError as error:
            raise AttemptError(str(error), where=endpoint.name, charged=True) from None
        endpoint.faults = 0
        endpoint.limiter.served(reply.usage.completion_tokens, headers)
        return reply

    async def _post(self, endpoint: Endpoint, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        body = orjson.dumps(wire(request, endpoint.completion_tokens_name))
        try:
            sent = self._session.post(
                endpoint.url, data=body, headers=endpoint.headers, allow_redirects=False
            )
            async with sent as response:
                return response.status, response.headers, await response.read()
        except aiohttp.ClientConnectorError as error:  # nothing left this machine
            endpoint.fault()
            detail = error.os_error.strerror or str(error.os_error)
            raise AttemptError(
                f"cannot connect ({detail}): is a server running there? e.g. `vllm serve MODEL`, or `llama-server -m FILE`",
                where=endpoint.name,
                unreachable=True,
            ) from None
        except TimeoutError:
            raise AttemptError("timed out", where=endpoint.name, charged=True) from None
        except (aiohttp.ClientError, OSError) as error:
            endpoint.fault()
            raise AttemptError(
                f"connection lost ({type(error).__name__})", where=endpoint.name, charged=True
            ) from None


def _single(request: Request, sample: int) -> Request:
    fields = {name: getattr(request, name) for name in Request.__dataclass_fields__}
    return Request(**{**fields, "n": 1, "seed": (request.seed + sample) % 2**31})


def _refusal(
    endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes, left_at: float
) -> TeacherError:
    message, code = error_message(body)
    message = endpoint.hide(message)
    if status in DEAD or code == "insufficient_quota":
        hint = "check api_key_env or api_key_file" if status in (401, 403) else "check the account"
        endpoint.dead = f"{endpoint.name}: HTTP {status} {message}: {hint}"
        return AttemptError(f"HTTP {status} {message}", where=endpoint.name)  # the next endpoint, or the end
    if status == 429:
        pause = endpoint.limiter.refused(left_at, headers)
        return AttemptError("HTTP 429", where=endpoint.name, retry_after_s=pause, limited=True)
    if (
        status == 400
        and "max_completion_tokens" in message
        and endpoint.completion_tokens_name == "max_tokens"
    ):
        endpoint.completion_tokens_name = "max_completion_tokens"  # newer OpenAI models know only this name
        return AttemptError("HTTP 400", where=endpoint.name)
    if status in REFUSALS:
        return GivenUpError(f"HTTP {status}", f"{endpoint.name}: {message}")
    endpoint.fault()
    return AttemptError(
        f"HTTP {status}", where=endpoint.name, retry_after_s=min(60.0, retry_after_s(headers))
    )


def wire(request: Request, completion_tokens_name: str = "max_tokens") -> dict[str, Any]:
    """The body of POST /chat/completions."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": role, "content": content} for role, content in request.messages],
        "temperature": request.temperature,
        "top_p": request.top_p,
        "frequency_penalty": request.frequency_penalty,
        completion_tokens_name: request.max_tokens,
        "seed": request.seed,
    }
    if request.n > 1:
        body["n"] = request.n
    if request.stop:
        body["stop"] = list(request.stop)
    if request.schema is not None:
        schema = {"name": request.purpose, "schema": request.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def parse_reply(body: bytes) -> Reply:
    """A chat completion's texts, usage, and which of them were cut at the token limit. Raises ValueError."""
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ValueError("the reply is not JSON (malformed or truncated)") from None
    return reply_of(raw)


def reply_of(raw: object) -> Reply:
    """The same for a parsed body (a line of a batch file holds one)."""
    choices = raw.get("choices") if isinstance(raw, dict) else None
    if not isinstance(choices, list) or not choices:
        raise ValueError("the reply has no choices")
    if all(isinstance(c, dict) and isinstance(c.get("index"), int) for c in choices):
        choices = sorted(choices, key=lambda c: c["index"])
    texts, cut = [], []
    for i, choice in enumerate(choices):
        message = choice.get("message") if isinstance(choice, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, str):
            raise ValueError("the reply's content is null")
        texts.append(content)
        if choice.get("finish_reason") == "length":
            cut.append(i)
    assert isinstance(raw, dict)
    return Reply(texts=tuple(texts), usage=_usage(raw.get("usage")), cut=tuple(cut))


def _usage(raw: object) -> Usage:
    if not isinstance(raw, dict):
        return Usage()
    found = [raw.get(name) for name in ("prompt_tokens", "completion_tokens")]
    prompt, completion = (max(0, v) if isinstance(v, int) else 0 for v in found)
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


def error_message(body: bytes) -> tuple[str, str]:
    """(message, code) of an error body in any of the usual shapes, on one line, at most 200 characters."""
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError:
        return " ".join(body[:200].decode(errors="replace").split()), ""
    error = raw.get("error", raw) if isinstance(raw, dict) else raw
    if not isinstance(error, dict):
        return " ".join(str(error).split())[:200], ""
    message = " ".join(str(error.get("message", error.get("detail", ""))).split())[:200]
    return message, str(error.get("code", ""))


def read_key(config: recipes.Endpoint, where: str) -> str:
    """The API key from its variable or file; empty when none is named."""
    if config.api_key_env:
        key = os.environ.get(config.api_key_env, "").strip()
        if not key:
            raise RecipeError(
                f"{where}.api_key_env: the environment variable {config.api_key_env!r} is not set"
            )
        return key
    if config.api_key_file:
        path = Path(config.api_key_file).expanduser()
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{where}.api_key_file: {str(path)!r} cannot be read: {error}") from None
    return ""


async def wait_healthy(url: str, timeout_s: float) -> None:
    """Waits until GET url answers 200. Raises TeacherError."""
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
