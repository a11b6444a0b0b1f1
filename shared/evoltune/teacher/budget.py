"""Hard caps on money, tokens, calls and wall time, reserved before an attempt is made.

An attempt reserves its worst case: a token is at least one byte, so the prompt's UTF-8 length plus n * max_tokens bounds
what a server can bill. When the reply is there, the reservation shrinks to what was used; an attempt that failed after the
server may have generated keeps all of it. Invariant: spent + reserved never exceeds a cap, however many calls are in
flight. A call that does not fit waits while others are in flight, and raises BudgetError when none is left.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from evoltune.errors import BudgetError
from evoltune.recipe import Budget, Price
from evoltune.run.store import Store, Usage
from evoltune.teacher.protocol import AttemptError, Reply, Request, Teacher, cost

MESSAGE_TOKENS = 32  # what a chat template adds to a message; the most that we counted is 11 (Llama 3)
LOST_NOTE, WALL_NOTE = "budget:lost", "budget:wall_s"


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


def worst_case_cost(request: Request, price: Price) -> Spend:
    """The most that one attempt can cost."""
    prompt = sum(len(content.encode()) + MESSAGE_TOKENS for _, content in request.messages)
    usage = Usage(prompt_tokens=prompt, completion_tokens=request.n * request.max_tokens)
    return Spend(calls=1, tokens=prompt + usage.completion_tokens, usd=cost(price, usage))


class BudgetMeter:
    """What a run has spent and has reserved. With a store it continues from the run's earlier sessions."""

    def __init__(self, budget: Budget, price: Price, store: Store | None = None) -> None:
        self.price = price
        self._budget, self._store = budget, store
        self._spent, self._lost = Spend(), Spend()
        self.reserved = Spend()
        self._settled: asyncio.Condition | None = None
        self._started, self._earlier_wall_s, self._noted_wall_s = time.monotonic(), 0.0, 0.0
        self.has_caps = bool(budget.usd or budget.tokens or budget.calls or budget.wall_s)
        if store is not None and self.has_caps:
            rows = store.spent().values()
            self._lost = Spend(**(store.noted(LOST_NOTE) or {}))
            self._spent = self._lost + Spend(
                calls=int(sum(r["calls"] for r in rows)),
                tokens=int(sum(r["prompt_tokens"] + r["completion_tokens"] for r in rows)),
                usd=sum(r["usd"] for r in rows),
            )
            self._earlier_wall_s = float(store.noted(WALL_NOTE) or 0.0)

    def _wall_s(self) -> float:
        return self._earlier_wall_s + time.monotonic() - self._started

    def wall_left_s(self) -> float:
        """Seconds until the wall-time cap; infinite without one."""
        if not self._budget.wall_s:
            return float("inf")
        spent = self._wall_s()
        if spent - self._noted_wall_s > 1.0:
            self._note_wall(spent)
        return self._budget.wall_s - spent

    def _note_wall(self, spent: float) -> None:
        self._noted_wall_s = spent
        if self._store is not None:
            self._store.note(WALL_NOTE, spent)

    def close(self) -> None:
        """Records the wall time, from which later sessions of the run continue."""
        if self._budget.wall_s:
            self._note_wall(self._wall_s())

    async def reserve(self, worst: Spend) -> None:
        """Takes `worst` out of what is left. Raises BudgetError, naming the cap, when it can never fit."""
        if self._settled is None:
            self._settled = asyncio.Condition()
        async with self._settled:
            while cap := self._exceeded(self._spent + self.reserved + worst):
                if self.wall_left_s() <= 0 or self.reserved.calls == 0:
                    raise self.error(cap, worst)
                await self._settled.wait()
            self.reserved += worst

    async def settle(self, worst: Spend, used: Spend, *, lost: bool = False) -> None:
        """Gives back what a reservation did not use. `lost`: paid for, but there is no reply to journal."""
        assert self._settled is not None
        async with self._settled:
            self.reserved -= worst
            self._spent += used
            if lost and self._store is not None:
                self._lost += used
                self._store.note(LOST_NOTE, vars(self._lost))
            self._settled.notify_all()

    def _exceeded(self, total: Spend) -> str:
        """The name of a cap that `total` would exceed, or ""."""
        caps = self._budget
        if caps.calls and total.calls > caps.calls:
            return "calls"
        if caps.tokens and total.tokens > caps.tokens:
            return "tokens"
        if caps.usd and total.usd > caps.usd * (1 + 1e-12):  # sums of floats
            return "usd"
        return "wall_s" if self.wall_left_s() <= 0 else ""

    def error(self, cap: str, worst: Spend) -> BudgetError:
        """The error that names the cap, what is spent, what the next call may need, and what to do."""
        limit = getattr(self._budget, cap)
        if cap == "wall_s":
            return BudgetError(
                f"teacher.budget.wall_s: {limit:g} s are used up: everything finished is kept; raise the cap to go on"
            )
        spent, need = getattr(self._spent, cap), getattr(worst, cap)
        return BudgetError(
            f"teacher.budget.{cap}: {spent:.10g} of {limit:.10g} is spent and the next call may need {need:.6g}: "
            "everything finished is kept; raise the cap (or lower teacher.max_tokens) to go on"
        )


class Budgeted:
    """Makes an attempt only when its worst case fits into the budget."""

    def __init__(self, inner: Teacher, meter: BudgetMeter) -> None:
        self._inner, self._meter = inner, meter

    async def complete(self, request: Request) -> Reply:
        meter = self._meter
        if not meter.has_caps:
            return await self._inner.complete(request)
        worst = worst_case_cost(request, meter.price)
        await meter.reserve(worst)
        try:
            left = meter.wall_left_s()
            async with asyncio.timeout(left if left < float("inf") else None):
                reply = await self._inner.complete(request)
        except TimeoutError:
            await meter.settle(worst, worst, lost=True)
            raise meter.error("wall_s", worst) from None
        except BaseException as error:
            charged = isinstance(error, asyncio.CancelledError) or (isinstance(error, AttemptError) and error.charged)
            await meter.settle(worst, worst if charged else Spend(), lost=charged)
            raise
        tokens = reply.usage.prompt_tokens + reply.usage.completion_tokens
        await meter.settle(worst, Spend(calls=1, tokens=tokens, usd=cost(meter.price, reply.usage)))
        return reply
