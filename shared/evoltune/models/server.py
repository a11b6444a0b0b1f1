"""An OpenAI-compatible server for one checkpoint: /v1/chat/completions, /v1/completions (both also streamed), /v1/models, /health.

    evoltune model serve runs/smoke-math/checkpoint --port 8000

Requests that wait are decoded together. What a request asks for is done or refused (evoltune.models.requests); a client that leaves
frees its place. Where vLLM is installed and can render the checkpoint's prompts, `evoltune model serve` starts vLLM instead, after the
same template proof.
"""

import asyncio
import importlib.util
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from evoltune.errors import EvoltuneError, TrainingError, require
from evoltune.models.chat import ChatModel
from evoltune.models.decoding import Prompt, Reply, Sampling, TokenLogprob
from evoltune.models.load import load_tokenizer
from evoltune.models.proof import check_golden, read_template
from evoltune.models.requests import Asked, RequestError, fitted, ids_of, read_chat, read_completion

MAX_BODY = 4 * 2**20
Event = tuple[int, str | Reply]
"""The number of a choice, and a piece of its text or the whole reply."""


def application(model: ChatModel, name: str) -> web.Application:
    """The application; `name` is the model's name under /v1/models."""
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_errors_as_json])
    app["model"], app["name"], app["prompts"] = model, name, set()
    app.router.add_get("/health", _health)
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/v1/models/{name:.+}", _model)
    app.router.add_post("/v1/chat/completions", _chat)
    app.router.add_post("/v1/completions", _complete)
    app.on_shutdown.append(_cancel_all)
    return app


def serve(model: ChatModel, name: str, host: str, port: int) -> None:
    """Serves until SIGINT or SIGTERM. Raises OSError where the address cannot be used."""
    web.run_app(
        application(model, name), host=host, port=port, print=None, handler_cancellation=True, shutdown_timeout=1.0
    )


async def _cancel_all(app: web.Application) -> None:
    for prompt in app["prompts"]:
        prompt.is_cancelled = True


