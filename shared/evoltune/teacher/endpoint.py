"""One server of `teacher.endpoints`: its URL and key, its rate limits, its health.

Invariant: an API key is in a request header and nowhere else: no error, log, journal or recipe shows it.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from yarl import URL

from evoltune import recipe as recipes
from evoltune.errors import RecipeError, TeacherError
from evoltune.teacher.dialects import (
    MAX_COMPLETION_TOKENS,
    MAX_TOKENS,
    QUOTA_USED_UP,
    chat_url,
    completions_url,
    parse_error,
)
from evoltune.teacher.protocol import AttemptError, GivenUpError, Reply
from evoltune.teacher.rate_limit import RateLimiter, retry_after_s

FAILURES_BEFORE_COOLDOWN, COOLDOWN_S, MAX_COOLDOWN_S = 3, 1.0, 30.0
REFUSED = frozenset({400, 404, 405, 413, 415, 422})
"""The request itself is refused. 404 is also "no such model": `retried` ends the run when no request ever succeeds."""
UNUSABLE = frozenset({401, 402, 403})
"""The key or the account is wrong: the endpoint takes no further requests."""


class Endpoint:
    """One server, and what the calls so far have taught about it."""

    def __init__(self, config: recipes.Endpoint, teacher: recipes.Teacher, where: str) -> None:
        """`where` is the key in the recipe, for errors. Raises RecipeError: a bad URL, a key that cannot be read."""
        chat = chat_url(config.url, where)
        self.url, self.completions_url = URL(chat), URL(completions_url(chat))
        self.name = config.url
        self.weight = config.weight
        self._key = read_key(config, where)
        self.headers = {"Content-Type": "application/json"}
        if self._key:
            self.headers["Authorization"] = f"Bearer {self._key}"
        self.limiter = RateLimiter(teacher.requests_per_minute, teacher.tokens_per_minute)
        self.in_flight, self._failures, self.cooldown_until = 0, 0, 0.0
        self.unusable = ""
        """Why no further request is sent here; "" while the endpoint can be used."""
        self.max_tokens_name = MAX_TOKENS

    @property
    def load(self) -> float:
        """Calls in flight with one more, relative to the weight: the next call goes where this is least."""
        return (self.in_flight + 1) / self.weight

    def record_failure(self) -> None:
        """After three failures in a row the endpoint gets no calls for a while, longer with each further failure."""
        self._failures += 1
        if self._failures >= FAILURES_BEFORE_COOLDOWN:
            doublings = min(self._failures - FAILURES_BEFORE_COOLDOWN, 10)  # hundreds of calls can fail at once
            self.cooldown_until = time.monotonic() + min(MAX_COOLDOWN_S, COOLDOWN_S * 2**doublings)

    def record_reply(self, reply: Reply, headers: Mapping[str, str]) -> None:
        """A call was answered."""
        self._failures = 0
        self.limiter.served(reply.usage.completion_tokens, headers)

    def error_of(self, status: int, headers: Mapping[str, str], body: bytes, sent_at: float) -> TeacherError:
        """What a status other than 200 means for the call that was sent at `sent_at`; updates this endpoint's state."""
        message, code = parse_error(body)
        message = message.replace(self._key, "***") if self._key else message  # some servers echo the key
        if status in UNUSABLE or code == QUOTA_USED_UP:
            hint = "check api_key_env or api_key_file" if status in (401, 403) else "check the account"
            self.unusable = f"{self.name}: HTTP {status} {message}: {hint}"
            return AttemptError(f"HTTP {status} {message}", where=self.name)  # another endpoint, or the end
        if status == 429:
            pause = self.limiter.refused(sent_at, headers)
            return AttemptError("HTTP 429", where=self.name, retry_after_s=pause, rate_limited=True)
        if status == 400 and MAX_COMPLETION_TOKENS in message and self.max_tokens_name == MAX_TOKENS:
            self.max_tokens_name = MAX_COMPLETION_TOKENS
            return AttemptError("HTTP 400", where=self.name)
        if status in REFUSED:
            return GivenUpError(f"HTTP {status}", f"{self.name}: {message}")
        self.record_failure()
        pause = min(60.0, retry_after_s(headers))
        return AttemptError(f"HTTP {status}", where=self.name, retry_after_s=pause)


def read_key(config: recipes.Endpoint, where: str) -> str:
    """The API key from its variable or file; "" when the recipe names none. Raises RecipeError."""
    if config.api_key_env:
        key = os.environ.get(config.api_key_env, "").strip()
        if not key:
            raise RecipeError(f"{where}.api_key_env: the environment variable {config.api_key_env!r} is not set")
        return key
    if config.api_key_file:
        path = Path(config.api_key_file).expanduser()
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{where}.api_key_file: {str(path)!r} cannot be read: {error}") from None
    return ""
