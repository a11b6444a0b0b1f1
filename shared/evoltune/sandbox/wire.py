"""Length-framed JSON over a stream socket, with a bound on the size of a message; requests to a solution process are marshalled.

Test runners and solution processes pass bare descriptors: in a newly forked process a socket object costs more copied
pages than the message does. Invariant: `receive` never reads more than `limit` bytes of a message and returns plain JSON.

    a, b = socket.socketpair(); send(a, {"op": "call"}); receive(b)
"""

import json
import marshal
import os
import socket
import struct
from typing import Any

LIMIT = 64 << 20
_HEAD = struct.Struct(">I")
DECODER = json.JSONDecoder()
encode = json.JSONEncoder(check_circular=False).encode
"""JSON text in ASCII. Raises TypeError, ValueError or RecursionError on what is not JSON."""


class ProtocolError(ValueError):
    """The other side broke the framing or sent more than it may."""


class MessageTooLong(ProtocolError):
    """A message of `size` bytes, more than the reader allows; nothing of its body was read."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"a message of {size} bytes, allowed {limit}")
        self.size = size


def send(line: socket.socket | int, message: Any) -> None:
    """Writes one message. Raises OSError when nobody reads."""
    send_encoded(line, encode(message))


def send_encoded(line: socket.socket | int, text: str) -> None:
    """Writes one message that is JSON text already. Raises OSError when nobody reads."""
    body = text.encode("ascii")
    body = _HEAD.pack(len(body)) + body
    if not isinstance(line, int):
        line.sendall(body)
        return
    write(line, body)


def write(line: int, body: bytes) -> None:
    """Writes all bytes."""
    done = os.write(line, body)
    while done < len(body):
        done += os.write(line, body[done : done + (1 << 20)])


def send_request(line: int, request: list[Any]) -> None:
    """Writes one request to a solution process. Raises OSError when nobody reads."""
    body = marshal.dumps(request)
    write(line, _HEAD.pack(len(body)) + body)


def receive_request(line: int) -> list[Any]:
    """One request of the test runner's, which is believed; marshalled, because in a new process reading JSON copies twice as many
    pages. Raises EOFError, OSError, MessageTooLong."""
    request: list[Any] = marshal.loads(_receive_body(line, LIMIT))
    return request


def read_exactly(line: socket.socket | int, n: int) -> bytes:
    """n bytes. Raises EOFError when the other side is gone."""
    got = os.read(line, n) if isinstance(line, int) else line.recv(min(n, 1 << 20))
    if len(got) == n:
        return got
    parts = bytearray(got)
    while got and len(parts) < n:
        want = min(n - len(parts), 1 << 20)
        got = os.read(line, want) if isinstance(line, int) else line.recv(want)
        parts += got
    if len(parts) < n:
        raise EOFError
    return bytes(parts)


def receive(line: socket.socket | int, decoder: json.JSONDecoder = DECODER, limit: int = LIMIT) -> Any:
    """One message. Raises EOFError, OSError, MessageTooLong, ProtocolError (not JSON)."""
    return parse(receive_text(line, limit), decoder)


def receive_text(line: socket.socket | int, limit: int = LIMIT) -> str:
    """The text of one message, unread. Raises EOFError, OSError, MessageTooLong."""
    return _receive_body(line, limit).decode("ascii", "replace")


def _receive_body(line: socket.socket | int, limit: int) -> bytes:
    (n,) = _HEAD.unpack(read_exactly(line, 4))
    if n > limit:
        raise MessageTooLong(n, limit)
    return read_exactly(line, n)


def parse(text: str, decoder: json.JSONDecoder = DECODER) -> Any:
    """The JSON value that a text begins with. Raises ProtocolError."""
    try:
        return decoder.raw_decode(text)[0]
    except (ValueError, TypeError, KeyError, RecursionError, ArithmeticError) as error:
        raise ProtocolError(f"not a message: {type(error).__name__}") from error
