"""Repeats failed attempts: jittered backoff, Retry-After, and the difference between one lost call and a dead teacher.

Invariant: a call is given up (`GivenUpError`) only while others succeed. When none has succeeded during the later half of
this call's attempts, the teacher is dead: `TeacherError` ends the run, with everything finished kept.
"""

import asyncio
import random
from collections.abc import Sequence

from evoltune.errors import TeacherError
from evoltune.teacher.protocol import AttemptError, GivenUpError, Reply, Request, Teacher

FIRST_DELAY_S, MAX_DELAY_S = 0.1, 20.0
EXTRA_RATE_LIMIT_RETRIES = 24  # a 429 says "later", not "broken": it gets more attempts than a fault
FIRST_CONTACT_RETRIES = 4  # while nothing listens and nothing has ever answered: about 1.5 s
MAX_REFUSED_AT_START = 5  # refused requests without any success: a wrong recipe, not bad rows


class Retried:
    """Makes up to 1 + max_retries attempts, and more when it is rate limited."""

    def __init__(self, inner: Teacher, max_retries: int) -> None:
        self._inner, self._max_retries = inner, max_retries
        self._successes = self._refused = 0

    async def complete(self, request: Request) -> Reply:
        successes_seen: list[int] = []  # of all calls so far, at each failure of this call
        faults = rate_limited = 0
        while True:
            try:
                reply = await self._inner.complete(request)
            except AttemptError as error:
                faults, rate_limited = faults + (not error.rate_limited), rate_limited + error.rate_limited
                successes_seen.append(self._successes)
                if self._is_last(error, faults, rate_limited):
                    raise self._final_error(error, successes_seen) from error
                await asyncio.sleep(delay_s(faults, error.retry_after_s))
            except GivenUpError as error:
                self._refused += 1
                if self._successes == 0 and self._refused >= MAX_REFUSED_AT_START:
                    raise TeacherError(
                        f"the teacher refused the first {self._refused} requests and served none ({error}): "
                        "check teacher.model and the decoding options"
                    ) from error
                raise
            else:
                self._successes += 1
                return reply

    def _is_last(self, error: AttemptError, faults: int, rate_limited: int) -> bool:
        retries = self._max_retries
        if error.unreachable and not self._successes:
            retries = min(retries, FIRST_CONTACT_RETRIES)
        return faults > retries or rate_limited > self._max_retries + EXTRA_RATE_LIMIT_RETRIES

    def _final_error(self, error: AttemptError, successes_seen: Sequence[int]) -> TeacherError:
        attempts = len(successes_seen)
        if self._successes > successes_seen[(attempts - 1) // 2]:
            return GivenUpError(error.reason, f"{error.where}, {attempts} attempts")
        return TeacherError(
            f"the teacher does not answer: {error}, {attempts} attempts, no other call succeeded meanwhile: "
            "start or fix the server and run again; everything finished is kept"
        )


def delay_s(faults: int, retry_after_s: float) -> float:
    """Seconds to wait: what the server asked for, or a random half to whole of a doubling window, whichever is longer."""
    window = min(MAX_DELAY_S, FIRST_DELAY_S * 2 ** max(0, faults - 1))
    return max(retry_after_s, random.uniform(window / 2, window) if faults else 0.0)
