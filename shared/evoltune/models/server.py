"""An OpenAI-compatible server for one checkpoint: /v1/chat/completions (also streamed), /v1/models, /health.

    evoltune serve runs/smoke-math/checkpoint --port 8000

Loopback by default. One request is answered at a time; the others wait. With vLLM installed on a GPU, `evoltune serve` starts
that instead, on the same checkpoint, after the same proof.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

from aiohttp import web

from evoltune.errors import EvoltuneError
from evoltune.models.chat import ChatModel, Reply, Sampling

MAX_BODY = 4 * 2**20


def application(model: ChatModel, name: str) -> web.Application:
    """The app; `name` is what /v1/models lists."""
    app = web.Application(client_max_size=MAX_BODY)
    app["model"], app["name"] = model, name
    app["turn"] = asyncio.Lock()
    app.router.add_get("/health", _health)
    app.router.add_get("/v1/models", _models)
    app.router.add_post("/v1/chat/completions", _complete)
    return app


async def _health(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _models(request: web.Request) -> web.Response:
    entry = {"id": request.app["name"], "object": "model", "owned_by": "evoltune"}
    return web.json_response({"object": "list", "data": [entry]})


async def _complete(request: web.Request) -> web.StreamResponse:
    try:
        body = await request.json()
        messages, sampling = _read(body)
    except (ValueError, KeyError, TypeError) as error:
        return _refusal(f"not a chat completion request: {error}")
    name, identity = request.app["name"], f"chatcmpl-{uuid.uuid4().hex}"
    frame = {"id": identity, "created": int(time.time()), "model": name}
    async with request.app["turn"]:
        pieces = _pieces(request.app["model"].stream(messages, sampling))
        try:
            first = await anext(pieces)
        except EvoltuneError as error:
            return _refusal(str(error))
        if body.get("stream"):
            return await _streamed(request, frame, first, pieces)
        *_, last = [first, *[piece async for piece in pieces]]
    assert isinstance(last, Reply)
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": last.text},
        "finish_reason": last.finish,
    }
    return web.json_response(
        {**frame, "object": "chat.completion", "choices": [choice], "usage": _usage(last)}
    )


def _refusal(message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "invalid_request_error"}}, status=400)


def _read(body: Any) -> tuple[list[dict[str, str]], Sampling]:
    messages = [{"role": str(m["role"]), "content": _text(m["content"])} for m in body["messages"]]
    if not messages:
        raise ValueError("messages is empty")
    if body.get("n", 1) != 1:
        raise ValueError(f"n is {body['n']!r}: only 1 is served")
    sampling = Sampling(
        max_tokens=int(body.get("max_completion_tokens") or body.get("max_tokens") or 512),
        temperature=float(body.get("temperature", 1.0)),
        top_p=float(body.get("top_p", 1.0)),
    )
    if sampling.max_tokens < 1 or sampling.temperature < 0 or not 0 < sampling.top_p <= 1:
        raise ValueError("max_tokens >= 1, temperature >= 0 and 0 < top_p <= 1 are allowed")
    return messages, sampling


def _text(content: Any) -> str:
    """A string, or the newer list of parts."""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content)


async def _pieces(stream: Iterator[str | Reply]) -> AsyncIterator[str | Reply]:
    """The blocking stream, a step at a time in a thread."""
    while (piece := await asyncio.to_thread(next, stream, None)) is not None:
        yield piece


async def _streamed(
    request: web.Request, frame: dict[str, Any], first: str | Reply, pieces: AsyncIterator[str | Reply]
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)

    async def send(piece: str | Reply) -> None:
        delta = {"content": piece} if isinstance(piece, str) else {}
        finish = piece.finish if isinstance(piece, Reply) else None
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        event = {**frame, "object": "chat.completion.chunk", "choices": [choice]}
        await response.write(f"data: {json.dumps(event)}\n\n".encode())

    await send(first)
    async for piece in pieces:
        await send(piece)
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _usage(reply: Reply) -> dict[str, int]:
    total = reply.prompt_tokens + reply.completion_tokens
    return {
        "prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.completion_tokens, "total_tokens": total,
    }  # fmt: skip
