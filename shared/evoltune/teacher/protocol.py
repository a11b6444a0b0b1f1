"""The teacher protocol: a `Request` goes in, texts come out. Engines and wrappers share these types.

    reply = await teacher.complete(make_request(recipe.teacher, "Add 1 and 2.", purpose="answer", seed=7))

Invariant: a request's key depends on the request alone: on no endpoint, API key or clock.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from evoltune import recipe as recipes
from evoltune.errors import TeacherError
from evoltune.record import digest
from evoltune.run.store import Usage

Message = tuple[str, str]
"""(role, content)."""
RAW_PROMPT = "prompt"
"""Role of a request's only message when its content is sent as it is, to a server's completions endpoint."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call. It names no endpoint and no key, so the journal still answers after a fail-over or on another machine."""

    model: str
    messages: tuple[Message, ...]
    purpose: str
    """evolve, equal, answer, difficulty, judge, or a name of `Domain.evidence`; cost is reported per purpose."""
    seed: int
    """Drawn by `draw_seed`: a retried draw is a different call, and k samples are k calls."""
    n: int = 1
    temperature: float = 1.0
    top_p: float = 0.9
    frequency_penalty: float = 0.0
    max_tokens: int = 2048
    stop: tuple[str, ...] = ()
    record: str = ""
    """Id of the record that the call is about; journalled, but not part of the key."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The texts of a call and what they cost."""

    texts: tuple[str, ...]
    usage: Usage = field(default_factory=Usage)
    truncated: tuple[int, ...] = ()
    """Indices of the texts that ended at the token limit."""


class Teacher(Protocol):
    """Anything that answers requests."""

    async def complete(self, request: Request) -> Reply:
        """n texts. Raises GivenUpError for a request that cannot be served, TeacherError when none can."""
        ...


class GivenUpError(TeacherError):
    """This one request cannot be served; others can. `reason` is short and the same for the same cause."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class AttemptError(TeacherError):
    """One attempt failed and may be repeated. Engines raise it, `Retried` catches it."""

    def __init__(
        self, reason: str, *, where: str = "", retry_after_s: float = 0.0,
        charged: bool = False, rate_limited: bool = False, unreachable: bool = False,
    ) -> None:  # fmt: skip
        """charged: the server may have generated, and billed, a reply that never arrived. rate_limited: HTTP 429, the
        server is up and asks to wait. unreachable: nothing listens at the address."""
        super().__init__(f"{where}: {reason}" if where else reason)
        self.reason, self.where, self.retry_after_s = reason, where, retry_after_s
        self.charged, self.rate_limited, self.unreachable = charged, rate_limited, unreachable


def draw_seed(recipe_seed: int, record_id: str, round: int, purpose: str, sample: int = 0) -> int:
    """The seed of a call, 0 <= seed < 2**31: the same on every machine and in every order of arrival."""
    return int(digest([recipe_seed, record_id, round, purpose, sample]), 16) % 2**31


def make_request(
    config: recipes.Teacher, prompt: str | Sequence[Message], *, purpose: str, seed: int, n: int = 1, record: str = "",
    temperature: float | None = None, max_tokens: int | None = None,
) -> Request:  # fmt: skip
    """A request with the recipe's sampling options; a judgement sets its own temperature and a smaller max_tokens."""
    return Request(
        model=config.model, purpose=purpose, seed=seed, n=n, record=record, stop=config.stop,
        messages=(("user", prompt),) if isinstance(prompt, str) else tuple(prompt),
        temperature=config.temperature if temperature is None else temperature,
        top_p=config.top_p, frequency_penalty=config.frequency_penalty,
        max_tokens=config.max_tokens if max_tokens is None else min(max_tokens, config.max_tokens),
    )  # fmt: skip


def request_to_json(request: Request) -> dict[str, Any]:
    """What is hashed and journalled: every field but `record`; `stop` only where it is set."""
    body = {**vars(request)}
    del body["record"]
    if not request.stop:
        del body["stop"]
    return body


def request_key(request: Request) -> str:
    """32 hex digits over the whole request: the journal's key and the `custom_id` of a batch file."""
    return key_of(request_to_json(request))


def key_of(body: dict[str, Any]) -> str:
    """The key of a request that `request_to_json` returned."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def cost(price: recipes.Price, usage: Usage) -> float:
    """Dollars of a call at the recipe's prices per million tokens."""
    return (usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion) / 1e6
