"""Other engines for the same samples: an OpenAI-compatible server, or vLLM on this machine.

    evoltune eval --model qwen2.5-7b --engine http --endpoint http://localhost:8000/v1 --suite gsm8k

A chat template is the server's own; every plain template (alpaca, wizardcoder ..., and a profile's raw text) is rendered
by our one renderer and sent to the completions endpoint. Invariant: the same samples under the same names as with
Transformers; a fault of the server is retried as the teacher's are, and what was answered is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from evoltune import recipe as recipes
from evoltune.errors import EvoltuneError, RecipeError, TeacherError
from evoltune.models.template import render_prompt
from evoltune.teacher.protocol import AttemptError, GivenUpError, Reply, Request, Teacher
from evoltune.teacher.retry import retried
from evoltune.teacher.stack import gated, open_teacher

if TYPE_CHECKING:
    from evoltune.generate.generation import Keep, Settings, Wanted, Weights

RETRIES, TIMEOUT_S = 6, 600.0


def http_engine(
    todo: Sequence[Sequence[Wanted]],
    settings: Settings,
    weights: Weights,
    keep: Keep,
    advance: Callable[[int], None],
) -> dict[str, Any]:
    """Asks the server for each sample; returns what is known of the template: the server renders chats itself."""
    if not weights.endpoint:
        raise RecipeError(
            "eval.endpoint: engine 'http' needs the server's URL, e.g. http://localhost:8000/v1"
        )
    samples = [sample for batch in todo for sample in batch]
    asyncio.run(_ask_all(samples, settings, weights, keep, advance))
    return {
        "template": settings.template,
        "rendered_by": "server" if settings.template == "chat" else "evoltune",
    }


async def _ask_all(
    samples: Sequence[Wanted],
    settings: Settings,
    weights: Weights,
    keep: Keep,
    advance: Callable[[int], None],
) -> None:
    if settings.template == "chat":
        async with open_teacher(_config(weights)) as teacher:
            await _gather(teacher, samples, settings, weights, keep, advance)
        return
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        plain = gated(retried(Completions(session, weights), RETRIES), weights.concurrency)
        await _gather(plain, samples, settings, weights, keep, advance)


async def _gather(
    teacher: Teacher,
    samples: Sequence[Wanted],
    settings: Settings,
    weights: Weights,
    keep: Keep,
    advance: Callable[[int], None],
) -> None:
    async def one(sample: Wanted) -> None:
        reply = await teacher.complete(_request(sample, settings, weights))
        cut = isinstance(reply, Reply) and bool(reply.cut)
        tokens = reply.usage.completion_tokens if isinstance(reply, Reply) else 0
        keep(
            sample,
            {"text": reply[0], "tokens": tokens, "stop": "length" if cut else "eos", "prompt_tokens": 0},
        )
        advance(1)

    try:
        async with asyncio.TaskGroup() as group:
            for sample in samples:
                group.create_task(one(sample))
    except* EvoltuneError as caught:
        raise first_of(caught) from None


def first_of(caught: BaseExceptionGroup[EvoltuneError]) -> EvoltuneError:
    """The first error of a group of tasks: one line for the user."""
    one: BaseException = caught
    while isinstance(one, BaseExceptionGroup):
        one = one.exceptions[0]
    assert isinstance(one, EvoltuneError)
    return one


def _request(sample: Wanted, settings: Settings, weights: Weights) -> Request:
    turns = [*sample.history, ("user", sample.prompt)]
    if settings.system:
        turns.insert(0, ("system", settings.system))
    if settings.template == "raw":
        turns = [("user", sample.prompt)]
    elif settings.template != "chat":
        messages = [
            {"role": role, "content": content} for role, content in (*sample.history, ("user", sample.prompt))
        ]
        turns = [("user", render_prompt(settings.template, messages, settings.system))]
    return Request(
        model=weights.model, messages=tuple(turns), purpose="eval", seed=sample.seed(settings) % 2**31,
        temperature=settings.temperature, top_p=settings.top_p, max_tokens=settings.max_new_tokens, stop=settings.stops,
    )  # fmt: skip


def _config(weights: Weights) -> recipes.Teacher:
    endpoint = recipes.Endpoint(url=weights.endpoint, api_key_env=weights.api_key_env or None)
    return recipes.Teacher(
        kind="http", model=weights.model, endpoints=(endpoint,), concurrency=weights.concurrency,
        timeout_s=TIMEOUT_S, max_retries=RETRIES,
    )  # fmt: skip


class Completions:
    """A Teacher over `/completions`: the prompt is text that we rendered, nothing is added to it."""

    def __init__(self, session: Any, weights: Weights) -> None:
        from evoltune.teacher.http import read_key
        from evoltune.teacher.protocol import chat_url

        chat = chat_url(weights.endpoint, "eval.endpoint")
        self._session, self._url = session, chat.removesuffix("/chat/completions") + "/completions"
        key = read_key(_config(weights).endpoints[0], "eval.endpoint")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def complete(self, request: Request) -> Sequence[str]:
        """One attempt. Raises AttemptError (try again), GivenUpError (refused), TeacherError (wrong key)."""
        import aiohttp

        body: dict[str, Any] = {
            "model": request.model, "prompt": request.messages[0][1], "max_tokens": request.max_tokens,
            "temperature": request.temperature, "top_p": request.top_p, "seed": request.seed,
        }  # fmt: skip
        if request.stop:
            body["stop"] = list(request.stop)
        try:
            async with self._session.post(self._url, json=body, headers=self._headers) as response:
                status, found = response.status, await response.json(content_type=None)
        except aiohttp.ClientConnectorError:
            raise AttemptError(
                "cannot connect: is a server running there?", where=self._url, unreachable=True
            ) from None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise AttemptError(f"no reply ({type(error).__name__})", where=self._url) from None
        if status in (401, 403):
            raise TeacherError(f"{self._url}: HTTP {status}: check eval.api_key_env")
        if status == 429 or status >= 500:
            raise AttemptError(f"HTTP {status}", where=self._url, limited=status == 429)
        if status != 200:
            raise GivenUpError(f"HTTP {status}", self._url)
        choices = found.get("choices") if isinstance(found, dict) else None
        if not choices or not isinstance(choices[0].get("text"), str):
            raise AttemptError("the reply has no text", where=self._url)
        cut = (0,) if choices[0].get("finish_reason") == "length" else ()
        return Reply(texts=(choices[0]["text"],), cut=cut)
