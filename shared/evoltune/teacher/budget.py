"""Hard caps on money, tokens, calls and wall time, reserved before an attempt is made.

An attempt reserves its worst case: a token is at least one byte, so the prompt's UTF-8 length plus n * max_tokens bounds
what a server can bill. When the reply is there, the reservation shrinks to what was used; an attempt that failed after the
server may have generated keeps all of it, and so does a reply that does not say what it used. What is in flight is noted in
the store before it is sent, so a `kill -9` leaves it booked. Invariant: spent + reserved never exceeds a cap, however many
calls are in flight and however often the run is resumed. A call that does not fit waits while others are in flight, and
raises BudgetError when none is left.

A server that ignores `max_tokens` is noticed (see `overruns`): until a first reply to calls of one `max_tokens` is there only
one of them is in flight, with more reserved than it asks for, and a server that once made more than it was asked for is
reserved twice the most that it has made. What cannot be bounded is the first reply of such a server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from evoltune.errors import BudgetError
from evoltune.recipe import Budget, Price
from evoltune.run.store import Store, Usage
from evoltune.teacher.notices import say
from evoltune.teacher.overruns import CAUTIOUS_REPLIES, UNSEEN_TEXT, Overruns, Unseen
from evoltune.teacher.protocol import PROBE, AttemptError, GivenUpError, Reply, Request, cost

MESSAGE_TOKENS = 32  # what a chat template adds to a message; the most that we counted is 11 (Llama 3)
LOST_NOTE, WALL_NOTE, BOUNDED_NOTE = "budget:lost", "budget:wall_s", "budget:bounded"
"""BOUNDED_NOTE: how many replies came without usage."""
CAUTION = 3
"""While few replies to calls of one `max_tokens` are there, several in flight must fit at this multiple."""


@dataclass(frozen=True, kw_only=True)
class Spend:
    """An amount of everything that a budget caps, except wall time."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: Spend) -> Spend:
        return Spend(calls=self.calls + other.calls, tokens=self.tokens + other.tokens, usd=self.usd + other.usd)

    def __sub__(self, other: Spend) -> Spend:
        return Spend(calls=self.calls - other.calls, tokens=self.tokens - other.tokens, usd=self.usd - other.usd)


def worst_case_cost(request: Request, price: Price, completion: int = 0) -> Spend:
    """The most that one attempt can cost. completion: tokens that the server may make, where they are more than asked for."""
    completion = max(request.n * (request.max_tokens or 0), completion)
    return _spend(Usage(prompt_tokens=_prompt_bound(request), completion_tokens=completion), price)


def charged_usage(request: Request, reply: Reply) -> Usage:
    """The reply's usage; where the server does not say it, its bound."""
    prompt, completion = reply.usage.prompt_tokens, reply.usage.completion_tokens
    written = sum(len(text.encode("utf-8", "replace")) for text in (*reply.texts, *reply.thoughts))
    bound = max(max(request.n, len(reply.texts)) * (request.max_tokens or 0), written)
    return Usage(
        prompt_tokens=prompt or _prompt_bound(request),
        completion_tokens=completion or (bound if any(reply.texts) or not prompt else 0),
    )


def _prompt_bound(request: Request) -> int:
    return sum(len(content.encode("utf-8", "replace")) + MESSAGE_TOKENS for _, content in request.messages)


def _spend(usage: Usage, price: Price) -> Spend:
    return Spend(calls=1, tokens=usage.prompt_tokens + usage.completion_tokens, usd=cost(price, usage))


@dataclass
class _Till:
    """The amounts of a run, which all of its meters share."""

    started: float
    spent: Spend = field(default_factory=Spend)
    lost: Spend = field(default_factory=Spend)
    reserved: Spend = field(default_factory=Spend)
    bounded: int = 0
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    earlier_wall_s: float = 0.0
    noted_wall_s: float = 0.0


