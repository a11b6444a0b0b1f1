"""The way to a server: proxies from the environment, whether anything listens there, and waiting for a start.

HTTP_PROXY, HTTPS_PROXY and NO_PROXY are read as curl and urllib read them; SSL_CERT_FILE and SSL_CERT_DIR are OpenSSL's own."""

import asyncio
import re
import socket
import time
import urllib.request
from urllib.parse import urlsplit

from evoltune.errors import RecipeError, TeacherError
from evoltune.teacher.connections import FAULTS, Connections, target_of

CONNECT_S = 5.0
LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")
"""Hosts that no proxy is asked for, as in Go and Docker: a proxy elsewhere would reach its own loopback."""


def proxy_of(url: str) -> str | None:
    """The proxy that the environment names for a URL; None: the server is reached directly. Raises RecipeError."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if (
        not found
        or LOOPBACK.fullmatch(parts.hostname or "")
        or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2])
    ):
        return None
    proxy = found if "://" in found else f"http://{found}"
    try:
        _ = urlsplit(proxy).port
    except ValueError:
        raise RecipeError(
            f"{parts.scheme.upper()}_PROXY: its port is no number from 0 to 65535: give http://HOST:PORT"
        ) from None
    if urlsplit(proxy).scheme not in ("http", "https"):
        kind = urlsplit(proxy).scheme
        raise RecipeError(
            f"{parts.scheme.upper()}_PROXY: a {kind} proxy cannot be used: give http://HOST:PORT, or name "
            f"{parts.hostname} in NO_PROXY"
        )
    return proxy


def is_listening(url: str) -> bool:
    """Whether the server, or the proxy on the way to it, accepts connections."""
    parts = urlsplit(proxy_of(url) or url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), CONNECT_S).close()
    except OSError:
        return False
    return True


async def wait_healthy(url: str, timeout_s: float) -> None:
    """Waits until GET url answers 200. Raises TeacherError after `timeout_s`."""
    end, target = time.monotonic() + timeout_s, target_of(url)
    async with Connections(timeout_s=CONNECT_S, connect_s=CONNECT_S) as connections:
        while True:
            try:
                reply = await connections.request(target, "GET")
                if reply.status == 200:
                    return
                state = f"HTTP {reply.status}"
            except (*FAULTS, OSError) as error:  # TimeoutError is an OSError
                state = type(error).__name__
            if time.monotonic() > end:
                raise TeacherError(f"{url}: not healthy after {timeout_s:g} s ({state})")
            await asyncio.sleep(0.1)
