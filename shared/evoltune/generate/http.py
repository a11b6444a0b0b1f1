"""Backend for an OpenAI-compatible server.

    evoltune eval --model qwen2.5-7b --engine http --endpoint http://localhost:8000/v1 --suite gsm8k

A chat goes to the chat endpoint and the server renders it. Every plain template (alpaca, wizardcoder ..., a profile's raw
text) is rendered by evoltune.models.template and sent to the completions endpoint, which adds nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from evoltune import recipe as recipes
from evoltune.errors import EvoltuneError, RecipeError, TeacherError
from evoltune.generate.types import Batches, GenerationSettings, ModelSource, SampleRequest, Save
from evoltune.models.template import render_prompt
from evoltune.teacher.dialects import chat_url, parse_error
from evoltune.teacher.endpoint import read_key
from evoltune.teacher.protocol import AttemptError, GivenUpError, Reply, Request, Teacher
from evoltune.teacher.retry import retried
from evoltune.teacher.stack import concurrency_limited, open_teacher

RETRIES, TIMEOUT_S = 6, 600.0


def http_engine(
    todo: Batches, settings: GenerationSettings, model: ModelSource, save: Save
) -> dict[str, Any]:
    """Asks the server for each sample. The proof says who renders the template."""
    if not model.endpoint:
        raise RecipeError(
            "eval.endpoint: engine 'http' needs the server's URL, e.g. http://localhost:8000/v1"
        )
    asyncio.run(_generate_all([request for batch in todo for request in batch], settings, model, save))
    renderer = "server" if settings.template == "chat" else "evoltune"
    return {"template": settings.template, "rendered_by": renderer}


async def _generate_all(
    requests: Sequence[SampleRequest], settings: GenerationSettings, model: ModelSource, save: Save
) -> None:
    async def one(teacher: Teacher, request: SampleRequest) -> None:
        reply = await teacher.complete(_as_call(request, settings, model))
        stop = "length" if reply.truncated else "eos"
        save(
            request,
            {
                "text": reply.texts[0],
                "tokens": reply.usage.completion_tokens,
                "stop": stop,
                "prompt_tokens": 0,
            },
        )

    open_server = open_teacher(_config(model)) if settings.template == "chat" else _open_completions(model)
    async with open_server as teacher:
        try:
            async with asyncio.TaskGroup() as group:
                for request in requests:
                    group.create_task(one(teacher, request))
        except* EvoltuneError as caught:
            raise first_of(caught) from None


def first_of(caught: BaseExceptionGroup[EvoltuneError]) -> EvoltuneError:
    """The first error of a group of tasks, so that the user sees one line."""
    error: BaseException = caught
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, EvoltuneError)
    return error


def _as_call(request: SampleRequest, settings: GenerationSettings, model: ModelSource) -> Request:
    turns = [*request.history, ("user", request.prompt)]
    if settings.template == "raw":
        turns = [("user", request.prompt)]
    elif settings.template != "chat":
        messages = [{"role": role, "content": content} for role, content in turns]
        turns = [("user", render_prompt(settings.template, messages, settings.system))]
    elif settings.system:
        turns.insert(0, ("system", settings.system))
    return Request(
        model=model.model, messages=tuple(turns), purpose="eval", seed=request.seed(settings) % 2**31,
        temperature=settings.temperature, top_p=settings.top_p, max_tokens=settings.max_new_tokens, stop=settings.stops,
    )  # fmt: skip


def _config(model: ModelSource) -> recipes.Teacher:
    endpoint = recipes.Endpoint(url=model.endpoint, api_key_env=model.api_key_env or None)
    return recipes.Teacher(
        kind="http", model=model.model, endpoints=(endpoint,), concurrency=model.concurrency,
        timeout_s=TIMEOUT_S, max_retries=RETRIES,
    )  # fmt: skip


@asynccontextmanager
async def _open_completions(model: ModelSource) -> AsyncIterator[Teacher]:
    import aiohttp

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
        yield concurrency_limited(retried(CompletionsTeacher(session, model), RETRIES), model.concurrency)


class CompletionsTeacher:
    """A Teacher that sends the one message of a request, already rendered, to `/completions`."""

    def __init__(self, session: Any, model: ModelSource) -> None:
        chat = chat_url(model.endpoint, "eval.endpoint")
        self._session, self._url = session, chat.removesuffix("/chat/completions") + "/completions"
        key = read_key(_config(model).endpoints[0], "eval.endpoint")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def complete(self, request: Request) -> Reply:
        """One attempt. Raises AttemptError (try again), GivenUpError (refused), TeacherError (wrong key)."""
        status, body = await self._post(request)
        if status == 200:
            return _read_reply(body, self._url)
        reason = f"HTTP {status} {parse_error(body)[0]}".rstrip()
        if status in (401, 403):
            raise TeacherError(f"{self._url}: {reason}: check eval.api_key_env")
        if status == 429 or status >= 500:
            raise AttemptError(reason, where=self._url, rate_limited=status == 429)
        raise GivenUpError(f"HTTP {status}", f"{self._url}: {reason}")

    async def _post(self, request: Request) -> tuple[int, bytes]:
        import aiohttp

        body: dict[str, Any] = {
            "model": request.model, "prompt": request.messages[0][1], "max_tokens": request.max_tokens,
            "temperature": request.temperature, "top_p": request.top_p, "seed": request.seed,
        }  # fmt: skip
        if request.stop:
            body["stop"] = list(request.stop)
        try:
            async with self._session.post(self._url, json=body, headers=self._headers) as response:
                return response.status, await response.read()
        except aiohttp.ClientConnectorError:
            raise AttemptError(
                "cannot connect: is a server running there?", where=self._url, unreachable=True
            ) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise AttemptError(f"no reply ({type(error).__name__})", where=self._url) from None


def _read_reply(body: bytes, where: str) -> Reply:
    try:
        choice = json.loads(body)["choices"][0]
        text, reason = choice["text"], choice.get("finish_reason")
    except (ValueError, LookupError, TypeError):
        raise AttemptError("the reply has no text", where=where) from None
    if not isinstance(text, str):
        raise AttemptError("the reply has no text", where=where)
    return Reply(texts=(text,), truncated=(0,) if reason == "length" else ())
