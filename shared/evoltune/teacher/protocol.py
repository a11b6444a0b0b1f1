"""The teacher protocol: a `Request` goes in, texts come out. Engines and wrappers share these types.

    reply = await teacher.complete(make_request(recipe.teacher, "Add 1 and 2.", purpose="answer", seed=7))

Invariant: a request's key depends on the request alone: on no endpoint, API key or clock.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import orjson

from evoltune import recipe as recipes
from evoltune.errors import TeacherError
from evoltune.record import digest
from evoltune.run.store import Usage
from evoltune.text.credentials import masked

Message = tuple[str, str]
"""(role, content)."""
PROBE = "probe"
"""Marks the test request that shows whether one row or the whole server is at fault."""
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
    temperature: float | None = 1.0
    """None, here and for the three that follow: not sent."""
    top_p: float | None = 0.9
    frequency_penalty: float | None = 0.0
    max_tokens: int | None = 2048
    stop: tuple[str, ...] = ()
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """More sampling options of the recipe, sent as they are."""
    record: str = ""
    """Id of the record that the call is about; journalled, but not part of the key."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The texts of a call and what they cost."""

    texts: tuple[str, ...]
    usage: Usage = field(default_factory=Usage)
    truncated: tuple[int, ...] = ()
    """Indices of the texts that ended at the token limit."""
    thoughts: tuple[str, ...] = ()
    """The reasoning before each text, as far as the server shows it; empty: none at all."""

    def thought(self, i: int) -> str:
        """The reasoning before text i; "" where there is none."""
        return self.thoughts[i] if i < len(self.thoughts) else ""


class Teacher(Protocol):
    """Anything that answers requests."""

    async def complete(self, request: Request) -> Reply:
        """n texts. Raises GivenUpError for a request that cannot be served, TeacherError when none can."""
        ...


class GivenUpError(TeacherError):
    """This one request cannot be served; others can. `reason` is short and the same for the same cause; `detail` holds the
    server's words."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail
        self.usage: Usage | None = None
        """What a reply cost whose text was withheld; None: nothing was generated."""


class AttemptError(TeacherError):
    """One attempt failed and may be repeated. Engines raise it, `Retried` catches it."""

    def __init__(
        self, reason: str, *, where: str = "", detail: str = "", retry_after_s: float = 0.0, charged: bool = False,
        rate_limited: bool = False, busy: bool = False, unreachable: bool = False, answered: bool = False,
        strange: bool = False,
    ) -> None:  # fmt: skip
        """detail: the server's words. charged: the server may have generated, and billed, a reply that never arrived.
        rate_limited: HTTP 429, the server is up and asks to wait. busy: the same without a limit (loading, overloaded).
        unreachable: nothing listens at the address. answered: the server said something, if only an error.
        strange: it came with HTTP 200 and is no completion, as from a wrong address."""
        said = f"{reason} {detail}".strip()
        super().__init__(f"{where}: {said}" if where else said)
        self.reason, self.where, self.detail, self.retry_after_s = reason, where, detail, retry_after_s
        self.charged, self.rate_limited, self.busy = charged, rate_limited, busy
        self.unreachable, self.answered, self.strange = unreachable, answered, strange


def probe_of(request: Request) -> Request:
    """A request with the same options that any working server can answer: a system turn stays, so does a raw prompt."""
    has_system = request.messages[0][0] == "system"
    asked: tuple[Message, ...] = (("user", "Reply with OK."),)
    if request.messages[0][0] == RAW_PROMPT:
        asked = ((RAW_PROMPT, "Reply with OK."),)
    elif has_system:
        asked = (("system", "You are a helpful assistant."), *asked)
    return replace(request, messages=asked, purpose=PROBE, record="")


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
        max_tokens=config.max_tokens if max_tokens is None else min(max_tokens, config.max_tokens or max_tokens),
        extra_body=config.extra_body,
    )  # fmt: skip


def request_to_json(request: Request) -> dict[str, Any]:
    """What is hashed and journalled: every field but `record`; `stop` and `extra_body` only where they are set, and secrets in
    the latter cut out: another key asks the same."""
    body = {**vars(request)}
    del body["record"]
    for name in ("stop", "extra_body"):
        if not body[name]:
            del body[name]
    if "extra_body" in body:
        body["extra_body"] = masked(body["extra_body"])
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