@web.middleware  # type: ignore[untyped-decorator]
async def _errors_as_json(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """Every error has the body that clients read: {"error": {message, type, param, code}}."""
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except RequestError as error:
        return _refused(str(error), error.status, error.code, error.key)
    except web.HTTPException as error:
        return _refused(f"{request.method} {request.path}: {error.reason}", error.status, "not_served")
    except EvoltuneError as error:
        return _refused(str(error), 400, "invalid_value")


def _refused(message: str, status: int, code: str, key: str = "") -> web.Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return web.json_response(
        {"error": {"message": message, "type": kind, "param": key or None, "code": code}}, status=status
    )


async def _health(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def _entry(request: web.Request) -> dict[str, Any]:
    return {"id": request.app["name"], "object": "model", "created": 0, "owned_by": "evoltune"}


async def _models(request: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [_entry(request)]})


async def _model(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name != request.app["name"]:
        raise RequestError(
            f"the model {name!r} does not exist: this server has {request.app['name']!r}",
            status=404,
            code="model_not_found",
        )
    return web.json_response(_entry(request))


# ---- answers


async def _chat(request: web.Request) -> web.StreamResponse:
    return await _answered(request, read_chat, _ChatForm())


async def _complete(request: web.Request) -> web.StreamResponse:
    return await _answered(request, read_completion, _TextForm())


async def _answered(request: web.Request, read: Callable[[Any, str], Asked], form: "_Form") -> web.StreamResponse:
    model: ChatModel = request.app["model"]
    asked = read(await _body_of(request), request.app["name"])
    prompts = await asyncio.to_thread(ids_of, asked, model.prompt_ids, model.tokenizer)
    jobs = [(ids, fitted(asked, len(ids), model.context)) for ids in prompts for _ in range(asked.choices)]
    envelope = {"id": f"{form.prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": request.app["name"]}
    with _submitted(request.app, jobs, asked.choices) as events:
        if asked.is_streamed:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
            with suppress(ConnectionResetError):  # the client has left
                await response.prepare(request)
                await _stream(response, form, envelope, asked, events, len(jobs))
            return response
        replies = {i: piece async for i, piece in _until_done(events, len(jobs)) if isinstance(piece, Reply)}
    choices = [form.choice(i, replies[i], model.tokenizer) for i in sorted(replies)]
    usage = _usage(list(replies.values()), asked.choices)
    return web.json_response({**envelope, "object": form.whole, "choices": choices, "usage": usage})


async def _body_of(request: web.Request) -> Any:
    try:
        body = await request.json()
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RequestError("the body holds half of a surrogate pair, which is no text") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from error
    return body


@contextmanager
def _submitted(app: web.Application, jobs: Sequence[tuple[list[int], Sampling]], choices: int) -> Any:
    """Queues the prompts, and gives what they say as it comes. Whoever leaves the block frees their places."""
    loop, events = asyncio.get_running_loop(), asyncio.Queue[tuple[int, str | Reply | Exception]]()

    def told(i: int) -> Callable[[str | Reply | Exception], None]:
        def emit(piece: str | Reply | Exception) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(events.put_nowait, (i, piece))

        return emit

    prompts = []
    for i, (ids, sampling) in enumerate(jobs):
        if sampling.seed is not None:  # of several choices each its own
            sampling = replace(sampling, seed=sampling.seed + i % choices)
        prompts.append(Prompt(ids=ids, sampling=sampling, emit=told(i)))
    app["prompts"] |= set(prompts)
    try:
        for prompt in prompts:
            app["model"].submit(prompt)
        yield events
    finally:
        for prompt in prompts:
            prompt.is_cancelled = True
        app["prompts"] -= set(prompts)


async def _until_done(events: "asyncio.Queue[tuple[int, str | Reply | Exception]]", count: int) -> AsyncIterator[Event]:
    """The events until each of `count` choices has its reply. Raises RequestError where the model failed."""
    done = 0
    while done < count:
        i, piece = await events.get()
        if isinstance(piece, Exception):
            raise RequestError(f"the model failed while it answered: {piece!r}", status=500, code="model_failed")
        done += isinstance(piece, Reply)
        yield i, piece


def _usage(replies: Sequence[Reply], choices: int) -> dict[str, int]:
    """Tokens of all choices; a prompt with several choices counts once."""
    prompt = sum(reply.prompt_tokens for reply in replies) // choices
    completion = sum(reply.completion_tokens for reply in replies)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


# ---- the two forms of an answer


class _Form(Protocol):
    """What differs between chats and raw completions."""

    prefix: str
    whole: str
    chunk: str

    def choice(self, index: int, reply: Reply, tokenizer: Any) -> dict[str, Any]:
        """A whole answer."""

    def piece(self, index: int, text: str | None, finish: str | None, *, is_first: bool) -> dict[str, Any]:
        """A part of a streamed answer."""


class _ChatForm:
    prefix, whole, chunk = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def choice(self, index: int, reply: Reply, tokenizer: Any) -> dict[str, Any]:
        message = {"role": "assistant", "content": reply.text}
        logprobs = {"content": [_chat_logprob(one, tokenizer) for one in reply.logprobs]} if reply.logprobs else None
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": reply.finish_reason}

    def piece(self, index: int, text: str | None, finish: str | None, *, is_first: bool) -> dict[str, Any]:
        delta = ({"role": "assistant"} if is_first else {}) | ({} if text is None else {"content": text})
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


class _TextForm:
    prefix, whole, chunk = "cmpl", "text_completion", "text_completion"

    def choice(self, index: int, reply: Reply, tokenizer: Any) -> dict[str, Any]:
        logprobs = _text_logprobs(reply.logprobs, tokenizer) if reply.logprobs else None
        return {"index": index, "text": reply.text, "logprobs": logprobs, "finish_reason": reply.finish_reason}

    def piece(self, index: int, text: str | None, finish: str | None, *, is_first: bool) -> dict[str, Any]:
        return {"index": index, "text": text or "", "logprobs": None, "finish_reason": finish}


def _chat_logprob(one: TokenLogprob, tokenizer: Any) -> dict[str, Any]:
    def entry(token: int, logprob: float) -> dict[str, Any]:
        text = tokenizer.decode([token])
        # A token that is a part of a character has no text of its own, so its bytes are not known.
        return {"token": text, "logprob": logprob, "bytes": None if "\ufffd" in text else list(text.encode())}

    return {**entry(one.token, one.logprob), "top_logprobs": [entry(*other) for other in one.top]}


def _text_logprobs(found: Sequence[TokenLogprob], tokenizer: Any) -> dict[str, Any]:
    tokens = [tokenizer.decode([one.token]) for one in found]
    return {
        "tokens": tokens, "token_logprobs": [one.logprob for one in found],
        "top_logprobs": [{tokenizer.decode([token]): value for token, value in one.top} for one in found],
        "text_offset": [sum(map(len, tokens[:i])) for i in range(len(tokens))],
    }  # fmt: skip


async def _stream(
    response: web.StreamResponse, form: _Form, envelope: Mapping[str, Any], asked: Asked, events: Any, count: int
) -> None:
    async def send(choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> None:
        chunk: dict[str, Any] = {**envelope, "object": form.chunk, "choices": choices}
        if asked.has_usage:
            chunk["usage"] = usage
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())

    replies = []
    try:
        if asked.messages:
            for i in range(count):
                await send([form.piece(i, "", None, is_first=True)])
        async for i, piece in _until_done(events, count):
            if isinstance(piece, Reply):
                replies.append(piece)
                await send([form.piece(i, None, piece.finish_reason, is_first=False)])
            else:
                await send([form.piece(i, piece, None, is_first=False)])
        if asked.has_usage:
            await send([], _usage(replies, asked.choices))
    except RequestError as error:  # the head is sent, so the status cannot say it any more
        message = {"error": {"message": str(error), "type": "server_error", "param": None, "code": error.code}}
        await response.write(f"data: {json.dumps(message)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()


# ---- vLLM


def vllm_can_serve(checkpoint: Path) -> bool:
    """Whether vLLM is installed and the tokenizer's own chat template builds the prompts of training.

    Plain formats are saved as such a template if it builds the same ids; a system prompt or an adapter has no place in it.
    """
    if importlib.util.find_spec("vllm") is None or (checkpoint / "adapter_config.json").is_file():
        return False
    template = read_template(checkpoint)
    if template is None or template.template == "chat":
        return template is None or not template.system_prompt
    return (checkpoint / "chat_template.jinja").is_file()


def vllm_command(checkpoint: str, host: str, port: int, name: str) -> list[str]:
    """The command that serves the checkpoint, after its proof. TrainingError if vLLM would render other prompts."""
    require("--engine vllm", "vllm", "vllm")
    if not vllm_can_serve(Path(checkpoint)):
        raise TrainingError(
            f"{checkpoint}: vLLM would not render its prompts as in training (an adapter, a system prompt, or a template that "
            "its tokenizer cannot hold): merge it first, or use --engine transformers"
        )
    check_golden(Path(checkpoint), load_tokenizer(checkpoint))
    return [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", checkpoint,
        "--host", host, "--port", str(port), "--served-model-name", name,
    ]  # fmt: skip
