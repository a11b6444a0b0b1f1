"""Hard caps on money, tokens, calls and wall time, reserved before an attempt is made.

An attempt reserves the dearest outcome that it can have: a token is at least one byte, so the prompt's UTF-8 length plus
n * max_tokens bounds what a server can bill. When it returns, the reservation shrinks to what was used; an attempt that
failed after the server may have generated keeps all of it. Invariant: spent + reserved never exceeds a cap, however many
calls fly at once; who does not fit waits while others still fly, and raises BudgetError when nothing is left to return.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evoltune.errors import BudgetError
from evoltune.recipe import Budget, Price
from evoltune.run.store import Store, Usage
from evoltune.teacher.protocol import AttemptError, Request, Teacher, cost, usage_of

MESSAGE_TOKENS = 32  # a chat template's frame round one message; the widest we counted is 11 (Llama 3)
LOST = "budget:lost"
WALL = "budget:wall_s"


@dataclass(frozen=True, kw_only=True)
class Spend:
    """An amount of everything that a budget caps (wall time apart)."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: Spend) -> Spend:
        return Spend(
            calls=self.calls + other.calls, tokens=self.tokens + other.tokens, usd=self.usd + other.usd
        )

    def __sub__(self, other: Spend) -> Spend:
        return Spend(
            calls=self.calls - other.calls, tokens=self.tokens - other.tokens, usd=self.usd - other.usd
        )


def dearest(request: Request, price: Price) -> Spend:
    """The most that one attempt can cost."""
    prompt = sum(len(content.encode()) + MESSAGE_TOKENS for _, content in request.messages)
    usage = Usage(prompt_tokens=prompt, completion_tokens=request.n * request.max_tokens)
    return Spend(calls=1, tokens=prompt + usage.completion_tokens, usd=cost(price, usage))


class Meter:
    """What a run has spent and holds in reserve. With a store it goes on where earlier sessions of the run stopped."""

    def __init__(self, budget: Budget, price: Price, store: Store | None = None) -> None:
        self.budget, self.price, self._store = budget, price, store
        self.spent, self.reserved, self.lost = Spend(), Spend(), Spend()
        self._waiting: asyncio.Condition | None = None
        self._began, self._wall_before, self._wall_noted = time.monotonic(), 0.0, 0.0
        self.capped = bool(budget.usd or budget.tokens or budget.calls or budget.wall_s)
        if store is not None and self.capped:
            rows = store.spent().values()
            self.lost = Spend(**(store.noted(LOST) or {}))
            self.spent = self.lost + Spend(
                calls=int(sum(r["calls"] for r in rows)),
                tokens=int(sum(r["prompt_tokens"] + r["completion_tokens"] for r in rows)),
                usd=sum(r["usd"] for r in rows),
            )
            self._wall_before = float(store.noted(WALL) or 0.0)

    def wall_left_s(self) -> float:
        """Seconds until the wall cap; infinite without one."""
        if not self.budget.wall_s:
            return float("inf")
        spent = self._wall_before + time.monotonic() - self._began
        if self._store is not None and spent - self._wall_noted > 1.0:
            self._wall_noted = spent
            self._store.note(WALL, spent)
        return self.budget.wall_s - spent

    def close(self) -> None:
        """Notes the wall time; later sessions of the run go on from there."""
        if self._store is not None and self.budget.wall_s:
            self._store.note(WALL, self._wall_before + time.monotonic() - self._began)

    async def reserve(self, most: Spend) -> None:
        """Takes `most` out of what is left. Raises BudgetError, naming the cap, when it can never fit."""
        if self._waiting is None:
            self._waiting = asyncio.Condition()
        async with self._waiting:
            while cap := self._broken(self.spent + self.reserved + most):
                if self.wall_left_s() <= 0 or self.reserved.calls == 0:
                    raise BudgetError(self._message(cap, most))
                await self._waiting.wait()
            self.reserved += most

    async def settle(self, most: Spend, used: Spend, *, lost: bool = False) -> None:
        """Gives back what a reservation did not use. `lost`: paid for, but no reply to journal."""
        assert self._waiting is not None
        async with self._waiting:
            self.reserved -= most
            self.spent += used
            if lost and self._store is not None:
                self.lost += used
                self._store.note(LOST, vars(self.lost))
            self._waiting.notify_all()

    def _broken(self, total: Spend) -> str:
        caps = self.budget
        if caps.calls and total.calls > caps.calls:
            return "calls"
        if caps.tokens and total.tokens > caps.tokens:
            return "tokens"
        if caps.usd and total.usd > caps.usd * (1 + 1e-12):  # sums of floats
            return "usd"
        return "wall_s" if self.wall_left_s() <= 0 else ""

    def _message(self, cap: str, most: Spend) -> str:
        limit = getattr(self.budget, cap)
        if cap == "wall_s":
            return f"teacher.budget.wall_s: {limit:g} s are used up: everything finished is kept; raise the cap to go on"
        spent, need = getattr(self.spent, cap), getattr(most, cap)
        return (
            f"teacher.budget.{cap}: {spent:.10g} of {limit:.10g} is spent and the next call may need {need:.6g}: "
            "everything finished is kept; raise the cap (or lower teacher.max_tokens) to go on"
        )


def budgeted(teacher: Teacher, meter: Meter) -> Teacher:
    """A Teacher whose every attempt passes the meter."""
    return _Budgeted(teacher, meter)


class _Budgeted:
    def __init__(self, inner: Teacher, meter: Meter) -> None:
        self._inner, self._meter = inner, meter

    async def complete(self, request: Request) -> Sequence[str]:
        meter = self._meter
        if not meter.capped:
            return await self._inner.complete(request)
        most = dearest(request, meter.price)
        await meter.reserve(most)
        try:
            left = meter.wall_left_s()
            async with asyncio.timeout(left if left < float("inf") else None):
                texts = await self._inner.complete(request)
        except TimeoutError:
            await meter.settle(most, most, lost=True)
            raise BudgetError(meter._message("wall_s", most)) from None
        except AttemptError as error:
            used = most if error.charged else Spend()
            await meter.settle(most, used, lost=error.charged)
            raise
        except BaseException as error:
            charged = isinstance(error, asyncio.CancelledError)
            await meter.settle(most, most if charged else Spend(), lost=charged)
            raise
        usage = usage_of(texts)
        tokens = usage.prompt_tokens + usage.completion_tokens
        await meter.settle(most, replace(most, calls=1, tokens=tokens, usd=cost(meter.price, usage)))
        return texts
