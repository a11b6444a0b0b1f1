"""The OpenAI format for chats and for raw prompts, and the places where servers deviate from it.

    request_body(request)       ->  {"model": "m", "messages": [{"role": "user", "content": "Hi"}], ...}
    parse_reply(response_body)  ->  Reply

Deviations known so far: newer OpenAI models accept only `max_completion_tokens`; a 429 with the code `insufficient_quota`
means that the account is empty, not that the pace is too high; error bodies come in several shapes.
"""

from typing import Any
from urllib.parse import urlsplit

import orjson

from evoltune.errors import RecipeError
from evoltune.run.store import Usage
from evoltune.teacher.protocol import RAW_PROMPT, Reply, Request

MAX_TOKENS, MAX_COMPLETION_TOKENS = "max_tokens", "max_completion_tokens"
QUOTA_USED_UP = "insufficient_quota"


def chat_url(url: str, where: str) -> str:
    """The chat completions URL of a base URL (`http://host:8000`, `.../v1`, or the full path). Raises RecipeError: not an
    HTTP URL; the message begins with `where`, the key in the recipe."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise RecipeError(f"{where}.url: {url!r} must be http://HOST:PORT/v1 or https://HOST/v1")
    base = url.rstrip("/")
    if base.endswith("/chat/completions"):
        return base
    return base + ("/chat/completions" if parts.path.strip("/") else "/v1/chat/completions")


def is_raw(request: Request) -> bool:
    """Whether the request is a prompt for the completions endpoint, where the server renders nothing."""
    return request.messages[0][0] == RAW_PROMPT


def request_body(request: Request, max_tokens_name: str = MAX_TOKENS) -> dict[str, Any]:
    """The body of POST /chat/completions, or of POST /completions for a raw prompt."""
    messages = [{"role": role, "content": content} for role, content in request.messages]
    body: dict[str, Any] = {
        "model": request.model,
        **({"prompt": request.messages[0][1]} if is_raw(request) else {"messages": messages}),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "frequency_penalty": request.frequency_penalty,
        max_tokens_name: request.max_tokens,
        "seed": request.seed,
    }
    if request.n > 1:
        body["n"] = request.n
    if request.stop:
        body["stop"] = list(request.stop)
    return body


def parse_reply(body: bytes) -> Reply:
    """The reply in the body of a chat completion. Raises ValueError when there is none."""
    try:
        return reply_of(orjson.loads(body))
    except orjson.JSONDecodeError:
        raise ValueError("the reply is not JSON (malformed or truncated)") from None


def reply_of(completion: object) -> Reply:
    """The reply in a chat completion that is already parsed, as a line of a batch file holds it. Raises ValueError."""
    choices = completion.get("choices") if isinstance(completion, dict) else None
    if not isinstance(completion, dict) or not isinstance(choices, list) or not choices:
        raise ValueError("the reply has no choices")
    if all(isinstance(c, dict) and isinstance(c.get("index"), int) for c in choices):
        choices = sorted(choices, key=lambda c: c["index"])
    texts, truncated = [], []
    for i, choice in enumerate(choices):
        message = choice.get("message") if isinstance(choice, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(choice, dict) and message is None:
            content = choice.get("text")  # of a raw prompt
        if not isinstance(content, str):
            raise ValueError("the reply's content is null")
        texts.append(content)
        if choice.get("finish_reason") == "length":
            truncated.append(i)
    return Reply(texts=tuple(texts), usage=_usage(completion.get("usage")), truncated=tuple(truncated))


def _usage(raw: object) -> Usage:
    if not isinstance(raw, dict):
        return Usage()
    counts = [raw.get(name) for name in ("prompt_tokens", "completion_tokens")]
    prompt, completion = (max(0, n) if isinstance(n, int) else 0 for n in counts)
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


def parse_error(body: bytes) -> tuple[str, str]:
    """(message, code) of an error body in any of the usual shapes: one line, at most 200 characters."""
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError:
        return " ".join(body[:200].decode(errors="replace").split()), ""
    error = raw.get("error", raw) if isinstance(raw, dict) else raw
    if not isinstance(error, dict):
        return " ".join(str(error).split())[:200], ""
    message = " ".join(str(error.get("message", error.get("detail", ""))).split())[:200]
    return message, str(error.get("code", ""))
