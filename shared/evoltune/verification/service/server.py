"""The verifier service: rows in, verdicts out, over HTTP, with one Checker per domain behind it.

Invariant: without the token only /health and /ready are answered; a request is refused at once or answered within its time
limit; any body becomes verdicts or a 4xx.

    evoltune serve-verifier --domain code,math --port 8100 --token-file token.txt
"""

import asyncio
import base64
import binascii
import hmac
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from evoltune import __version__
from evoltune.errors import DomainError, MissingExtraError
from evoltune.verification.checker import Checker
from evoltune.verification.service.routes import Rewarding, routes_of
from evoltune.verification.service.row_queue import Limits, QueuedRequest, QueueFullError, RowQueue
from evoltune.verification.service.schema import NotJsonError, docs_page, dump_body, openapi

try:
    import prometheus_client as prometheus
except ImportError as error:
    raise MissingExtraError("prometheus_client", "serve", "the verifier service") from error

WITHOUT_TOKEN = ("/health", "/ready")
SEED = "/seed_session"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MIB = 2**20
BUCKETS_S = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 120)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Metrics:
    """A registry of the service's own, so that two services in one process do not share counters."""

    def __init__(self) -> None:
        own: dict[str, Any] = {"registry": prometheus.CollectorRegistry()}
        self.registry = own["registry"]
        self.requests = prometheus.Counter("evoltune_requests", "Answered requests", ["path", "status"], **own)
        self.seconds = prometheus.Histogram(
            "evoltune_request_seconds", "Time to the answer", ["path"], buckets=BUCKETS_S, **own
        )
        self.verdicts = prometheus.Counter("evoltune_verdicts", "Verified rows", ["domain", "status"], **own)
        self.waiting = prometheus.Gauge(
            "evoltune_waiting_rows", "Rows accepted and not yet verified", ["domain"], **own
        )
        self.held = prometheus.Gauge("evoltune_held_bytes", "Bytes of accepted bodies", **own)


