"""Adaptive rate limits of one endpoint: requests and tokens per minute, learnt from headers and 429s.

Calls leave one by one in order of arrival; each moves the next slot by 1/rate (GCRA). While nothing is known the start is
ramped, so that a hidden limit answers its first 429 before a whole burst is out. A 429 pauses the endpoint as long as the
server asks and lowers the rate to what was served; after a quiet time the rate grows, fast far below the last limit and
slowly near it. Sparse 429s that keep coming however slow the pace is are noise: those calls are retried, the pace stays.
Invariant: no call leaves while the endpoint is paused.
"""

import asyncio
import math
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime

from evoltune.teacher.notices import SAID_EVERY_S, SAID_FROM_S, clock_after, say

START_RATE = 1500.0  # calls a second until RAMP_REPLIES have come; 256 calls are out after 0.17 s
RAMP_REPLIES = 64
MARGIN = 0.97
SERVED_WINDOW_S = 4.0  # the served rate is measured over this time
QUIET_S = 2.0  # no growth for this time after a lowering; a 429 within it means that the limit fell, or noise
GROW_EVERY_S, GROW_FAST, GROW_SLOWLY = 0.5, 1.25, 1.0125
NOISE_AFTER, NOISE_SHARE, LIMIT_SHARE = 3, 0.15, 0.25
MAX_PAUSE_S, FIRST_PAUSE_S = 30.0, 4.0
"""The longest pause that is taken without being asked for; the second while nothing was served: then a run ends soon (`retry`)."""
MAX_ASKED_S = 1e8  # three years: more than a run waits, and still a time that a clock can show
UNLIMITED = float("inf")


class RateLimiter:
    """Paces the calls to one endpoint."""

    def __init__(
        self, rpm: int = 0, tpm: int = 0, clock: Callable[[], float] = time.monotonic, *, name: str = ""
    ) -> None:
        """rpm, tpm: the recipe's caps on requests and tokens a minute; 0: learn them. name: of the endpoint, for what is said."""
        self._clock, self._name, self._said_at = clock, name, -SAID_EVERY_S
        self._max_rate = rpm / 60 if rpm else UNLIMITED
        self._rate = self._max_rate
        self._max_token_rate = tpm / 60 if tpm else UNLIMITED
        self._token_rate = self._max_token_rate
        self._next = self._next_by_tokens = self._paused_until = 0.0
        self._turn = asyncio.Lock()
        self._accepted: deque[float] = deque(maxlen=4096)
        """When the calls left that were not refused (so far)."""
        self._served_total = 0
        self._lowered_at = self._grown_at = 0.0
        self._last_limit = UNLIMITED
        self._lowerings = self._early = self._served_between_early = self._served_since_lowering = 0
        self._is_noise, self._share_of_429 = False, 0.0
        self._tokens_per_call = 0.0

    @property
    def rate(self) -> float:
        """Calls a second that leave now; infinite while nothing limits them."""
        return min(self._rate, START_RATE) if self._served_total < RAMP_REPLIES else self._rate

    async def admit(self, prompt_tokens: int) -> float:
        """Waits for this call's slot, in order of arrival; returns the time at which it leaves."""
        if self._is_free(now := self._clock()):
            self._accepted.append(now)
            return now
        async with self._turn:
            while (at := self.ready_at()) > (now := self._clock()):
                self._say_wait(at - now)
                await asyncio.sleep(at - now)
            return self.leave(prompt_tokens)

    def _say_wait(self, seconds: float) -> None:
        """Says so where a known limit, and no 429, makes the next call wait for long."""
        now = self._clock()
        if seconds < SAID_FROM_S or self._paused_until > now or now - self._said_at < SAID_EVERY_S:
            return
        self._said_at = now
        limit = (
            f"{60 * self.rate:.3g} requests"
            if self._next >= self._next_by_tokens
            else f"{60 * self._token_rate:.3g} tokens"
        )
        say(f"waiting until {clock_after(seconds)} for the next call to {self._name}: its limit is {limit} a minute")

    def _is_free(self, now: float) -> bool:
        unlimited = self._rate == UNLIMITED == self._token_rate and self._served_total >= RAMP_REPLIES
        return unlimited and now >= self._paused_until and not self._turn.locked()

    def ready_at(self) -> float:
        """The earliest time at which the next call may leave."""
        return max(self._next, self._next_by_tokens, self._paused_until)

    def leave(self, prompt_tokens: int = 0) -> float:
        """Takes the slot; returns the time."""
        now = self._clock()
        # A slot missed by less than a timer's resolution is made up for, else the pace drops below the rate.
        self._next = max(self._next, now - 0.02) + 1 / self.rate
        if self._token_rate < UNLIMITED:
            tokens = prompt_tokens + self._tokens_per_call
            self._next_by_tokens = max(self._next_by_tokens, now - 0.5) + tokens / self._token_rate
        self._accepted.append(now)
        return now

    def served(self, completion_tokens: int, headers: Mapping[str, str]) -> None:
        """A call was answered."""
        now = self._clock()
        self._served_total += 1
        self._tokens_per_call += (completion_tokens - self._tokens_per_call) / min(self._served_total, 50)
        self._served_since_lowering += 1
        self._share_of_429 -= self._share_of_429 / 50
        quiet = now - max(self._lowered_at + QUIET_S, self._grown_at) > GROW_EVERY_S
        if self._lowerings and self._rate < self._max_rate and quiet:
            self._grown_at = now
            factor = GROW_FAST if self._rate < 0.9 * self._last_limit else GROW_SLOWLY
            self._rate = min(self._max_rate, self._rate * factor)
        if "x-ratelimit-remaining-requests" in headers:
            self._read_headers(headers)

    def refused(self, left_at: float, headers: Mapping[str, str], asked_s: float | None = None) -> float:
        """A 429 came back for the call that left at `left_at`; `asked_s`: how long it asks to wait, where that is known
        from elsewhere than its headers. Returns the seconds that this call must wait."""
        now = self._clock()
        asked_s = retry_after_s(headers) if asked_s is None else asked_s
        self._share_of_429 += (1 - self._share_of_429) / 50
        with suppress(ValueError):
            self._accepted.remove(left_at)
        if self._is_noise and self._share_of_429 < LIMIT_SHARE:
            return asked_s
        if left_at >= self._lowered_at:  # calls that were in flight together lower the rate once
            self._lower(now, asked_s)
        return max(0.0, self._paused_until - now)

    def _lower(self, now: float, asked_s: float) -> None:
        if self._lowerings > 0 and now - self._lowered_at < QUIET_S:
            self._early += 1
            self._served_between_early += self._served_since_lowering
        else:
            self._early = self._served_between_early = 0
        if NOISE_AFTER <= self._early <= NOISE_SHARE * (self._early + self._served_between_early):
            self._is_noise, self._rate, self._early = True, self._max_rate, 0
            return
        self._is_noise = False
        self._rate = self._lowered_rate(now)
        self._lowerings += 1
        self._served_since_lowering = 0
        longest = MAX_PAUSE_S if self._served_total else FIRST_PAUSE_S
        pause = asked_s or min(longest, 0.25 * 2 ** min(7, self._early))
        self._paused_until = max(self._paused_until, now + pause)
        self._next = self._lowered_at = self._paused_until

    def _lowered_rate(self, now: float) -> float:
        recent = [t for t in self._accepted if t > now - SERVED_WINDOW_S]
        served = len(recent) / max(1.0, now - recent[0]) if recent else 1.0
        if self._rate == UNLIMITED:
            self._last_limit = 1.1 * served if len(recent) >= 20 else UNLIMITED
            return MARGIN * max(served, 1.0)
        self._last_limit = self._rate
        floor = 0.85 if self._share_of_429 < 0.1 else 0.5
        return max(min(0.95 * self._rate, max(0.98 * served, floor * self._rate)), 1 / 60)

    def _read_headers(self, headers: Mapping[str, str]) -> None:
        if (limit := _limit_per_s(headers, "requests")) is not None:
            self._max_rate = min(self._max_rate, limit)
            self._rate = min(self._rate, self._max_rate)
        if (limit := _limit_per_s(headers, "tokens")) is not None:
            self._token_rate = min(self._max_token_rate, limit)