class BudgetMeter:
    """What a run has spent and has reserved. With a store it continues from the run's earlier sessions.

    beside: the meter of another model that is open in the same run: both count into one sum, each at its own price.
    """

    def __init__(
        self, budget: Budget, price: Price, store: Store | None = None, *, beside: BudgetMeter | None = None
    ) -> None:
        self.price = price
        self._budget, self._store = budget, store
        self._overruns = Overruns(store)
        self.has_caps = bool(budget.usd or budget.tokens or budget.calls or budget.wall_s)
        self._till: _Till = beside._till if beside is not None else self._opened()

    def _opened(self) -> _Till:
        """What the run's earlier sessions left."""
        till, store = _Till(started=time.monotonic()), self._store
        if store is None:
            return till
        till.bounded = int(store.noted(BOUNDED_NOTE) or 0)
        if self.has_caps:
            rows = store.spent().values()
            till.lost = Spend(**(store.noted(LOST_NOTE) or {}))
            till.spent = till.lost + Spend(
                calls=int(sum(r["calls"] for r in rows)),
                tokens=int(sum(r["prompt_tokens"] + r["completion_tokens"] for r in rows)),
                usd=sum(r["usd"] for r in rows),
            )
            till.earlier_wall_s = float(store.noted(WALL_NOTE) or 0.0)
        return till

    @property
    def reserved(self) -> Spend:
        """What calls in flight may cost."""
        return self._till.reserved

    def _wall_s(self) -> float:
        return self._till.earlier_wall_s + time.monotonic() - self._till.started

    def wall_left_s(self) -> float:
        """Seconds until the wall-time cap; infinite without one."""
        if not self._budget.wall_s:
            return float("inf")
        spent = self._wall_s()
        if spent - self._till.noted_wall_s > 1.0:
            self._note_wall(spent)
        return self._budget.wall_s - spent

    def _note_wall(self, spent: float) -> None:
        self._till.noted_wall_s = spent
        if self._store is not None:
            self._store.note_cost(WALL_NOTE, spent)

    def close(self) -> None:
        """Records what later sessions of the run continue from."""
        if self.has_caps:
            self._note_lost()
        if self._till.bounded and self._store is not None:
            self._store.note_cost(BOUNDED_NOTE, self._till.bounded)
        if self._budget.wall_s:
            self._note_wall(self._wall_s())

    async def pay(self, request: Request, send: Callable[[], Awaitable[Reply]], server: str = "") -> Reply:
        """The reply to one attempt, made only when its worst case fits into the budget. server: the name of what it goes to,
        where there are several."""
        if not self.has_caps:
            reply = await send()
            self._note_bounded(request, reply)
            return reply
        worst, unseen = await self._reserved_for(request, server)
        try:
            async with asyncio.timeout(self.wall_left_s()):
                reply = await send()
        except TimeoutError:
            self.settle(worst, worst)
            raise self.error("wall_s", worst) from None
        except BaseException as error:
            used = _used_by_failure(error, worst, self.price)
            if unseen and used != worst:
                self._overruns.never_left(server, unseen)
            self.settle(worst, used)
            raise
        usage = charged_usage(request, reply)
        more = self._overruns.replied(server, request, len(reply.texts), usage.completion_tokens, unseen)
        journalled = None if request.purpose == PROBE else _spend(reply.usage, self.price)
        self.settle(worst, _spend(usage, self.price) + self._completion(more), journalled=journalled)
        self._note_bounded(request, reply)
        return reply

    async def _reserved_for(self, request: Request, server: str) -> tuple[Spend, Unseen | None]:
        """Reserves an attempt's worst case. The second: what is reserved for each text of a server that is not known yet."""
        while True:
            worst = self.worst_case(request, server)
            await self.reserve(worst, request.max_tokens or 0, server)
            if worst == self.worst_case(request, server):
                break
            self.settle(worst, Spend())  # while it waited, a reply changed what this server may make
        if not (self._budget.tokens or self._budget.usd) or not self._overruns.is_unknown(
            server, request.max_tokens or 0
        ):
            return worst, None
        texts = request.n
        asked = worst.tokens - _prompt_bound(request)
        more = self._that_is_left(self._completion(max(0, texts * UNSEEN_TEXT - asked)))
        self._till.reserved += more
        unseen = (texts, (asked + more.tokens) // texts)
        self._overruns.sent(server, unseen)
        self._note_lost()
        return worst + more, unseen

    def _note_bounded(self, request: Request, reply: Reply) -> None:
        """Counts the replies without usage; the first one is said."""
        if charged_usage(request, reply) == reply.usage or request.purpose == PROBE:
            return
        if not self._till.bounded:
            say("a reply without usage: its tokens are estimated by their upper bound (a token is at least one byte)")
        self._till.bounded += 1

    def worst_case(self, request: Request, server: str = "") -> Spend:
        """The most that one attempt can cost at this server."""
        return worst_case_cost(request, self.price, self._overruns.completion(server, request))

    def _completion(self, tokens: int) -> Spend:
        return Spend(tokens=tokens, usd=cost(self.price, Usage(completion_tokens=tokens)))

    def _that_is_left(self, more: Spend) -> Spend:
        """As much of these tokens and their price as is neither spent nor reserved."""
        taken, caps = self._till.spent + self._till.reserved, self._budget
        return Spend(
            tokens=min(more.tokens, caps.tokens - taken.tokens) if caps.tokens else more.tokens,
            usd=min(more.usd, caps.usd - taken.usd) if caps.usd else more.usd,
        )

    async def reserve(self, worst: Spend, max_tokens: int = 0, server: str = "") -> None:
        """Takes `worst` out of what is left. Raises BudgetError, naming the cap, when it can never fit.

        max_tokens: of the call; 0: a call that no server can overrun.
        """
        while True:
            cap = self._exceeded(self._till.spent + self._till.reserved + worst)
            if self.wall_left_s() <= 0:  # whatever else the call was waiting for
                raise self.error("wall_s", worst)
            if cap and not self._till.reserved.calls:
                raise self.error(cap, worst)
            if not cap and not (self._till.reserved.calls and max_tokens and self._is_risky(worst, max_tokens, server)):
                break
            await self._till.settled.wait()
        self._till.reserved += worst
        self._note_lost()

    def _is_risky(self, worst: Spend, max_tokens: int, server: str) -> bool:
        """Whether a call beside those in flight could exceed a cap if this server ignores `max_tokens`."""
        replies = self._overruns.replies(server, max_tokens)
        if replies >= CAUTIOUS_REPLIES or not (self._budget.tokens or self._budget.usd):
            return False
        at_stake = self._till.reserved + worst
        careful = Spend(calls=at_stake.calls, tokens=CAUTION * at_stake.tokens, usd=CAUTION * at_stake.usd)
        return not replies or self._exceeded(self._till.spent + careful) in ("tokens", "usd")

    def settle(self, worst: Spend, used: Spend, *, journalled: Spend | None = None) -> None:
        """Gives back what a reservation did not use. journalled: the part of it that the journal will hold. It does not
        await: a call that is cancelled is settled too."""
        self._till.reserved -= worst
        self._till.spent += used
        if self._store is not None:
            lost = used - (journalled or Spend())
            self._till.lost += lost
            if journalled is None:  # else the note is written when the reply is journalled: see `reserve` and `close`
                self._note_lost()
        self._till.settled.set()
        self._till.settled = asyncio.Event()

    def _note_lost(self) -> None:
        """Notes what is spent without a row of the journal, and what is in flight: a session that is killed keeps it."""
        if self._store is not None:
            self._store.note_cost(LOST_NOTE, vars(self._till.lost + self._till.reserved))

    def _exceeded(self, total: Spend) -> str:
        """The name of a cap on amounts that `total` would exceed, or ""."""
        caps = self._budget
        if caps.calls and total.calls > caps.calls:
            return "calls"
        if caps.tokens and total.tokens > caps.tokens:
            return "tokens"
        if caps.usd and total.usd > caps.usd * (1 + 1e-12):  # sums of floats
            return "usd"
        return ""

    def error(self, cap: str, worst: Spend) -> BudgetError:
        """The error that names the cap, what is spent, what the next call may need, and what to do."""
        limit = getattr(self._budget, cap)
        if cap == "wall_s":
            return BudgetError(
                f"teacher.budget.wall_s: {limit:g} s are used up: everything finished is kept; raise the cap to go on"
            )
        spent, need = getattr(self._till.spent, cap), getattr(worst, cap)
        return BudgetError(
            f"teacher.budget.{cap}: {spent:.10g} of {limit:.10g} is spent and the next call may need {need:.6g}: "
            "everything finished is kept; raise the cap (or lower teacher.max_tokens) to go on"
        )


def _used_by_failure(error: BaseException, worst: Spend, price: Price) -> Spend:
    """What an attempt without a reply may be billed."""
    if isinstance(error, GivenUpError) and error.usage is not None:  # a text that was made and withheld
        used = _spend(error.usage, price)
        return used if used.tokens else worst
    is_charged = isinstance(error, asyncio.CancelledError) or (isinstance(error, AttemptError) and error.charged)
    return worst if is_charged else Spend()
