"""Adaptive rate limits of one endpoint: requests and tokens per minute, learnt from headers and 429s.

Calls pass one by one in order (GCRA: each moves the next slot by 1/rate). Without knowledge the start is ramped, so that a
hidden limit answers its first 429 before a whole burst is out. A 429 pauses as told and cuts the rate to what was served;
after a quiet time the rate grows, fast far below the last cut and slowly near it. 429s that keep coming, sparsely, however
slow the pace, are noise: they are retried and no longer pace anything. Invariant: no call leaves while the endpoint is paused.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime

START_RATE = 1500.0  # calls a second until the first WARM replies; 256 calls are out after 0.17 s
WARM = 64
MARGIN = 0.97
WINDOW_S = 4.0  # what was served is measured over this much
QUIET_S = (
    2.0  # no growth for so long after a cut: a 429 in this time is not our pace's fault, or the limit fell
)
GROW_EVERY_S, FAST, SLOW = 0.5, 1.25, 1.0125
NOISE_CUTS, NOISE_SHARE, LIMIT_SHARE = 3, 0.15, 0.25


class Limiter:
    """Paces the calls to one endpoint. `rpm`, `tpm`: the recipe's caps, 0: learn."""

    def __init__(self, rpm: int = 0, tpm: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._cap = rpm / 60 if rpm else float("inf")
        self._rate = self._cap
        self._token_rate = tpm / 60 if tpm else float("inf")
        self._token_cap = self._token_rate
        self._next = self._next_tokens = self._paused_until = 0.0
        self._turn = asyncio.Lock()
        self._accepted: deque[float] = deque(maxlen=4096)
        """When calls left that were not refused (so far)."""
        self._served_total = 0
        self._cut_at = self._grown_at = 0.0
        self._ceiling = float("inf")
        self._cuts = self._early = self._early_calls = self._since_cut = self._barren = 0
        self._noisy, self._share = False, 0.0
        self._tokens_per_call = 0.0

    @property
    def rate(self) -> float:
        """Calls a second that leave now; infinite while nothing limits them."""
        return min(self._rate, START_RATE) if self._served_total < WARM else self._rate

    async def admit(self, prompt_tokens: int) -> float:
        """Waits for this call's slot, in order of arrival; returns the time it left."""
        if self._free(now := self._clock()):
            self._accepted.append(now)
            return now
        async with self._turn:
            while (at := self.ready_at()) > (now := self._clock()):
                await asyncio.sleep(at - now)
            return self.leave(prompt_tokens)

    def _free(self, now: float) -> bool:
        unlimited = self._rate == float("inf") == self._token_rate and self._served_total >= WARM
        return unlimited and now >= self._paused_until and not self._turn.locked()

    def ready_at(self) -> float:
        """When the next call may leave."""
        return max(self._next, self._next_tokens, self._paused_until)

    def leave(self, prompt_tokens: int = 0) -> float:
        """Takes the slot; returns the time."""
        now = self._clock()
        # A slot missed by less than a timer's grain is caught up, else the pace sags below the rate.
        self._next = max(self._next, now - 0.02) + 1 / self.rate
        if self._token_rate < float("inf"):
            need = prompt_tokens + self._tokens_per_call
            self._next_tokens = max(self._next_tokens, now - 0.5) + need / self._token_rate
        self._accepted.append(now)
        return now

    def served(self, completion_tokens: int, headers: Mapping[str, str]) -> None:
        """A call was answered."""
        now = self._clock()
        self._served_total += 1
        self._tokens_per_call += (completion_tokens - self._tokens_per_call) / min(self._served_total, 50)
        self._since_cut += 1
        self._share -= self._share / 50
        if (
            self._cuts
            and self._rate < self._cap
            and now - max(self._cut_at + QUIET_S, self._grown_at) > GROW_EVERY_S
        ):
            self._grown_at = now
            self._rate = min(self._cap, self._rate * (FAST if self._rate < 0.9 * self._ceiling else SLOW))
        if "x-ratelimit-remaining-requests" in headers:
            self._read_headers(headers)

    def refused(self, left_at: float, headers: Mapping[str, str]) -> float:
        """A 429 came back for the call that left at `left_at`. Returns the seconds that this call must wait."""
        now = self._clock()
        told = retry_after_s(headers)
        self._share += (1 - self._share) / 50
        with suppress(ValueError):
            self._accepted.remove(left_at)
        if self._noisy and self._share < LIMIT_SHARE:
            return told
        if left_at >= self._cut_at:  # one cut for all calls that were in flight together
            self._cut(now, told)
        return max(0.0, self._paused_until - now)

    def _cut(self, now: float, told: float) -> None:
        early = self._cuts > 0 and now - self._cut_at < QUIET_S
        self._early, self._early_calls = (
            (self._early + 1, self._early_calls + self._since_cut) if early else (0, 0)
        )
        if self._early >= NOISE_CUTS and self._early <= NOISE_SHARE * (self._early + self._early_calls):
            self._noisy, self._rate, self._early = True, self._cap, 0
            return
        self._noisy = False
        self._rate = self._lower(now)
        self._cuts += 1
        self._since_cut = 0
        self._paused_until = max(
            self._paused_until, now + (told or min(30.0, 0.25 * 2 ** min(7, self._early)))
        )
        self._next = self._cut_at = self._paused_until

    def _lower(self, now: float) -> float:
        recent = [t for t in self._accepted if t > now - WINDOW_S]
        seen = len(recent) / max(1.0, now - recent[0]) if recent else 1.0
        if self._rate == float("inf"):
            self._ceiling = 1.1 * seen if len(recent) >= 20 else float("inf")
            return MARGIN * max(seen, 1.0)
        self._ceiling = self._rate
        floor = 0.85 if self._share < 0.1 else 0.5
        return max(min(0.95 * self._rate, max(0.98 * seen, floor * self._rate)), 1 / 60)

    def _read_headers(self, headers: Mapping[str, str]) -> None:
        remaining = _number(headers.get("x-ratelimit-remaining-requests"))
        limit = _number(headers.get("x-ratelimit-limit-requests"))
        reset = duration_s(headers.get("x-ratelimit-reset-requests", ""))
        if remaining is None:
            return
        # The limit is taken as per minute unless the reset says that it refills much faster.
        if limit and reset and (limit - remaining) / reset <= 3 * limit / 60:
            self._rate = min(self._rate, self._cap, limit / 60)
            self._cap = min(self._cap, limit / 60)
        tokens = _number(headers.get("x-ratelimit-limit-tokens"))
        left = _number(headers.get("x-ratelimit-remaining-tokens"))
        token_reset = duration_s(headers.get("x-ratelimit-reset-tokens", ""))
        if tokens and left is not None and token_reset and (tokens - left) / token_reset <= 3 * tokens / 60:
            self._token_rate = min(self._token_cap, tokens / 60)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration_s(text: str) -> float:
    """`6m0s`, `120ms`, `1.5` in seconds; 0 when it is none of these."""
    if (plain := _number(text)) is not None:
        return max(0.0, plain)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    return sum(float(n) * _UNITS[unit] for n, unit in parts)


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds that the server asks to wait: `retry-after-ms`, else `Retry-After` as seconds or as a date; 0: silent."""
    if ms := _number(headers.get("retry-after-ms")):
        return ms / 1000
    text = headers.get("Retry-After", "")
    if (seconds := _number(text)) is not None:
        return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time()) if text else 0.0
    except ValueError:
        return 0.0