def _limit_per_s(headers: Mapping[str, str], kind: str) -> float | None:
    """The limit on requests or tokens that the headers state, a second; None when they do not state one per minute."""
    limit = _number(headers.get(f"x-ratelimit-limit-{kind}"))
    remaining = _number(headers.get(f"x-ratelimit-remaining-{kind}"))
    reset_s = duration_s(headers.get(f"x-ratelimit-reset-{kind}", ""))
    if not limit or limit < 1 or remaining is None or not reset_s:
        return None
    # The limit is per minute, unless the reset says that it refills much faster.
    return limit / 60 if (limit - remaining) / reset_s <= 3 * limit / 60 else None


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration_s(text: str) -> float:
    """`6m0s`, `120ms` or `1.5` in seconds; 0 for anything else."""
    if (plain := _number(text)) is not None:
        return max(0.0, plain)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    return sum(float(n) * _UNITS[unit] for n, unit in parts)


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds that the server asks to wait: `retry-after-ms`, else `Retry-After` as seconds, as `1m30s` or as a date, else the time at
    which an exhausted limit is reset (`X-RateLimit-Reset` since 1970, in s or ms); 0: nothing."""
    if ms := _number(headers.get("retry-after-ms")):
        return _asked(ms / 1000)
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+", text, re.ASCII):
        return _asked(duration_s(text))
    if (seconds := _number(text)) is not None:
        return _asked(seconds)
    try:
        if text:
            return _asked(parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        pass
    reset = _number(headers.get("x-ratelimit-reset"))
    if reset and reset > 1e9 and _number(headers.get("x-ratelimit-remaining")) == 0:
        return _asked((reset / 1000 if reset > 1e11 else reset) - time.time())
    return 0.0


def _asked(seconds: float) -> float:
    return min(max(0.0, seconds), MAX_ASKED_S)
