"""Backend for an OpenAI-compatible server.

    evoltune eval --model qwen2.5-7b --engine http --endpoint http://localhost:8000/v1 --suite gsm8k

A chat goes to the chat endpoint and the server renders it. Every plain template (alpaca, wizardcoder ..., a profile's raw
text) is rendered by evoltune.models.template and sent to the completions endpoint, which adds nothing.
Invariant: a reply is in the journal beside the texts before anything uses it, so none is paid twice; a stop lets the calls in
flight come home.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evoltune import recipe as recipes
from evoltune.errors import EvoltuneError, RecipeError
from evoltune.generate.job import Batches, GenerationSettings, ModelSource, SampleRequest, Save
from evoltune.models.template import render_prompt
from evoltune.run.store import Store
from evoltune.teacher.event_loop import run_to_end
from evoltune.teacher.protocol import RAW_PROMPT, Request
from evoltune.teacher.stack import open_teacher

RETRIES, TIMEOUT_S = 6, 600.0


def http_engine(
    todo: Batches, settings: GenerationSettings, model: ModelSource, save: Save, folder: Path
) -> dict[str, Any]:
    """Asks the server for each sample; `folder` holds the journal. The proof says who renders the template."""
    if not model.endpoint:
        raise RecipeError("eval.endpoint: engine 'http' needs the server's URL, e.g. http://localhost:8000/v1")
    with Store.open(folder) as store:
        run_to_end(_generate_all([request for batch in todo for request in batch], settings, model, save, store))
    renderer = "server" if settings.template == "chat" else "evoltune"
    return {"template": settings.template, "rendered_by": renderer}


async def _generate_all(
    requests: Sequence[SampleRequest], settings: GenerationSettings, model: ModelSource, save: Save, store: Store
) -> None:
    endpoint = recipes.Endpoint(url=model.endpoint, api_key_env=model.api_key_env or None)
    server = recipes.Teacher(
        kind="http", model=model.model, endpoints=(endpoint,), concurrency=model.concurrency,
        timeout_s=TIMEOUT_S, max_retries=RETRIES,
    )  # fmt: skip
    async with open_teacher(server, store) as teacher:

        async def one(request: SampleRequest) -> None:
            reply = await teacher.complete(_as_call(request, settings, model))
            tokens, stop = reply.usage.completion_tokens, "length" if reply.truncated else "eos"
            save(request, {"text": reply.texts[0], "tokens": tokens, "stop": stop, "prompt_tokens": 0})

        try:
            async with asyncio.TaskGroup() as group:
                for request in requests:
                    group.create_task(one(request))
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
        turns = [(RAW_PROMPT, request.prompt)]
    elif settings.template != "chat":
        messages = [{"role": role, "content": content} for role, content in turns]
        turns = [(RAW_PROMPT, render_prompt(settings.template, messages, settings.system))]
    elif settings.system:
        turns.insert(0, ("system", settings.system))
    return Request(
        model=model.model, messages=tuple(turns), purpose="eval", seed=request.seed(settings) % 2**31,
        temperature=settings.temperature, top_p=settings.top_p, max_tokens=settings.max_new_tokens, stop=settings.stops,
    )  # fmt: skip
