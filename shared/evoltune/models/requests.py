"""Requests of OpenAI's API to a served model, read whole: what a request asks for is done or refused, never ignored.

    asked = read_chat({"model": "tiny", "messages": [...], "stop": ["\\n"], "n": 2}, served="tiny", context=2048)
    asked.prompts(model)                   # the ids of each prompt; asked.sampling, asked.choices, asked.is_streamed

Raises RequestError with the status and the key that is wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evoltune.models.decoding import TOP_LOGPROBS, Sampling

MAX_CHOICES, MAX_STOPS, MAX_PROMPTS = 16, 16, 64
CHAT_TOKENS, COMPLETION_TOKENS = 512, 16
"""Tokens of an answer where the request names no limit, as far as the context reaches."""
WITHOUT_EFFECT = frozenset(["user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"])
"""Keys that say nothing about the answer."""
TEXT_PARTS = (None, "text", "input_text", "output_text")
"""Types of a message's parts that hold text."""
_SHARED = frozenset(
    ["max_tokens", "temperature", "top_p", "top_k", "stop", "seed", "frequency_penalty", "presence_penalty", "repetition_penalty", "n", "stream",
     "stream_options"]
)  # fmt: skip
"""Keys of both kinds of request."""
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "response_format": ({"type": "text"},), "logit_bias": ({},), "tools": ([],), "tool_choice": ("none", "auto"), "functions": ([],),
    "modalities": (["text"],), "echo": (False,), "best_of": (1,), "suffix": ("",), "min_p": (0,), "length_penalty": (1,),
    "use_beam_search": (False,), "ignore_eos": (False,), "skip_special_tokens": (True,), "parallel_tool_calls": (True, False),
    "add_generation_prompt": (True,), "min_tokens": (0,), "n_probs": (0,), "typical_p": (1,), "stop_token_ids": ([],),
}  # fmt: skip
"""Keys that this server does not know how to honour, with the values under which they change nothing."""


