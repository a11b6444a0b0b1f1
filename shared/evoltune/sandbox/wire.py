"""Length-framed JSON over a stream socket, with a bound on the size of what is accepted.

Invariant: `receive` never reads more than `limit` bytes of a message, and what it returns is plain JSON.

    a, b = socket.socketpair(); send(a, {"op": "call"}); receive(b)
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from typing import Any

LIMIT = 64 << 20


class ProtocolError(ValueError):
    """The other side broke the framing or said more than it may."""


def send(sock: socket.socket, message: Any) -> None:
    body = json.dumps(message).encode("ascii")
    sock.sendall(struct.pack(">I", len(body)) + body)


def exactly(sock: socket.socket, n: int) -> bytes:
    """n bytes; EOFError when the other side is gone."""
    if n <= 1 << 16:
        first = sock.recv(n, socket.MSG_WAITALL)
        if len(first) == n:
            return first
        got = bytearray(first)
    else:
        got = bytearray()
    while len(got) < n:
        chunk = sock.recv(min(n - len(got), 1 << 20))
        if not chunk:
            raise EOFError
        got += chunk
    return bytes(got)


def receive(
    sock: socket.socket, limit: int = LIMIT, hook: Callable[[dict[str, Any]], Any] | None = None
) -> Any:
    """One message. Raises EOFError, ProtocolError (too long, not JSON)."""
    (n,) = struct.unpack(">I", exactly(sock, 4))
    if n > limit:
        raise ProtocolError(f"a message of {n} bytes, allowed {limit}")
    body = exactly(sock, n)
    try:
        return json.loads(body, object_hook=hook)
    except (ValueError, TypeError, RecursionError, ArithmeticError) as error:
        raise ProtocolError(f"not a message: {type(error).__name__}") from error
