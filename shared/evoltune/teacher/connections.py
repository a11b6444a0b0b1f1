"""HTTP to the teacher's servers, by aiohttp: what of it we use, and what its errors mean to us.

    async with Connections(timeout_s=60, connect_s=10) as connections:
        status, headers, body = await connections.request(target_of("http://localhost:8000/v1/models"), "GET")

Invariants: no redirect is followed and no cookie kept; of a body, no more than `MAX_BODY_BYTES` are held. aiohttp is imported where
connections are opened, so that checks before a run stay light.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Self

from yarl import URL

from evoltune.teacher.awake import AwakeLimits

if TYPE_CHECKING:
    import aiohttp

MAX_BODY_BYTES = 64 * 2**20
"""A reply of 100 texts of 8,192 tokens has about 4 MiB."""
MAX_HEADER_BYTES = 64 * 2**10
"""Of one header; the policies and cookies of a company's proxy can have more than the 8 KiB that aiohttp takes by itself."""


class UnreachableError(Exception):
    """No connection was made, so nothing of the request left this machine."""


class ProxyRefusedError(Exception):
    """The proxy made no way to the server; the text is its status."""


class ConnectionLostError(Exception):
    """The connection ended before the reply did."""


class NotHttpError(Exception):
    """What came is no HTTP, or packed in a way that nobody asked for."""


class TooLargeError(Exception):
    """The body is larger than `MAX_BODY_BYTES`; the rest was not read."""


FAULTS = (UnreachableError, ProxyRefusedError, ConnectionLostError, NotHttpError, TooLargeError, TimeoutError)
"""All that a request can raise."""


class Target(NamedTuple):
    """Where requests go, and what is the same in all of them."""

    url: URL
    headers: Mapping[str, str]
    proxy: str | None


class HttpReply(NamedTuple):
    """A reply: headers by their names in any case, the body unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def target_of(url: str, headers: Mapping[str, str] | None = None, proxy: str | None = None) -> Target:
    """The target of an HTTP or HTTPS URL. What a host and a path cannot have is encoded, the query is sent as it is written; a login
    in it, or in that of the proxy, becomes a header."""
    place, mark, query = url.partition("?")
    return Target(URL(f"{URL(place)}{mark}{query}", encoded=True), headers or {}, proxy)


class Connections:
    """The connections of a run, which are kept open between requests."""

    def __init__(self, *, timeout_s: float, connect_s: float) -> None:
        self._limits, self._connect_s = AwakeLimits(timeout_s), min(connect_s, timeout_s)
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300), cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_s),
            max_line_size=MAX_HEADER_BYTES, max_field_size=MAX_HEADER_BYTES,
        )  # fmt: skip
        self._limits.begin()
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._limits.end()
        await self._session.close()

    async def request(self, target: Target, method: str = "POST", data: bytes | None = None) -> HttpReply:
        """The reply to one request. Raises TimeoutError, UnreachableError, ProxyRefusedError, ConnectionLostError, NotHttpError,
        TooLargeError."""
        import aiohttp

        sent = self._session.request(
            method, target.url, data=data, headers=target.headers, proxy=target.proxy, allow_redirects=False
        )
        try:
            async with self._limits.limit(), sent as response:
                return HttpReply(response.status, response.headers, await _whole(response))
        except aiohttp.ClientConnectorError as error:
            raise UnreachableError(error.os_error.strerror or str(error.os_error)) from None
        except aiohttp.ClientHttpProxyError as error:
            raise ProxyRefusedError(f"HTTP {error.status}") from None
        except aiohttp.ClientResponseError as error:
            raise NotHttpError(error.message) from None
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionLostError(type(error).__name__) from None


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    while part := await response.content.readany():
        size += len(part)
        if size > MAX_BODY_BYTES:
            response.close()
            raise TooLargeError
        parts.append(part)
    return b"".join(parts)
