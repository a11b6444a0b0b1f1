"""One OpenAI-compatible server: how a request is put to it, what its replies mean, and what was learnt about it.

A refusal is a fault of the row, of the parameters, or of the run; which of them is found out as `negotiation` says.
Invariants: a secret is in a request and nowhere else (no error, log, journal or recipe shows it, and what a server sends back of
it is cut out); a redirect is never followed, so no other host receives secret or prompt.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import orjson

from evoltune import recipe as recipes
from evoltune.run.store import Store
from evoltune.teacher.access import access_of
from evoltune.teacher.attempts import Attempts
from evoltune.teacher.bodies import unpacked
from evoltune.teacher.connections import (
    MAX_BODY_BYTES,
    ConnectionLostError,
    Connections,
    HttpReply,
    NotHttpError,
    ProxyRefusedError,
    Target,
    TooLargeError,
    UnreachableError,
)
from evoltune.teacher.dialects import HTTP_DIALECTS_NOTE, Dialect, describe, is_raw, until_stop
from evoltune.teacher.negotiation import (
    Gate,
    SettingRefusedError,
    mentioned_in,
    named_in,
    search,
    shape_of,
    without_mentioned,
    without_named,
)  # fmt: skip
from evoltune.teacher.notices import clock_after, say, span
from evoltune.teacher.protocol import AttemptError, GivenUpError, Reply, Request, probe_of
from evoltune.teacher.rate_limit import RateLimiter, retry_after_s
from evoltune.teacher.refusals import MAX_MESSAGE, ServerError, read_error, said_instead
from evoltune.teacher.replies import FailedReply, parse_reply
from evoltune.teacher.window import Window
from evoltune.text.unicode import clean, without_surrogates

FAILURES_BEFORE_COOLDOWN, COOLDOWN_S, MAX_COOLDOWN_S = 3, 1.0, 30.0
LATER = {408, 409, 424, 425, 429, 498, 499}
"""Statuses below 500 that are no refusal: the same request may succeed later."""
NOT_IMPLEMENTED, OVERLOADED = 501, 529
BUSY = {498, 503, OVERLOADED}  # 498: no capacity (Groq)
PROBE_ATTEMPTS = 4
SHORT_S = 4.0
"""So long after the last reply, an account that is said to be used up may be a limit for each minute."""


class Refusal(Exception):
    """The server took note of the request and did not serve it."""

    def __init__(self, error: ServerError) -> None:
        super().__init__(str(error))
        self.error = error


def _place(location: str) -> str:
    """Where a redirect leads, without a query, which may hold a secret."""
    try:
        target = urlsplit(without_surrogates(location))
    except ValueError:  # brackets without an address
        return "another place"
    return (f"{target.scheme}://{target.netloc}{target.path}" if target.netloc else target.path) or "another place"


class Endpoint:
    """One server, and what the calls so far have taught about it."""

    def __init__(
        self, config: recipes.Endpoint, teacher: recipes.Teacher, where: str, connections: Connections,
        attempts: Attempts, store: Store | None = None,
    ) -> None:  # fmt: skip
        """`where` is the key in the recipe, for errors. Raises RecipeError: a bad URL, a key that cannot be read."""
        self.access = access_of(config, teacher, where)
        self.name, self.weight = self.access.name, config.weight
        self._connections, self._attempts, self._store = connections, attempts, store
        self._max_wait_s = teacher.max_wait_s
        self.limiter = RateLimiter(teacher.requests_per_minute, teacher.tokens_per_minute, name=self.name)
        self._window = Window(teacher.concurrency)
        self.in_flight, self._failures, self.cooldown_until = 0, 0, 0.0
        self._short_since = 0.0
        """Since when 429s speak of the account, without a reply in between; 0: they do not."""
        self.unusable = self.access.lacks
        """Why no further request is sent here; "" while the endpoint can be used."""
        self._gate, self._resolving = Gate(), asyncio.Lock()
        self._served: set[tuple[str, float | None]] = set()
        """Temperatures and the like with which something was served."""
        self._probed_at: dict[object, float] = {}
        """When a probe of this shape that was served had left."""
        self._key = f"{self.name} {teacher.model}"
        self.dialect = self._remembered()
        self._announced = self.dialect
        if line := describe(self.dialect):
            say(f"{self.name}: {line} (learnt earlier in this run)")

    @property
    def load(self) -> float:
        """Calls in flight with one more, relative to the weight: the next call goes where this is least."""
        return (self.in_flight + 1) / self.weight

    async def complete(self, request: Request) -> Reply:
        """One attempt, in the dialect that this server takes. Raises AttemptError, GivenUpError, TeacherError."""
        shape = shape_of(request)
        async with self._window:
            if self._gate.is_open(shape):
                return await self._served_by(request)
            async with self._gate.turn(shape):
                return await self._served_by(request)

    async def _served_by(self, request: Request) -> Reply:
        """Asks until the request is served, or it is clear whose fault it is that it is not."""
        trial: Dialect | None = None
        dialect = self.dialect
        while True:
            if self.unusable:
                raise AttemptError(self.unusable)  # another endpoint, or the end
            is_another = trial is not None and trial != dialect
            dialect = trial or self.dialect
            try:
                reply = await self._send(request, dialect)
            except Refusal as refusal:
                if trial is not None:
                    raise self._given_up(refusal.error) from None
                trial = await self._resolve(request, refusal.error, dialect)
            except AttemptError as error:
                if not error.answered:
                    self._gate.accept(shape_of(request))  # nothing can be learnt from it
                raise
            else:
                self.dialect = dialect if is_another else self.dialect
                self._gate.accept(shape_of(request))
                self._served |= {("temperature", request.temperature), ("top_p", request.top_p)}
                self._remember()
                return reply

    # ---- one HTTP request

    async def _send(self, request: Request, dialect: Dialect, *, is_bare: bool = False) -> Reply:
        """One request, reserved in the budget. Raises Refusal, AttemptError, GivenUpError."""
        if "n" in dialect.left_out and request.n > 1:
            request = replace(request, n=1)
        body = self._body(request, dialect, is_bare)
        reply = await self._attempts.make(request, lambda: self._post(request, body), self._key)
        if request.stop and "stop" in dialect.left_out:
            reply = replace(reply, texts=tuple(until_stop(text, request.stop) for text in reply.texts))
        return reply

    def _body(self, request: Request, dialect: Dialect, is_bare: bool) -> dict[str, Any]:
        body = dialect.body(request, self.access.extra_of(request))
        return {k: body[k] for k in ("model", "messages", "prompt") if k in body} if is_bare else body

    async def _post(self, request: Request, body: Mapping[str, Any]) -> Reply:
        sent_at = await self.limiter.admit(sum(len(c) for _, c in request.messages) // 4)
        target = self.access.completions_target if is_raw(request) else self.access.target
        status, headers, content = await self._exchange(target, orjson.dumps(body))
        content = self.access.without_secrets(unpacked(content, MAX_BODY_BYTES))
        if not 200 <= status < 300:
            raise self._fault(read_error(status, content), headers, sent_at)
        try:
            reply = parse_reply(content, request)
        except FailedReply as failed:
            raise self._fault(failed.error, headers, sent_at, is_inside=True) from None
        except ValueError as error:
            said = said_instead(content)
            raise AttemptError(
                str(error), where=self.name, detail=said, charged=True, answered=True, strange=bool(said)
            ) from None
        self._failures, self._short_since = 0, 0.0
        self.limiter.served(reply.usage.completion_tokens, headers)
        self._window.served()
        return reply

    async def _exchange(self, target: Target, data: bytes) -> HttpReply:
        began = time.monotonic()
        try:
            return await self._connections.request(target, data=data)
        except UnreachableError as error:  # nothing left this machine
            self._record_failure()
            raise AttemptError(f"cannot connect ({error}): {self._hint()}", where=self.name, unreachable=True) from None
        except ProxyRefusedError as error:
            self._record_failure()
            raise AttemptError(f"the proxy answers {error}", where=self.name, unreachable=True) from None
        except TimeoutError:
            if lower := self._window.timed_out(began):
                say(f"{self.name}: calls time out: going on with {lower} at once (it grows again when they are served)")
            raise AttemptError("timed out", where=self.name, charged=True) from None
        except TooLargeError:
            said = f"a reply of more than {MAX_BODY_BYTES >> 20} MiB: is it an OpenAI-compatible server?"
            raise AttemptError(said, where=self.name, charged=True, answered=True) from None
        except NotHttpError as error:
            self._record_failure()
            said = self.access.without_secrets(clean(str(error)).encode()[:MAX_MESSAGE]).decode(errors="replace")
            raise AttemptError(f"the reply cannot be read: {said}", where=self.name, charged=True) from None
        except (ConnectionLostError, OSError) as error:
            self._record_failure()
            raise AttemptError(f"connection lost ({error})", where=self.name, charged=True) from None

    def _hint(self) -> str:
        if self.access.proxy:
            return f"by the proxy {urlsplit(self.access.proxy).hostname} of the environment (add the server's host to NO_PROXY to go round it)"
        return "is a server running there? e.g. `vllm serve MODEL`, or `llama-server -m FILE`"

    # ---- what an error means

    def _fault(
        self, error: ServerError, headers: Mapping[str, str], sent_at: float, *, is_inside: bool = False
    ) -> Exception:
        """The exception for an error reply to the request that was sent at `sent_at`; updates this endpoint's state. is_inside:
        it came inside HTTP 200."""
        asked_s = max(retry_after_s(headers), error.retry_after_s)
        if 300 <= error.status < 400:
            where = _place(headers.get("location", ""))
            return self._stop(error, f"it redirects to {where}, and a key is never sent on: set the url")
        if error.status == 401:
            return self._stop(error, "check api_key_env or api_key_file")
        if error.is_account and not self._may_be_a_limit(error, asked_s):
            return self._stop(error, "check the account")
        if asked_s > self._max_wait_s:
            until = f"asks to wait {span(asked_s)}, until {clock_after(asked_s)}"
            return self._stop(error, f"it {until}: run again then, or raise teacher.max_wait_s ({self._max_wait_s:g})")
        if error.is_throttled:
            pause = self.limiter.refused(sent_at, headers, asked_s)
            return AttemptError(
                f"HTTP {error.status}", where=self.name, detail=error.message, retry_after_s=pause, rate_limited=True,
                busy=asked_s > 0, answered=True,
            )  # fmt: skip
        passes = (
            (error.status >= 500 and error.status != NOT_IMPLEMENTED)
            or error.status in LATER
            or (error.is_overloaded and not error.is_content)
        )
        if not passes or error.is_too_long:
            return Refusal(error)
        self._record_failure()
        return AttemptError(
            f"HTTP {error.status}", where=self.name, detail=error.message, retry_after_s=asked_s,
            busy=error.status in BUSY or error.is_overloaded, answered=True, strange=is_inside,
            charged=error.status >= 500 and error.status != OVERLOADED,  # a gateway may answer after the model has generated
        )  # fmt: skip

    def _may_be_a_limit(self, error: ServerError, asked_s: float) -> bool:
        """Whether waiting may help although the error's code speaks of the account: it says until when, or the server has just
        served others. Some name a limit for each minute so (`credit_limit`, `insufficient_quota`)."""
        if error.status != 429:
            return False
        if asked_s and "insufficient_quota" not in error.codes:
            return True
        self._short_since = self._short_since or time.monotonic()
        return bool(self._served) and time.monotonic() - self._short_since < SHORT_S

    def _stop(self, error: ServerError, todo: str) -> AttemptError:
        self.unusable = self.unusable or f"{self.name}: {error}: {todo}"
        return AttemptError(str(error), where=self.name, answered=True)  # another endpoint, or the end

    def _given_up(self, error: ServerError) -> GivenUpError:
        reason = "content filter" if error.is_content else f"HTTP {error.status}"
        return GivenUpError(reason, f"{self.name}: {error.message}")

    async def _resolve(self, request: Request, error: ServerError, dialect: Dialect) -> Dialect | None:
        """Returns when the request should be asked again, with the dialect to try for it alone or None; raises what is to happen
        with it otherwise."""
        given_up = self._given_up(error)
        if error.is_content:
            raise given_up
        refused_at = time.monotonic()
        async with self._resolving:
            if self.unusable:
                raise AttemptError(self.unusable)
            if self.dialect != dialect:
                return None  # learnt while this one was waiting
            if named := named_in(error, dialect.sent(request)):
                self._learn(without_named(dialect, request, named, self._served), dialect, error)
                return None
            by_words = without_mentioned(dialect, request, error)
            was_probed = self._probed_at.get(shape_of(request), 0.0) > refused_at
            left_at = time.monotonic()
            if was_probed or (refused := await self._probe(request, dialect)) is None:
                if not was_probed:
                    self._probed_at[shape_of(request)] = left_at
                if by_words == dialect and error.codes:
                    raise given_up
                # Once more: a balancer may have sent the probe to a server that takes the parameter, and an error without a code
                # may be none of this request (a model that crashed and is loaded again).
                return by_words
            error = refused  # the probe has no fault of its own: what it is refused for holds for all
            if mentioned := mentioned_in(error, dialect.sent(request)):
                first = min(mentioned, key=lambda name: name == "temperature")  # a judgement needs it more than top_p
                changed = without_named(dialect, request, [first], self._served)
                if changed != dialect:
                    self._learn(changed, dialect, error)
                    return None
            self._learn(await self._search(request, error, dialect), dialect, error)
        return None

    def _learn(self, dialect: Dialect, before: Dialect, error: ServerError) -> None:
        if dialect == before:
            raise self._stop(error, "it refuses every name of a parameter: set it to null in the recipe") from None
        self.dialect = dialect

    async def _search(self, request: Request, error: ServerError, dialect: Dialect) -> Dialect:
        async def probe(trial: Dialect | None) -> ServerError | None:
            return await self._probe(request, trial or dialect, is_bare=trial is None)

        try:
            found = await search(probe, dialect, dialect.sent(request))
        except SettingRefusedError as refused:
            key = f"teacher.{refused.key}"
            raise self._stop(error, f"it refuses {key} = {getattr(request, refused.key)}: set another value") from None
        if found is None:
            raise self._stop(
                error, "nothing is served: check teacher.model, the url, and what the server says"
            ) from None
        return found

    async def _probe(self, request: Request, dialect: Dialect, *, is_bare: bool = False) -> ServerError | None:
        """Sends the probe of a request; the refusal, or None when it was served. Raises AttemptError after a few tries."""
        attempts = 0
        while True:
            try:
                await self._send(probe_of(request), dialect, is_bare=is_bare)
            except Refusal as refusal:
                return refusal.error
            except GivenUpError:
                return None
            except AttemptError as error:
                attempts += 1
                if self.unusable or attempts == PROBE_ATTEMPTS:
                    raise
                await asyncio.sleep(max(0.1 * 2**attempts, error.retry_after_s))
            else:
                return None

    # ---- what is remembered

    def _record_failure(self) -> None:
        """After three failures in a row the endpoint gets no calls for a while, longer with each further failure."""
        self._failures += 1
        if self._failures >= FAILURES_BEFORE_COOLDOWN:
            doublings = min(self._failures - FAILURES_BEFORE_COOLDOWN, 10)  # hundreds of calls can fail at once
            self.cooldown_until = time.monotonic() + min(MAX_COOLDOWN_S, COOLDOWN_S * 2**doublings)

    def _remembered(self) -> Dialect:
        known = (self._store.noted(HTTP_DIALECTS_NOTE) or {}) if self._store is not None else {}
        return Dialect.from_json(known[self._key]) if self._key in known else Dialect()

    def _remember(self) -> None:
        """Says and notes a dialect when something was served in it."""
        if self.dialect == self._announced:
            return
        self._announced = self.dialect
        say(f"{self.name}: {describe(self.dialect)} (the server refused it otherwise)")
        if self._store is not None:
            known = self._store.noted(HTTP_DIALECTS_NOTE) or {}
            self._store.note(HTTP_DIALECTS_NOTE, known | {self._key: self.dialect.as_json()})
