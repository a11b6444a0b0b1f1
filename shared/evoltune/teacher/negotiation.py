"""Which parameters a server takes: found out with one request in flight, before the others follow.

The first request of each shape (which parameters, which temperature, more than one sample, a system turn) goes alone. When a
server refuses it, the refusal names a parameter in a field made for that, and the request is asked again without it; or a
small probe with the same parameters tells whose fault it is:

    probe served                 ->  this row's prompt was refused: the row is given up, with the server's words; where these
                                     mention an option, it is asked once more without: servers behind a balancer may differ
    probe refused                ->  the parameters: those that the message mentions are left out first, then one by one
    refused with none of them    ->  the run: model, path, key or account; the server's sentence ends it

Invariant: a row is given up only when the same server has just served another request with the same parameters.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from evoltune.teacher.dialects import MAX_COMPLETION_TOKENS, MAX_TOKENS, SEARCH_ORDER, SYSTEM, Dialect
from evoltune.teacher.protocol import Request
from evoltune.teacher.refusals import ServerError

OPTIONS = frozenset(("frequency_penalty", "seed", "top_p", "temperature"))
Shape = tuple[object, ...]
Probe = Callable[[Dialect | None], Awaitable[ServerError | None]]
"""Sends a small request in this dialect (None: nothing but model and message); the refusal, or None when it was served."""


def shape_of(request: Request) -> Shape:
    """What a server may refuse of a request, beside its prompt."""
    has_system = any(role == SYSTEM for role, _ in request.messages)
    return (
        request.temperature, request.top_p, request.frequency_penalty, request.n > 1, bool(request.stop), has_system,
        request.messages[0][0],
    )  # fmt: skip


class Gate:
    """Lets the first request of each shape pass alone."""

    def __init__(self) -> None:
        self._accepted: set[Shape] = set()
        self._turns: dict[Shape, asyncio.Lock] = {}

    def accept(self, shape: Shape) -> None:
        """The server takes such requests; or nothing can be learnt now, and they need not wait for each other."""
        self._accepted.add(shape)

    def is_open(self, shape: Shape) -> bool:
        return shape in self._accepted

    @asynccontextmanager
    async def turn(self, shape: Shape) -> AsyncIterator[None]:
        """Waits until the shape is accepted, or until it is this request's turn to find out."""
        lock = self._turns.setdefault(shape, asyncio.Lock())
        async with lock:
            if shape not in self._accepted:
                yield
                return
        yield


class SettingRefusedError(Exception):
    """A value of the recipe is refused under every name; `key` is its key."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def named_in(error: ServerError, sent: list[str]) -> list[str]:
    """The parameters that a refusal names in a field made for that, of those that were sent."""
    return [
        name
        for name in sent
        if name in error.refused or (name == MAX_TOKENS and MAX_COMPLETION_TOKENS in error.refused)
    ]


def without_named(
    dialect: Dialect, request: Request, names: list[str], served: set[tuple[str, float | None]]
) -> Dialect:
    """The dialect without these; where another value of a parameter was served before, without this value only."""
    for name in names:
        value = getattr(request, name, None)
        other_was_served = any(n == name and v != value for n, v in served)
        by_value = name in ("temperature", "top_p") and other_was_served and (name, value) not in served
        dialect = dialect.without(name, value if by_value else None)
    return dialect


def mentioned_in(error: ServerError, sent: list[str]) -> list[str]:
    """The parameters that a refusal's words mention, in the order in which it costs least to do without."""
    found = set(error.mentioned)
    if MAX_COMPLETION_TOKENS in found:
        found.add(MAX_TOKENS)
    return [name for name in sent if name in found]


def without_mentioned(dialect: Dialect, request: Request, error: ServerError) -> Dialect:
    """The dialect without the options that the words of a refusal mention, as far as a request means the same without them."""
    for name in mentioned_in(error, [name for name in dialect.sent(request) if name in OPTIONS]):
        dialect = dialect.without(name)
    return dialect


async def search(probe: Probe, dialect: Dialect, sent: list[str]) -> Dialect | None:
    """The dialect nearest to this one that a probe gets through with; None when not even a bare request is served.

    Raises SettingRefusedError when `max_tokens` itself is what is refused.
    """
    if await probe(None) is not None:
        return None
    trial, dropped = dialect, []
    for name in (n for n in SEARCH_ORDER if n in sent):
        trial = trial.without(name)
        dropped.append(name)
        if await probe(trial) is None:
            break
    else:
        raise SettingRefusedError("max_tokens")
    for name in dropped[:-1]:
        if await probe(trial.restored(name)) is None:
            trial = trial.restored(name)
    return trial
