"""What a teacher is: Request in, texts out; and the vocabulary that engines and the layers round them share.

Invariant: a request's key depends on nothing but the request: no endpoint, no API key, no clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, overload
from urllib.parse import urlsplit

import orjson

from evoltune import recipe as recipes
from evoltune.errors import RecipeError, TeacherError
from evoltune.record import Json, digest
from evoltune.run.store import Usage

Message = tuple[str, str]
"""(role, content)."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call. Holds no endpoint and no key: after a fail-over, or on another machine, the journal still answers."""

    model: str
    messages: tuple[Message, ...]
    purpose: str
    """evolve, equal, answer, difficulty, judge, or a name of `Domain.evidence`: cost is reported per purpose."""
    seed: int
    """Drawn by `draw_seed`: a retried draw is another call, and k samples stay k samples."""
    n: int = 1
    temperature: float = 1.0
    top_p: float = 0.9
    frequency_penalty: float = 0.0
    max_tokens: int = 2048
    stop: tuple[str, ...] = ()
    schema: Json = None
    """JSON schema that the reply must follow, where the server can."""
    record: str = ""
    """Id of the record asked for; kept in the journal, no part of the key."""


@dataclass(frozen=True, kw_only=True)
class Reply(Sequence[str]):
    """The texts of a call, with what they cost. Reads like a list of texts."""

    texts: tuple[str, ...]
    usage: Usage = field(default_factory=Usage)
    cut: tuple[int, ...] = ()
    """Indices of texts that ended at the token limit."""

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, i: int) -> str: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[str]: ...
    def __getitem__(self, i: int | slice) -> str | Sequence[str]:
        return self.texts[i]

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)


class Teacher(Protocol):
    """Anything that answers requests. A plain list of texts is a fine reply; a `Reply` also says what it cost."""

    async def complete(self, request: Request) -> Sequence[str]:
        """n texts. Raises GivenUpError for a request that cannot be served, TeacherError when none can."""
        ...


class GivenUpError(TeacherError):
    """This one request cannot be served; the others go on. `reason` is short and has no value that varies."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class AttemptError(TeacherError):
    """One attempt failed and may be tried again (raised by engines, caught by `retried`)."""

    def __init__(
        self,
        reason: str,
        *,
        where: str = "",
        retry_after_s: float = 0.0,
        charged: bool = False,
        limited: bool = False,
        unreachable: bool = False,
    ) -> None:
        super().__init__(f"{where}: {reason}" if where else reason)
        self.reason, self.where, self.retry_after_s = reason, where, retry_after_s
        self.charged = charged
        """The server may have generated, and billed, a reply that never arrived."""
        self.limited = limited
        """A rate limit spoke (429): the server lives."""
        self.unreachable = unreachable
        """Nothing listens there."""


def draw_seed(recipe_seed: int, record_id: str, round: int, purpose: str, sample: int = 0) -> int:
    """The seed of a call, 0 <= seed < 2**31: the same on every machine, whatever the order of arrival."""
    return int(digest([recipe_seed, record_id, round, purpose, sample]), 16) % 2**31


def ask(
    config: recipes.Teacher,
    prompt: str | Sequence[Message],
    *,
    purpose: str,
    seed: int,
    n: int = 1,
    record: str = "",
    temperature: float | None = None,
    max_tokens: int | None = None,
    schema: Json = None,
) -> Request:
    """A request with the recipe's decoding; a judgement sets its own temperature and length."""
    return Request(
        model=config.model,
        messages=(("user", prompt),) if isinstance(prompt, str) else tuple(prompt),
        purpose=purpose,
        seed=seed,
        n=n,
        temperature=config.temperature if temperature is None else temperature,
        top_p=config.top_p,
        frequency_penalty=config.frequency_penalty,
        max_tokens=config.max_tokens if max_tokens is None else min(max_tokens, config.max_tokens),
        stop=config.stop,
        schema=schema,
        record=record,
    )


def request_to_json(request: Request) -> dict[str, Any]:
    """What is hashed and kept: every field but `record`; empty options are left out."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": request.messages,
        "purpose": request.purpose,
        "seed": request.seed,
        "n": request.n,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "frequency_penalty": request.frequency_penalty,
        "max_tokens": request.max_tokens,
    }
    if request.stop:
        body["stop"] = request.stop
    if request.schema is not None:
        body["schema"] = request.schema
    return body


def request_key(request: Request) -> str:
    """32 hex digits over the whole request: the journal's key and the `custom_id` of a batch file."""
    return key_of(request_to_json(request))


def key_of(body: dict[str, Any]) -> str:
    """The key of a request that `request_to_json` wrote."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def chat_url(url: str, where: str) -> str:
    """The chat completions URL of a base URL (`http://host:8000`, `.../v1`, or the full path)."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise RecipeError(f"{where}.url: {url!r} must be http://HOST:PORT/v1 or https://HOST/v1")
    base = url.rstrip("/")
    if base.endswith("/chat/completions"):
        return base
    return base + ("/chat/completions" if parts.path.strip("/") else "/v1/chat/completions")


def usage_of(reply: Sequence[str]) -> Usage:
    """What a reply cost; zero for a teacher that does not say."""
    return reply.usage if isinstance(reply, Reply) else Usage()


def cost(price: recipes.Price, usage: Usage) -> float:
    """Dollars of a call at the recipe's prices."""
    return (usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion) / 1e6
