"""An OpenAI-compatible server for one checkpoint: /v1/chat/completions (also streamed), /v1/models, /health.

    evoltune model serve runs/smoke-math/checkpoint --port 8000

One request is answered at a time; the others wait. Where vLLM is installed and can render the checkpoint's prompts,
`evoltune model serve` starts vLLM instead, after the same template proof.
"""

import asyncio
import importlib.util
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

from evoltune.errors import EvoltuneError, TrainingError, require
from evoltune.models.chat import ChatModel, Reply, SamplingConfig
from evoltune.models.load import load_tokenizer
from evoltune.models.proof import check_golden, read_template

MAX_BODY = 4 * 2**20


def application(model: ChatModel, name: str) -> web.Application:
    """The application; `name` is the model's name under /v1/models."""
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
        messages, sampling = _parse(body := await request.json())
    except (ValueError, KeyError, TypeError) as error:
        return _bad_request(f"not a chat completion request: {error}")
    envelope = {
        "id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": request.app["name"],
    }  # fmt: skip
    async with request.app["turn"]:
        pieces = _pieces(request.app["model"].stream(messages, sampling))
        try:
            first = await anext(pieces)
        except EvoltuneError as error:
            return _bad_request(str(error))
        if body.get("stream"):
            return await _streamed(request, envelope, first, pieces)
        *_, last = [first, *[piece async for piece in pieces]]
    assert isinstance(last, Reply)
    choice = {"index": 0, "message": {"role": "assistant", "content": last.text}, "finish_reason": last.finish_reason}
    usage = {
        "prompt_tokens": last.prompt_tokens, "completion_tokens": last.completion_tokens,
        "total_tokens": last.prompt_tokens + last.completion_tokens,
    }  # fmt: skip
    return web.json_response({**envelope, "object": "chat.completion", "choices": [choice], "usage": usage})


def _bad_request(message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "invalid_request_error"}}, status=400)


def _parse(body: Any) -> tuple[list[dict[str, str]], SamplingConfig]:
    messages = [{"role": str(m["role"]), "content": _text(m["content"])} for m in body["messages"]]
    if not messages:
        raise ValueError("messages is empty")
    if body.get("n", 1) != 1:
        raise ValueError(f"n is {body['n']!r}: only 1 is served")
    sampling = SamplingConfig(
        max_tokens=int(body.get("max_completion_tokens") or body.get("max_tokens") or 512),
        temperature=float(body.get("temperature", 1.0)),
        top_p=float(body.get("top_p", 1.0)),
    )
    if sampling.max_tokens < 1 or sampling.temperature < 0 or not 0 < sampling.top_p <= 1:
        raise ValueError("max_tokens >= 1, temperature >= 0 and 0 < top_p <= 1 are allowed")
    return messages, sampling


def _text(content: Any) -> str:
    """The text of a message, which is a string or a list of parts."""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


async def _pieces(stream: Iterator[str | Reply]) -> AsyncIterator[str | Reply]:
    """Runs each step of the blocking stream in a thread."""
    while (piece := await asyncio.to_thread(next, stream, None)) is not None:
        yield piece


async def _streamed(
    request: web.Request, envelope: dict[str, Any], first: str | Reply, pieces: AsyncIterator[str | Reply]
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)

    async def send(piece: str | Reply) -> None:
        delta = {"content": piece} if isinstance(piece, str) else {}
        finish = piece.finish_reason if isinstance(piece, Reply) else None
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        event = {**envelope, "object": "chat.completion.chunk", "choices": [choice]}
        await response.write(f"data: {json.dumps(event)}\n\n".encode())

    await send(first)
    async for piece in pieces:
        await send(piece)
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


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
