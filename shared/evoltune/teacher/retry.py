"""Tries an attempt again: jittered backoff, Retry-After, and the line between one lost call and a dead teacher.

Invariant: a call is given up (`GivenUpError`) only while others succeed; when none has succeeded during the later half
of this call's attempts, the teacher is dead and `TeacherError` ends the run, with everything finished kept.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from evoltune.errors import TeacherError
from evoltune.teacher.protocol import AttemptError, GivenUpError, Request, Teacher

FIRST_DELAY_S, MAX_DELAY_S = 0.1, 20.0
LIMITED_EXTRA = 24  # a 429 says "later", not "broken": it gets more tries than a fault
FIRST_CONTACT = 4  # retries while nothing listens and nothing ever answered: about 1.5 s
HOPELESS = 5  # refused requests with no success at all: a wrong recipe, not bad rows


def retried(teacher: Teacher, max_retries: int) -> Teacher:
    """A Teacher that makes up to 1 + max_retries attempts (more for rate limits)."""
    return _Retried(teacher, max_retries)


class _Retried:
    def __init__(self, inner: Teacher, max_retries: int) -> None:
        self._inner, self._max_retries = inner, max_retries
        self._successes = self._refused = 0

    async def complete(self, request: Request) -> Sequence[str]:
        others: list[int] = []  # successes of all calls so far, at each of this call's failures
        faults = limited = 0
        while True:
            try:
                texts = await self._inner.complete(request)
            except AttemptError as error:
                faults, limited = faults + (not error.limited), limited + error.limited
                others.append(self._successes)
                patience = self._max_retries
                if error.unreachable and not self._successes:
                    patience = min(patience, FIRST_CONTACT)
                if faults > patience or limited > self._max_retries + LIMITED_EXTRA:
                    raise self._end(error, others) from error
                await asyncio.sleep(delay_s(faults, error.retry_after_s))
            except GivenUpError as error:
                self._refused += 1
                if self._successes == 0 and self._refused >= HOPELESS:
                    raise TeacherError(
                        f"the teacher refused the first {self._refused} requests and served none ({error}): "
                        "check teacher.model and the decoding options"
                    ) from error
                raise
            else:
                self._successes += 1
                return texts

    def _end(self, error: AttemptError, others: list[int]) -> TeacherError:
        attempts = len(others)
        if self._successes > others[(attempts - 1) // 2]:
            return GivenUpError(error.reason, f"{error.where}, {attempts} attempts")
        return TeacherError(
            f"the teacher does not answer: {error}, {attempts} attempts, no other call succeeded meanwhile: "
            "start or mend the server and run again; everything finished is kept"
        )


def delay_s(faults: int, retry_after_s: float) -> float:
    """Seconds to wait: what the server asked for, or full jitter over a doubling window, whichever is longer."""
    window = min(MAX_DELAY_S, FIRST_DELAY_S * 2 ** max(0, faults - 1))
    return max(retry_after_s, random.uniform(window / 2, window) if faults else 0.0)
