"""HTTP/1.1 to the teacher's servers: one request at a time on each of the connections that are kept open.

    async with Connections(timeout_s=60, connect_s=10) as connections:
        status, headers, body = await connections.request(target_of("http://localhost:8000/v1/models"), "GET")

What a teacher needs and no more: TLS, proxies, kept connections, packed bodies; no redirects, no cookies. aiohttp's client took a
third of the CPU of a call and 0.2 s of import (docs/decisions.md). Invariants: a reply that does not end as its own head says is
no reply; of a body, no more than `MAX_BODY_BYTES` are held.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast
from urllib.parse import quote, unquote, urlsplit

from evoltune.teacher.http_reply import HttpReply, NotHttpError, ReplyReader, TooLargeError

IDLE_S = 15.0
"""A connection that was idle for longer is not used again: the server may be closing it."""
ADDRESSES_S = 300.0
"""For so long the addresses of a host are believed."""


class UnreachableError(Exception):
    """No connection was made, so nothing of the request left this machine."""


class ProxyRefusedError(Exception):
    """The proxy made no way to the server; the text is its status."""


class ConnectionLostError(Exception):
    """The connection ended before the reply did."""


FAULTS = (UnreachableError, ProxyRefusedError, ConnectionLostError, NotHttpError, TooLargeError, TimeoutError)
"""All that a request can raise."""


@dataclass(frozen=True)
class Target:
    """Where requests to a URL go, and what is the same in all of them: made once for each URL."""

    host: str
    port: int
    is_tls: bool
    path: str
    headers: str
    """As they are sent: a line for each."""
    proxy: Target | None
    login: str
    """The lines with which this one, as a proxy, is asked to connect."""
    key: str
    """Of the connections that lead there."""


def target_of(url: str, headers: Mapping[str, str] | None = None, proxy: str | None = None) -> Target:
    """The target of an HTTP or HTTPS URL. A login in the URL, or in that of the proxy, is sent as a header."""
    parts = urlsplit(url)
    is_tls, host = parts.scheme == "https", parts.hostname or ""
    host = host if host.isascii() else host.encode("idna").decode()
    port = parts.port or (443 if is_tls else 80)
    shown = f"[{host}]" if ":" in host else host
    path = quote(parts.path or "/", "/%:@!$&'()*+,;=~-._") + (
        f"?{quote(parts.query, '/%:@!$&()*+,;=~-._?')}" if parts.query else ""
    )
    login = _basic(parts.username, parts.password) if parts.username is not None else ""
    sent = {"host": shown if parts.port is None else f"{shown}:{port}", "accept": "*/*", "accept-encoding": "gzip, deflate",
            "user-agent": "evoltune"}  # fmt: skip
    sent |= {"authorization": login} if login else {}
    via = target_of(proxy) if proxy else None
    if via is not None and not is_tls:
        path = f"http://{sent['host']}{path}"
        sent |= {"proxy-authorization": via.login} if via.login else {}
    given = {name.lower() for name in headers or {}}
    sent = {name: value for name, value in sent.items() if name not in given} | dict(headers or {})
    key = f"{parts.scheme}://{shown}:{port} {via.key if via else ''}"
    return Target(host, port, is_tls, path, _lines(sent), via, login, key)


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def _basic(user: str, password: str | None) -> str:
    login = f"{unquote(user)}:{unquote(password or '')}"
    return f"Basic {base64.b64encode(login.encode()).decode()}"


class Connections:
    """The connections of a run: those that are idle, by where they lead, and all that are open."""

    def __init__(self, *, timeout_s: float, connect_s: float) -> None:
        self._timeout_s, self._connect_s = timeout_s, connect_s
        self._idle: dict[str, list[_Connection]] = defaultdict(list)
        self._open: set[_Connection] = set()
        self._tls: ssl.SSLContext | None = None
        self._addresses: dict[tuple[str, int], tuple[float, list[str]]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in list(self._open):
            connection.abort()
        await asyncio.sleep(0)  # the transports end in the next turn of the loop

    async def request(self, target: Target, method: str = "POST", data: bytes = b"") -> HttpReply:
        """The reply to one request. Raises TimeoutError, UnreachableError, ProxyRefusedError, ConnectionLostError, NotHttpError,
        TooLargeError."""
        loop = asyncio.get_running_loop()
        connection = self._idle_one(target)
        end = loop.time() + self._timeout_s
        if connection is None:
            async with asyncio.timeout(min(self._connect_s, self._timeout_s)):
                connection = await self._connected(target)
        head = f"{method} {target.path} HTTP/1.1\r\n{target.headers}content-length: {len(data)}\r\n\r\n"
        reply = await connection.exchange(head.encode() + data, end - loop.time())
        if connection.is_reusable:
            connection.idle_since = time.monotonic()
            self._idle[target.key].append(connection)
        else:
            connection.abort()
        return reply

    def _idle_one(self, target: Target) -> _Connection | None:
        idle = self._idle[target.key]
        while idle:
            connection = idle.pop()  # the one that was used last is least likely to be closed soon
            if connection in self._open and time.monotonic() - connection.idle_since < IDLE_S:
                return connection
            connection.abort()
        return None

    # ---- new connections

    async def _connected(self, target: Target) -> _Connection:
        """A new connection, by the proxy where there is one. Raises UnreachableError, ProxyRefusedError."""
        way = target.proxy or target
        error: OSError = OSError("no address")
        try:
            addresses = await self._addresses_of(way)
        except OSError as failed:  # no such host
            raise UnreachableError(failed.strerror or str(failed)) from None
        for address in addresses:
            try:
                async with asyncio.timeout(self._connect_s / len(addresses)):
                    connection = await self._dialled(way, address)
                    if target.proxy and target.is_tls:
                        await self._tunnelled(connection, target)
            except ssl.SSLError as failed:
                raise UnreachableError(f"{failed.reason or failed}: {getattr(failed, 'verify_message', '')}") from None
            except OSError as failed:
                error = failed
            else:
                addresses.remove(address)
                addresses.insert(0, address)  # the others start with it
                return connection
        if isinstance(error, TimeoutError):
            raise error
        raise UnreachableError(error.strerror or str(error))

    async def _addresses_of(self, target: Target) -> list[str]:
        place = (target.host, target.port)
        asked_at, found = self._addresses.get(place, (0.0, []))
        if not found or time.monotonic() - asked_at > ADDRESSES_S:
            infos = await asyncio.get_running_loop().getaddrinfo(*place, type=1)  # SOCK_STREAM
            found = list(dict.fromkeys(str(info[4][0]) for info in infos))
            self._addresses[place] = (time.monotonic(), found)
        return found

    async def _dialled(self, target: Target, address: str) -> _Connection:
        _, protocol = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self._open), address, target.port, ssl=self._context() if target.is_tls else None,
            server_hostname=target.host if target.is_tls else None,
        )  # fmt: skip
        return protocol

    async def _tunnelled(self, connection: _Connection, target: Target) -> None:
        """Has the proxy lead a connection to the server, and speaks TLS with that. Raises ProxyRefusedError."""
        assert target.proxy is not None
        place = f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
        login = _lines({"proxy-authorization": target.proxy.login}) if target.proxy.login else ""
        asked = f"CONNECT {place} HTTP/1.1\r\nhost: {place}\r\n{login}\r\n"
        try:
            reply = await connection.exchange(asked.encode(), self._connect_s, is_connect=True)
        except (ConnectionLostError, NotHttpError) as error:
            raise ProxyRefusedError(str(error)) from None
        if not 200 <= reply.status < 300:
            connection.abort()
            raise ProxyRefusedError(f"HTTP {reply.status}")
        await connection.start_tls(self._context(), target.host)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()  # reads SSL_CERT_FILE and SSL_CERT_DIR
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


class _Connection(asyncio.Protocol):
    """One connection. Invariant: at most one request is at work on it."""

    def __init__(self, open_ones: set[_Connection]) -> None:
        self._open_ones, self._reader = open_ones, ReplyReader()
        self._waiter: asyncio.Future[HttpReply] | None = None
        self.idle_since = 0.0
        self._transport: asyncio.Transport

    @property
    def is_reusable(self) -> bool:
        """Whether it may serve another request, after one that was served."""
        return self._reader.is_kept and self in self._open_ones

    async def exchange(self, data: bytes, limit_s: float, *, is_connect: bool = False) -> HttpReply:
        """Sends a request, and waits for its reply. When that fails, the connection ends."""
        loop = asyncio.get_running_loop()
        if self not in self._open_ones:
            raise ConnectionLostError("closed")
        self._reader.begin(is_connect)
        self._waiter = loop.create_future()
        self._transport.write(data)
        timer = loop.call_later(limit_s, self._fail, TimeoutError())
        try:
            return await self._waiter
        except BaseException:
            self.abort()
            raise
        finally:
            timer.cancel()
            self._waiter = None

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(self._transport, self, context, server_hostname=host)
        assert transport is not None
        self._transport = transport

    def abort(self) -> None:
        self._open_ones.discard(self)
        self._transport.abort()

    # ---- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        self._open_ones.add(self)

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():  # a server that speaks unasked
            self.abort()
            return
        try:
            reply = self._reader.feed(data)
        except (NotHttpError, TooLargeError) as error:
            self._waiter.set_exception(error)
        else:
            if reply is not None:
                self._waiter.set_result(reply)

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, error: Exception | None) -> None:
        self._open_ones.discard(self)
        if error is None:
            self._end()
        self._fail(ConnectionLostError(type(error).__name__ if error else "closed"))

    def _end(self) -> None:
        """The server sends no more, which may be how its reply ends."""
        if self._waiter is None or self._waiter.done():
            return
        try:
            reply = self._reader.ended()
        except (NotHttpError, TooLargeError) as error:
            self._fail(error)
        else:
            if reply is not None:
                self._waiter.set_result(reply)

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
