"""The client of a verifier service: rows in, verdict rows out, as from `evoltune.verify`.

Invariant: one verdict row per row, in input order. Refusals that pass with time are waited out; others raise ServiceError. A row
that the service cannot verify in its time limit, however often it is asked, is an `error` in its place.

    client = VerifierClient("http://127.0.0.1:8100", token="...")
    for row in client.verify(rows, domain="code"): print(row["status"])
"""

import http.client
import json
import os
import random
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from email.message import Message
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from evoltune.errors import ServiceError
from evoltune.interrupts import result_of
from evoltune.record import Verdict
from evoltune.terminal import printable
from evoltune.verification.row_forms import plain_row
from evoltune.verification.rows import labels_of, verdict_row

TOKEN_VARIABLE = "EVOLTUNE_SERVICE_TOKEN"
BATCH_BYTES = 4 * 2**20
ATTEMPTS = 3
"""How often a row is sent that the service does not verify in its time limit: the first time it may have waited for others."""
MAX_REPLY_BYTES = 256 * 2**20
Numbered = tuple[int, bytes]
"""A row's number and its JSON."""
ROUTES: Mapping[str, str] = {"/v1/verify": "verdicts", "/score": "scores"}
"""Where rows can be sent -> the name of the answered rows in the reply."""


class VerifierClient:
    """Sends rows to an `evoltune serve-verifier`. Holds no connection, so it can be used on both sides of a fork.

    Args:
        token: default: the environment's EVOLTUNE_SERVICE_TOKEN.
        batch_rows: rows in one request.
        connections: requests at the same time.
        profile, policy: of the domain's verifier; without them, what the service was started with.
        patience_s: how long one batch may be refused (queue full, restarting, unreachable) before ServiceError.
        timeout_s: for one answer; more than the service's own.
        route: of ROUTES; behind /score the verdict rows have `reward` and its `parts` too.
    """

    def __init__(
        self, service: str, *, token: str | None = None, batch_rows: int = 64, connections: int = 4,
        patience_s: float = 600.0, timeout_s: float = 180.0, profile: str = "", policy: Mapping[str, Any] | None = None,
        route: str = "/v1/verify",
    ) -> None:  # fmt: skip
        if urlsplit(service).scheme not in ("http", "https") or not urlsplit(service).hostname:
            raise ServiceError(f"service {service!r} is not an address: must be like 'http://127.0.0.1:8100'")
        if batch_rows < 1 or connections < 1:
            raise ServiceError(f"batch_rows {batch_rows} and connections {connections} must be at least 1")
        self.service, self._route, self._name = service.rstrip("/"), route, ROUTES[route]
        self.batch_rows, self.connections = batch_rows, connections
        self.patience_s, self.timeout_s = patience_s, timeout_s
        chosen = {"profile": profile, "policy": dict(policy or {})}
        self._chosen = {name: value for name, value in chosen.items() if value}
        self._token = os.environ.get(TOKEN_VARIABLE, "") if token is None else token

    def verify(self, rows: Iterable[Any], *, domain: str) -> Iterator[dict[str, Any]]:
        """Verdict rows in input order. A row that JSON cannot carry is an `error` with the reason."""
        pending: deque[Future[list[dict[str, Any]]]] = deque()
        source, ended = enumerate(rows, 1), False
        stop = threading.Event()
        threads = ThreadPoolExecutor(self.connections, thread_name_prefix="evoltune-client")
        try:
            while pending or not ended:
                while not ended and len(pending) < 2 * self.connections:
                    batch = list(islice(source, self.batch_rows))
                    ended = len(batch) < self.batch_rows
                    if batch:
                        pending.append(threads.submit(self._batch, domain, batch, stop))
                if pending:
                    yield from result_of(pending.popleft())
        finally:
            stop.set()
            threads.shutdown(wait=False, cancel_futures=True)

    def _batch(self, domain: str, rows: list[tuple[int, Any]], stop: threading.Event) -> list[dict[str, Any]]:
        """Sends what JSON can carry; a row that it cannot carry gets its verdict here."""
        done: list[dict[str, Any]] = []
        sendable: list[Numbered] = []
        for number, row in rows:
            try:
                body = json.dumps(plain_row(row) if isinstance(row, Mapping) else row, allow_nan=False).encode()
            except (TypeError, ValueError, RecursionError) as error:
                done += self._verdicts(domain, sendable, stop)
                sendable = []
                reason = f"row {number}: cannot be sent as JSON: {error}"[:300]
                done.append(verdict_row(Verdict(status="error", reason=reason), labels_of(row, number)))
            else:
                if sum(len(b) for _, b in sendable) + len(body) > BATCH_BYTES:
                    done += self._verdicts(domain, sendable, stop)
                    sendable = []
                sendable.append((number, body))
        return done + self._verdicts(domain, sendable, stop)

    def _verdicts(self, domain: str, rows: list[Numbered], stop: threading.Event) -> list[dict[str, Any]]:
        """The service's verdicts. A batch that is too large for it (413, 422) is sent again as two halves; of one that took
        too long (504), what it had verified by then counts, and the rest is sent again."""
        done: list[dict[str, Any]] = []
        for _ in range(ATTEMPTS):
            if not rows:
                return done
            status, reply = self._post_patiently(self._body(domain, rows), stop)
            if status == 504 and (verified := reply.get(self._name) or []):
                done += verified[: len(rows)]
                return done + self._verdicts(domain, rows[len(verified) :], stop)
            if status in (413, 422, 504) and len(rows) > 1:
                half = len(rows) // 2
                return done + self._verdicts(domain, rows[:half], stop) + self._verdicts(domain, rows[half:], stop)
            if status == 200:
                answered = reply[self._name]
                if len(answered) != len(rows):
                    raise ServiceError(f"{self.service}: {len(answered)} {self._name} for {len(rows)} rows")
                return done + list(answered)
            if status != 504:
                raise ServiceError(f"{self.service}: row {rows[0][0]}: {status}: {_message(reply)}")
        number, body = rows[0]
        reason = f"row {number}: the service gave no verdict in {ATTEMPTS} attempts: {_message(reply)}"
        return [*done, verdict_row(Verdict(status="error", reason=reason), labels_of(json.loads(body), number))]

    def _body(self, domain: str, rows: list[Numbered]) -> bytes:
        chosen = "".join(f"{json.dumps(name)}: {json.dumps(value)}, " for name, value in self._chosen.items())
        return b'{"domain": %s, %s"first_row": %d, "rows": [%s]}' % (
            json.dumps(domain).encode(), chosen.encode(), rows[0][0], b", ".join(body for _, body in rows),
        )  # fmt: skip

    def _post_patiently(self, body: bytes, stop: threading.Event) -> tuple[int, Any]:
        """Status and JSON of the answer, after waiting while the service is full, restarting or unreachable."""
        until, pause_s = time.monotonic() + self.patience_s, 0.5
        while True:
            try:
                status, headers, reply = self._post(body)
                if status not in (429, 502, 503):
                    return status, reply
                why, asked = f"{status}: {_message(reply)}", headers.get("Retry-After", "")
            except (OSError, http.client.HTTPException) as error:
                why, asked = str(getattr(error, "reason", error)) or type(error).__name__, ""
            asked_s = min(60.0, float(asked)) if asked.isdigit() else 0.0
            wait_s = max(asked_s, pause_s) * random.uniform(1.0, 1.25)
            if time.monotonic() + wait_s > until:
                late = f"gave no verdicts for {self.patience_s:g} s (patience_s)"
                raise ServiceError(f"{self.service} {late}; last: {why}")
            if stop.wait(wait_s):
                raise ServiceError(f"{self.service}: the caller stopped; last: {why}")
            pause_s = min(8.0, 2 * pause_s)

    def _post(self, body: bytes) -> tuple[int, Message, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(self.service + self._route, body, headers)
        try:
            with _OPENER.open(request, timeout=self.timeout_s) as response:
                return response.status, response.headers, _json(self._whole(response))
        except urllib.error.HTTPError as error:
            with error:
                if error.code in _REDIRECTS:
                    raise ServiceError(
                        f"{self.service}: {error.code}: redirects to {printable(error.headers.get('Location', ''))[:200]!r}: give "
                        "the address where the service is; rows and token are sent to no other"
                    ) from None
                return error.code, error.headers, _json(self._whole(error))

    def _whole(self, response: Any) -> bytes:
        """The body of a response. Raises ServiceError when it is larger than any that a service of ours sends."""
        body: bytes = response.read(MAX_REPLY_BYTES + 1)
        if len(body) > MAX_REPLY_BYTES:
            raise ServiceError(
                f"{self.service}: a reply of more than {MAX_REPLY_BYTES >> 20} MiB: is it a verifier service?"
            )
        return body


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        """Follows none: urllib would send the token along, to any host."""


_OPENER = urllib.request.build_opener(_NoRedirect)
_REDIRECTS = (301, 302, 303, 307, 308)


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return {"error": raw[:200].decode("utf-8", "replace")}


def _message(reply: Any) -> str:
    return str(reply.get("error", reply) if isinstance(reply, dict) else reply)