class RequestError(Exception):
    """A request that is refused: `status` is HTTP's, `code` and `key` as OpenAI's API has them."""

    def __init__(self, message: str, *, key: str = "", status: int = 400, code: str = "invalid_value") -> None:
        super().__init__(message)
        self.key, self.status, self.code = key, status, code


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request."""

    sampling: Sampling
    choices: int = 1
    is_streamed: bool = False
    has_usage: bool = False
    """Whether a stream ends with a chunk of token counts."""
    messages: tuple[dict[str, str], ...] = ()
    texts: tuple[str | tuple[int, ...], ...] = ()
    """Raw prompts, as texts or as token ids."""
    has_limit: bool = True
    """Whether the request itself names how many tokens it wants."""


def read_chat(body: Any, served: str) -> Asked:
    """A request to /v1/chat/completions."""
    body = _object(body, served, {"messages", "max_completion_tokens", "logprobs", "top_logprobs"})
    messages = body.pop("messages", None)
    if not isinstance(messages, list) or not messages:
        raise RequestError("messages: a list of at least one message is needed", key="messages")
    found = tuple(_message(message, f"messages[{i}]") for i, message in enumerate(messages))
    top = _number(body, "top_logprobs", int, 0, 0, TOP_LOGPROBS)
    wanted = _flag(body, "logprobs")
    if top and not wanted:
        raise RequestError("top_logprobs: needs logprobs: true", key="top_logprobs")
    longest, shorter = body.pop("max_completion_tokens", None), body.pop("max_tokens", None)
    limit = longest if longest is not None else shorter
    return _asked(body, limit, CHAT_TOKENS, logprobs=top if wanted else None, messages=found)


def read_completion(body: Any, served: str) -> Asked:
    """A request to /v1/completions."""
    body = _object(body, served, {"prompt", "logprobs"})
    prompt = body.pop("prompt", None)
    many = prompt if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else [prompt]
    texts = tuple(_raw_prompt(one) for one in many)
    if len(texts) > MAX_PROMPTS:
        raise RequestError(f"prompt: {len(texts)} prompts, at most {MAX_PROMPTS} are served at once", key="prompt")
    top = None if body.get("logprobs") in (None, False) else _number(body, "logprobs", int, 0, 0, TOP_LOGPROBS)
    body.pop("logprobs", None)
    return _asked(body, body.pop("max_tokens", None), COMPLETION_TOKENS, logprobs=top, texts=texts)


def fitted(asked: Asked, prompt_tokens: int, context: int | None) -> Sampling:
    """The request's sampling settings, with the answer shortened to what the model's context leaves beside the prompt. Raises
    RequestError where nothing is left, or the request itself set a longer limit."""
    wanted = asked.sampling.max_tokens
    if context is None or prompt_tokens + wanted <= context:
        return asked.sampling
    room = context - prompt_tokens
    if asked.has_limit or room < 1:
        raise RequestError(
            f"this model's context is {context} tokens, and the prompt has {prompt_tokens}"
            + (f" beside the {wanted} asked for: shorten the prompt, or lower max_tokens" if room > 0 else ": shorten it"),
            key="messages" if asked.messages else "prompt", code="context_length_exceeded",
        )  # fmt: skip
    return replace(asked.sampling, max_tokens=room)


def _object(body: Any, served: str, own: set[str]) -> dict[str, Any]:
    """The body without keys that say nothing. Raises RequestError for another model, and for keys that cannot be honoured."""
    if not isinstance(body, dict):
        raise RequestError("the body must be a JSON object")
    said: dict[str, Any] = {
        key: value for key, value in body.items() if value is not None and key not in WITHOUT_EFFECT
    }
    model = said.pop("model", served)
    if model != served:
        raise RequestError(
            f"the model {model!r} does not exist: this server has {served!r}",
            key="model",
            status=404,
            code="model_not_found",
        )
    for key in [key for key in said if key in NEUTRAL]:
        if (value := said.pop(key)) not in NEUTRAL[key]:
            raise RequestError(f"{key}: {value!r} is not served: leave it out", key=key, code="unsupported_parameter")
    if unknown := sorted(said.keys() - own - _SHARED):
        raise RequestError(
            f"{unknown[0]}: unknown to this server: leave it out", key=unknown[0], code="unknown_parameter"
        )
    return said


def _asked(body: dict[str, Any], limit: Any, default: int, *, logprobs: int | None, **prompts: Any) -> Asked:
    temperature = _number(body, "temperature", float, 1.0, 0.0, 100.0)
    top_p = _number(body, "top_p", float, 1.0, 0.0, 1.0)
    if top_p == 0:
        raise RequestError("top_p: 0 leaves no token: above 0 and at most 1 is allowed", key="top_p")
    sampling = Sampling(
        max_tokens=_number({"max_tokens": limit}, "max_tokens", int, default, 1, 10**9), temperature=temperature, top_p=top_p,
        top_k=max(0, _number(body, "top_k", int, 0, -1, 10**9)), stop=_stops(body.get("stop")),
        seed=_number(body, "seed", int, None, -(2**63), 2**64),
        frequency_penalty=_number(body, "frequency_penalty", float, 0.0, -2.0, 2.0),
        presence_penalty=_number(body, "presence_penalty", float, 0.0, -2.0, 2.0),
        repetition_penalty=_number(body, "repetition_penalty", float, 1.0, 0.01, 100.0), logprobs=logprobs,
    )  # fmt: skip
    options = body.get("stream_options") or {}
    is_streamed = _flag(body, "stream")
    if not isinstance(options, dict) or options.keys() - {"include_usage", "include_obfuscation"}:
        raise RequestError("stream_options: an object with include_usage is allowed", key="stream_options")
    if is_streamed and logprobs is not None:
        raise RequestError("logprobs: is not served in a stream: leave out stream or logprobs", key="logprobs")
    if options and not is_streamed:
        raise RequestError("stream_options: needs stream: true", key="stream_options")
    return Asked(
        sampling=sampling, choices=_number(body, "n", int, 1, 1, MAX_CHOICES), is_streamed=is_streamed,
        has_usage=_flag(options, "include_usage"), has_limit=limit is not None, **prompts,
    )  # fmt: skip


def _number(
    body: Mapping[str, Any], key: str, kind: Callable[[Any], Any], default: Any, least: float, most: float
) -> Any:
    value = body.get(key)
    if value is None:
        return default
    fits = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
    if not fits or (kind is int and value != int(value)):
        bounds = f"from {least:g} to {most:g}" if most < 10**9 else f"of at least {least:g}"
        name = "a whole number" if kind is int else "a number"
        raise RequestError(f"{key}: {value!r}: {name} {bounds} is allowed", key=key)
    return kind(value)


def _flag(body: Mapping[str, Any], key: str) -> bool:
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise RequestError(f"{key}: {value!r}: true or false is allowed", key=key)
    return value


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or len(stops) > MAX_STOPS or not all(isinstance(s, str) and s for s in stops):
        raise RequestError(f"stop: a text, or a list of up to {MAX_STOPS} texts, none empty, is allowed", key="stop")
    return tuple(stops)


def _message(message: Any, where: str) -> dict[str, str]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise RequestError(f"{where}: an object with role and content is needed", key=where)
    for key in ("tool_calls", "function_call", "audio"):
        if message.get(key):
            raise RequestError(f"{where}.{key}: is not served", key=f"{where}.{key}", code="unsupported_parameter")
    role = "system" if message["role"] == "developer" else message["role"]  # the newer name of the same
    return {"role": role, "content": _text(message.get("content"), f"{where}.content")}


def _text(content: Any, where: str) -> str:
    """The text of a message, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else None
    if parts is None or not all(
        isinstance(p, dict) and isinstance(p.get("text"), str) and p.get("type") in TEXT_PARTS for p in parts
    ):
        raise RequestError(f"{where}: a text, or a list of parts of type text, is allowed", key=where)
    return "".join(part["text"] for part in parts)


def _raw_prompt(prompt: Any) -> str | tuple[int, ...]:
    if isinstance(prompt, str):
        return prompt
    if (
        isinstance(prompt, list)
        and prompt
        and all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in prompt)
    ):
        return tuple(prompt)
    raise RequestError("prompt: a text, a list of token ids, or a list of these is needed", key="prompt")


def ids_of(
    asked: Asked, template_ids: Callable[[Sequence[Mapping[str, str]]], list[int]], tokenizer: Any
) -> list[list[int]]:
    """The ids of each prompt: of a chat by the template of training, of raw texts as the tokenizer reads any text."""
    if asked.messages:
        return [template_ids(asked.messages)]
    found = [tokenizer(text).input_ids if isinstance(text, str) else list(text) for text in asked.texts]
    for ids in found:
        if not ids or max(ids) >= len(tokenizer):
            raise RequestError(
                "prompt: it has no token"
                if not ids
                else f"prompt: {max(ids)} is no token: ids below {len(tokenizer)} are allowed",
                key="prompt",
            )
    return found
