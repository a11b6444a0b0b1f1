"""The OpenAI format for requests, and what a server was found to want otherwise.

    Dialect().body(request)                                  ->  {"model": "m", "messages": [...], "temperature": 1.0, ...}
    Dialect(left_out={"top_p"}).body(request)                ->  the same without top_p
    describe(Dialect(max_tokens_name="max_completion_tokens"))   ->  "max_tokens is sent as max_completion_tokens"

A dialect is learnt from refusals (see `negotiation`), remembered with the run, and never guessed from a URL or a model's
name. Invariant: what cannot be sent is done here instead: n samples one by one, stop strings, a system turn in the user's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson

from evoltune.errors import RecipeError
from evoltune.teacher.protocol import RAW_PROMPT, Message, Request

MAX_TOKENS, MAX_COMPLETION_TOKENS = "max_tokens", "max_completion_tokens"
HTTP_DIALECTS_NOTE = "teacher:dialects"
"""Note of a run: `URL MODEL` -> the dialect that its calls over HTTP taught."""
SYSTEM = "system"
"""Stands for the system turn among the parameters that can be left out."""
SEARCH_ORDER = ("n", SYSTEM, "frequency_penalty", "seed", "top_p", "temperature", "stop", MAX_TOKENS)
"""What can be left out, what costs the data least first; `max_tokens` is never left out but sent under its newer name."""
OWN_KEYS = {"model", "messages", "prompt", "stream", "stop", MAX_TOKENS, MAX_COMPLETION_TOKENS}
"""Keys of a body that `extra_body` may not hold: they are the recipe's own, or would change what a reply is."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What a server takes, as far as it is known."""

    max_tokens_name: str = MAX_TOKENS
    left_out: frozenset[str] = frozenset()
    """Parameters that are never sent."""
    left_out_values: frozenset[tuple[str, float]] = frozenset()
    """(parameter, value) that is not sent, while other values are: a temperature of 0, for instance."""

    def body(self, request: Request, extra_body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The body of POST /chat/completions, or of POST /completions for a raw prompt."""
        body: dict[str, Any] = {"model": request.model}
        if is_raw(request):
            body["prompt"] = request.messages[0][1]
        else:
            messages = without_system(request.messages) if SYSTEM in self.left_out else request.messages
            body["messages"] = [{"role": role, "content": content} for role, content in messages]
        body |= self._parameters(request)
        for extra in (request.extra_body, extra_body or {}):
            body |= extra
        return {key: value for key, value in body.items() if value is not None}

    def _parameters(self, request: Request) -> dict[str, Any]:
        found: dict[str, Any] = {
            "temperature": request.temperature,
            "top_p": request.top_p,
            "frequency_penalty": request.frequency_penalty or None,  # 0 is every server's default
            self.max_tokens_name: request.max_tokens,
            "seed": request.seed,
            "n": request.n if request.n > 1 else None,
            "stop": list(request.stop) or None,
        }
        for name, value in self.left_out_values:
            if found.get(name) == value:
                found[name] = None
        return {name: value for name, value in found.items() if name not in self.left_out}

    def sent(self, request: Request) -> list[str]:
        """What of `SEARCH_ORDER` a request has now and could do without."""
        body = self.body(request)
        has = {*body, *([SYSTEM] if any(m["role"] == SYSTEM for m in body.get("messages", ())) else [])}
        return [name for name in SEARCH_ORDER if name in has]

    def without(self, name: str, value: float | None = None) -> "Dialect":
        """The dialect that does without one more; with a value, without this value only."""
        if name == MAX_TOKENS:
            return replace(self, max_tokens_name=MAX_COMPLETION_TOKENS)
        if value is not None:
            return replace(self, left_out_values=self.left_out_values | {(name, value)})
        return replace(self, left_out=self.left_out | {name})

    def restored(self, name: str) -> "Dialect":
        """The dialect that sends it again."""
        if name == MAX_TOKENS:
            return replace(self, max_tokens_name=MAX_TOKENS)
        return replace(self, left_out=self.left_out - {name})

    def as_json(self) -> dict[str, Any]:
        values = sorted([name, value] for name, value in self.left_out_values)
        return {"max_tokens": self.max_tokens_name, "left_out": sorted(self.left_out), "left_out_values": values}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Dialect":
        return cls(
            max_tokens_name=raw["max_tokens"], left_out=frozenset(raw["left_out"]),
            left_out_values=frozenset((name, value) for name, value in raw["left_out_values"]),
        )  # fmt: skip


def describe(dialect: Dialect) -> str:
    """What is done otherwise, in one line; "" where nothing is."""
    parts = []
    if dialect.max_tokens_name != MAX_TOKENS:
        parts.append(f"{MAX_TOKENS} is sent as {dialect.max_tokens_name}")
    names = [name for name in sorted(dialect.left_out) if name not in ("n", SYSTEM)]
    names += [f"{name} {value:g}" for name, value in sorted(dialect.left_out_values)]
    if names:
        parts.append(f"not sent: {', '.join(names)}")
    if "n" in dialect.left_out:
        parts.append("samples are asked one by one")
    if SYSTEM in dialect.left_out:
        parts.append("the system turn is joined to the user's")
    return "; ".join(parts)


def is_raw(request: Request) -> bool:
    """Whether the request is a prompt for the completions endpoint, where the server renders nothing."""
    return request.messages[0][0] == RAW_PROMPT


def without_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The conversation with what its system turns say before the first user turn."""
    said = "\n\n".join(content for role, content in messages if role == SYSTEM)
    others = [(role, content) for role, content in messages if role != SYSTEM]
    first = next((i for i, (role, _) in enumerate(others) if role == "user"), None)
    if not said or first is None:
        return messages
    others[first] = ("user", f"{said}\n\n{others[first][1]}")
    return tuple(others)


def until_stop(text: str, stop: tuple[str, ...]) -> str:
    """The text up to the first stop string, for servers that take none."""
    at = min((i for s in stop if (i := text.find(s)) >= 0), default=len(text))
    return text[:at]


def chat_url(url: str, where: str, query: Mapping[str, str] | None = None) -> str:
    """The chat completions URL of a base URL (`http://host:8000`, `.../v1`, or the full path), its query kept and extended.
    Raises RecipeError: not an HTTP URL; the message begins with `where`, the key in the recipe."""
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname or ""
        is_usable = (
            parts.scheme in ("http", "https") and bool(host.encode("idna")) and parts.port != 0 and " " not in host
        )
    except ValueError:  # a port beyond 65535, brackets without an address, a name that no host can have
        is_usable = False
    if not is_usable:
        raise RecipeError(f"{where}.url: {url!r} must be http://HOST:PORT/v1 or https://HOST/v1")
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions" if path else "/v1/chat/completions"
    pairs = dict(parse_qsl(parts.query, keep_blank_values=True)) | dict(query or {})
    return urlunsplit((parts.scheme, parts.netloc, path, urlencode(pairs), ""))


def check_extra_body(extra_body: Mapping[str, Any], where: str) -> None:
    """Raises RecipeError for keys that the recipe has a key of its own for."""
    counted = {"n"} if extra_body.get("n") is not None else set()  # how many texts a reply has is ours to say
    for key in sorted((OWN_KEYS | counted) & extra_body.keys()):
        raise RecipeError(f"{where}.extra_body.{key}: not allowed there: use the keys of `teacher:` (null: not sent)")
    try:
        orjson.dumps(extra_body)
    except TypeError as error:  # an integer of more than 64 bits, a date of YAML
        raise RecipeError(f"{where}.extra_body: cannot be sent as JSON: {error}") from None