class Service:
    """The handlers and what they share. With an empty `token`, requests to loopback names are answered."""

    def __init__(
        self,
        checkers: Mapping[str, Checker],
        token: str,
        limits: Limits,
        rewards: Mapping[str, Rewarding] | None = None,
    ) -> None:
        self.limits, self._token = limits, token.encode()
        self.draining, self.open_requests = False, 0
        self.held, self._lock = 0, threading.Lock()
        self.metrics = Metrics()
        self.queues = {name: self._queue(name, checker) for name, checker in checkers.items()}
        programs = next((name for name, checker in checkers.items() if "entry_point" in checker.domain.columns), "")
        self.routes = routes_of(list(checkers), limits.most_rows, programs, rewards)
        self.document = openapi(__version__, {path: route.body for path, route in self.routes.items()}, limits)

    def _queue(self, name: str, checker: Checker) -> RowQueue:
        count = self.metrics.verdicts
        queue = RowQueue(checker, self.limits, lambda status: count.labels(name, status).inc())
        self.metrics.waiting.labels(name).set_function(lambda: queue.rows)
        return queue

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=self.limits.most_mb * MIB, middlewares=[self._guard])
        pages = {
            "/health": self._health, "/ready": self._ready, "/metrics": self._metrics,
            "/openapi.json": self._openapi, "/docs": self._docs,
        }  # fmt: skip
        for path, handler in pages.items():
            app.router.add_get(path, handler, allow_head=False)
        for path in self.routes:
            app.router.add_post(path, self._verify)
        app.router.add_post(SEED, self._seed)
        app.on_cleanup.append(self._close)
        return app

    async def _close(self, app: web.Application) -> None:
        for queue in self.queues.values():
            await asyncio.to_thread(queue.close)

    # ---- around every request

    @web.middleware  # type: ignore[untyped-decorator]
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Checks the token, then calls the handler; every refusal is a Problem, every answer is counted."""
        began = time.perf_counter()
        path = request.path if request.path in self.document["paths"] else "other"
        self.open_requests += 1
        try:
            open_to_all = request.path in WITHOUT_TOKEN
            response = (not open_to_all and self._without_access(request)) or await handler(request)
        except web.HTTPException as error:
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            response = problem(error.status, error.text or error.reason, **allow)
        except Exception:  # noqa: BLE001 - one request must not end the service
            traceback.print_exc()
            response = problem(500, "internal error; the service's log has the traceback")
        finally:
            self.open_requests -= 1
        self.metrics.requests.labels(path, response.status).inc()
        self.metrics.seconds.labels(path).observe(time.perf_counter() - began)
        return response

    def _without_access(self, request: web.Request) -> web.Response | None:
        if not self._token:
            # DNS rebinding: a web page can make its own host name point here, but the browser still sends that name as Host.
            loopback = _host(request.host) in LOOPBACK
            return None if loopback else problem(403, "a service without a token answers to loopback names only")
        if hmac.compare_digest(_token_in(request.headers.get("Authorization", "")), self._token):
            return None
        challenge = 'Bearer realm="evoltune", Basic realm="evoltune"'
        return problem(401, "a token is needed: Authorization: Bearer TOKEN", **{"WWW-Authenticate": challenge})

    # ---- handlers

    async def _health(self, request: web.Request) -> web.Response:
        return answer({"status": "ok"})

    async def _ready(self, request: web.Request) -> web.Response:
        return answer({"status": "shutting down"}, 503) if self.draining else answer({"status": "ready"})

    async def _metrics(self, request: web.Request) -> web.Response:
        self.metrics.held.set(self.held)
        body = prometheus.generate_latest(self.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _openapi(self, request: web.Request) -> web.Response:
        return answer(self.document)

    async def _docs(self, request: web.Request) -> web.Response:
        policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return web.Response(text=docs_page(self.document), content_type="text/html", headers=policy)

    async def _verify(self, request: web.Request) -> web.Response:
        """Any body of the routes: its rows through their domain's queue."""
        if refusal := self._refusal(request):
            return refusal
        size = request.content_length or 0
        deadline = asyncio.get_running_loop().time() + self.limits.timeout_s
        self._hold(size)
        queued: QueuedRequest | None = None
        try:
            async with asyncio.timeout(self.limits.read_s):
                raw = await request.read()
            task = self.routes[request.path].read(raw)
            queued = self.queues[task.domain].accept(task.rows, task.first_row, task.profile, task.policy)
            async with asyncio.timeout_at(deadline):
                verdicts = await asyncio.wrap_future(queued.future)
                value = await asyncio.to_thread(task.answer, verdicts) if task.has_models else task.answer(verdicts)
            return answer(value)
        except TimeoutError:
            if queued is None:
                return problem(408, f"the body did not arrive in {self.limits.read_s:g} s")
            late = f"not verified in {self.limits.timeout_s:g} s: send the other rows again, fewer at once"
            return answer({"error": late, "verdicts": list(queued.done)}, 504)
        except NotJsonError as error:
            return problem(400, str(error))
        except DomainError as error:
            return problem(404, str(error))
        except msgspec.ValidationError as error:
            served = f": allowed: {', '.join(self.queues)}" if str(error).endswith("`$.domain`") else ""
            return problem(422, f"{error}{served}")
        except QueueFullError as full:
            return problem(429, f"the queue is full: {full}", **{"Retry-After": str(full.retry_s)})
        finally:
            if queued is None:
                self._hold(-size)
            else:
                queued.cancel()  # without effect on one that is done
                queued.future.add_done_callback(lambda _: self._hold(-size))

    async def _seed(self, request: web.Request) -> web.Response:
        """NeMo-Gym opens a session before a rollout; verifying needs none."""
        return answer({})

    def _hold(self, size: int) -> None:
        with self._lock:
            self.held += size

    def _refusal(self, request: web.Request) -> web.Response | None:
        """The refusal of what needs no look at the body."""
        limits, size = self.limits, request.content_length
        if self.draining:
            return problem(503, "shutting down", **{"Retry-After": "5"})
        if request.content_type != "application/json":
            return problem(415, f"Content-Type is {request.content_type[:80]!r}, must be application/json")
        if "Content-Encoding" in request.headers:
            return problem(415, "Content-Encoding is not supported: send the body uncompressed")
        if size is None:
            return problem(411, "Content-Length is missing")
        if size > limits.most_mb * MIB:
            return problem(413, f"a body of {size} bytes: at most {limits.most_mb} MiB are accepted")
        if self.held + size > limits.queue_mb * MIB:
            full = f"the queue is full: it holds {self.held} bytes, at most {limits.queue_mb} MiB"
            return problem(429, full, **{"Retry-After": "2"})
        return None


def answer(value: Any, status: int = 200, **headers: str) -> web.Response:
    return web.Response(body=dump_body(value), status=status, content_type="application/json", headers=headers)


def problem(status: int, message: str, **headers: str) -> web.Response:
    return answer({"error": message}, status, **headers)


def _token_in(authorization: str) -> bytes:
    """The token of the header: a bearer token, or the password of Basic, which a browser can ask its user for."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return rest.strip().encode("utf-8", "surrogateescape") if scheme.lower() == "bearer" else b""


def _host(header: str) -> str:
    try:
        return urlsplit("//" + header).hostname or ""
    except ValueError:
        return ""


async def serve(service: Service, listener: socket.socket) -> None:
    """Serves on `listener` until SIGTERM or SIGINT; then accepts nothing more, answers what was accepted, and returns."""
    runner = web.AppRunner(service.application(), access_log=None, handler_cancellation=True, shutdown_timeout=2.0)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    service.draining = True
    print(f"shutting down: {service.open_requests} requests to answer", file=sys.stderr, flush=True)
    until = loop.time() + service.limits.timeout_s + service.limits.read_s
    while service.open_requests and loop.time() < until:
        await asyncio.sleep(0.05)
    await runner.cleanup()
