"""Repeats failed attempts: jittered backoff, Retry-After, and the difference between one lost call and a dead teacher.

    teacher = Retried(engine, max_retries=8, max_wait_s=600)

A server that asks to wait (429, 503) is waited for, up to `max_wait_s` without any reply, and that is said; other faults are
repeated `max_retries` times. Then one small probe decides. Invariant: a call is given up (`GivenUpError`) only when it failed
once more after the teacher had served the probe; when the probe fails too, `TeacherError` ends the run, with everything
finished kept.
"""

import asyncio
import random
import time
from collections.abc import Callable

from evoltune.errors import TeacherError
from evoltune.teacher.notices import SAID_EVERY_S, SAID_FROM_S, clock_after, say, span
from evoltune.teacher.protocol import AttemptError, GivenUpError, Reply, Request, Teacher, probe_of

FIRST_DELAY_S, MAX_DELAY_S = 0.1, 20.0
FIRST_CONTACT_RETRIES = 4  # while nothing listens, or no completion comes, and none has ever come: about 1.5 s
SILENT_429_S = 10.0  # a server that has served nothing yet, refuses with 429 and does not say until when
FAILED_PROBE_S = 5.0  # a probe that failed speaks for the calls that fail within this time


class Retried:
    """Makes up to 1 + max_retries attempts, and waits for a server that asks for it."""

    def __init__(
        self, inner: Teacher, max_retries: int, max_wait_s: float = 600.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._inner, self._max_retries, self._max_wait_s, self._clock = inner, max_retries, max_wait_s, clock
        self._successes = 0
        self._served_at = 0.0
        """When the last call that was served had left."""
        self._waiting_since = 0.0
        """Since when the server asks to wait, without a reply in between; 0: it does not."""
        self._said_at = -SAID_EVERY_S
        self._probing = asyncio.Lock()
        self._probed_at = 0.0
        self._probe_error: AttemptError | None = None

    async def complete(self, request: Request) -> Reply:
        attempts = faults = 0
        was_probed = False
        while True:
            left_at = self._clock()
            try:
                reply = await self._inner.complete(request)
            except AttemptError as error:
                asks_to_wait = error.rate_limited or error.busy
                if asks_to_wait:
                    self._check_wait(error)
                attempts, faults = attempts + 1, faults + (not error.rate_limited)
                if was_probed:  # and failed all the same
                    raise GivenUpError(
                        error.reason, f"{error.where}: {error.detail or error.reason}, {attempts} attempts"
                    ) from error
                if self._is_last(error, faults):
                    was_probed = await self._is_served(request, error, attempts)
                if not was_probed:
                    await self._sleep(error, delay_s(faults, error.retry_after_s))
            else:
                self._successes += 1
                self._served_at, self._waiting_since = max(self._served_at, left_at), 0.0
                return reply

    def _is_last(self, error: AttemptError, faults: int) -> bool:
        retries = self._max_retries
        if (error.unreachable or error.strange) and not self._successes:
            retries = min(retries, FIRST_CONTACT_RETRIES)
        return faults > retries

    async def _is_served(self, request: Request, error: AttemptError, attempts: int) -> bool:
        """Whether the teacher serves others now, so that one more attempt decides about this call; False while it only asks
        to wait. Raises TeacherError when it serves nothing."""
        failed = error if error.unreachable else await self._probe(request)
        if failed is None:
            return True
        if not (failed.rate_limited or failed.busy):
            raise TeacherError(
                f"the teacher does not answer: {error}, {attempts} attempts, nor was any other call served: "
                "start or fix the server and run again; everything finished is kept"
            )
        self._check_wait(failed)
        return False

    async def _probe(self, request: Request) -> AttemptError | None:
        """Sends a small test request with the same options; returns its error, or None if it succeeds. Calls that fail at the same time share
        one test."""
        since = self._clock()
        if self._served_at > since:
            return None
        async with self._probing:
            is_news = self._probe_error is not None and since - self._probed_at < FAILED_PROBE_S
            if self._probed_at < since and not is_news:
                self._probed_at = self._clock()
                try:
                    await self._inner.complete(probe_of(request))
                    self._probe_error = None
                except GivenUpError:
                    self._probe_error = None
                except AttemptError as error:
                    self._probe_error = error
            return self._probe_error

    def _check_wait(self, error: AttemptError) -> None:
        """Raises TeacherError when the run has waited, or would have to wait, longer than it may."""
        now = self._clock()
        self._waiting_since = self._waiting_since or now
        waited = now - self._waiting_since
        if waited + error.retry_after_s > self._max_wait_s:
            raise TeacherError(
                f"{error}: nothing was served for {span(waited)} (teacher.max_wait_s: {self._max_wait_s:g}): run the same "
                "command again later; everything finished is kept"
            )
        if error.rate_limited and not error.busy and not self._successes and waited > SILENT_429_S:
            raise TeacherError(
                f"{error}: the server has refused every request for {span(waited)} and does not say until when: check the "
                "account, then run the same command again"
            )

    async def _sleep(self, error: AttemptError, seconds: float) -> None:
        """Sleeps; says so when the run waits for long."""
        now = self._clock()
        waited = now - self._waiting_since if self._waiting_since else 0.0
        if (seconds >= SAID_FROM_S or waited >= SAID_FROM_S) and now - self._said_at >= SAID_EVERY_S:
            self._said_at = now
            limit = f" (teacher.max_wait_s: {self._max_wait_s:g})" if self._waiting_since else ""
            say(f"waiting until {clock_after(seconds)} for {error}{limit}")
        await asyncio.sleep(seconds)


def delay_s(faults: int, retry_after_s: float) -> float:
    """Seconds to wait: what the server asked for, or a random half to whole of a doubling window, whichever is longer."""
    window = min(MAX_DELAY_S, FIRST_DELAY_S * 2 ** max(0, faults - 1))
    return max(retry_after_s, random.uniform(window / 2, window) if faults else 0.0)
