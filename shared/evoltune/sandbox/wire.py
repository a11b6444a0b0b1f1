"""Length-framed JSON over a stream socket, with a bound on the size of a message; requests to a solution process are marshalled.

Test runners and solution processes pass bare descriptors: in a newly forked process a socket object costs more copied
pages than the message does. Invariant: `receive` never reads more than `limit` bytes of a message and returns plain JSON.

    a, b = socket.socketpair(); send(a, {"op": "call"}); receive(b)
"""

import _socket
import json
import marshal
import os
import struct
from typing import Any

LIMIT = 64 << 20
_HEAD = struct.Struct(">I")
_INT = struct.calcsize("i")
DECODER = json.JSONDecoder()
_SHORT = 1 << 16
"""Bytes that a request is expected to have at most: then one call reads it."""


def encoder() -> Any:
    """Gives for a message and 0 the parts of its JSON text in ASCII: what `json.dumps` makes anew each time, with all its functions."""
    ascii_text = json.encoder.encode_basestring_ascii
    return json.encoder.c_make_encoder(  # type: ignore[attr-defined]
        None, json.JSONEncoder().default, ascii_text, None, ": ", ", ", False, False, True
    )


_chunks = encoder()


def encode(message: Any) -> str:
    """JSON text in ASCII, as `json.dumps` gives it. Raises TypeError, ValueError or RecursionError on what is not JSON."""
    return "".join(_chunks(message, 0))


class ProtocolError(ValueError):
    """The other side broke the framing or sent more than it may."""


class MessageTooLong(ProtocolError):
    """A message of `size` bytes, more than the reader allows; nothing of its body was read."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"a message of {size} bytes, allowed {limit}")
        self.size = size


def send(line: _socket.socket | int, message: Any) -> None:
    """Writes one message. Raises OSError when nobody reads."""
    send_encoded(line, encode(message))


def send_encoded(line: _socket.socket | int, text: str) -> None:
    """Writes one message that is JSON text already. Raises OSError when nobody reads."""
    body = text.encode("ascii")
    body = _HEAD.pack(len(body)) + body
    if not isinstance(line, int):
        line.sendall(body)
    elif (done := os.write(line, body)) < len(body):
        write(line, body[done:])


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
    """One request of the test runner's, which is believed, and which sends no other before it has the reply; marshalled, because in
    a new process reading JSON copies twice as many pages. Raises EOFError, OSError, MessageTooLong."""
    got = os.read(line, _SHORT)
    if len(got) < _HEAD.size:
        got += read_exactly(line, _HEAD.size - len(got))
    (n,) = _HEAD.unpack_from(got)
    if n > LIMIT:
        raise MessageTooLong(n, LIMIT)
    if missing := n + _HEAD.size - len(got):
        got += read_exactly(line, missing)
    request: list[Any] = marshal.loads(memoryview(got)[_HEAD.size :])
    return request


def read_exactly(line: _socket.socket | int, n: int) -> bytes:
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


def receive(line: _socket.socket | int, decoder: json.JSONDecoder = DECODER, limit: int = LIMIT) -> Any:
    """One message. Raises EOFError, OSError, MessageTooLong, ProtocolError (not JSON)."""
    return parse(receive_text(line, limit), decoder)


def receive_text(line: _socket.socket | int, limit: int = LIMIT) -> str:
    """The text of one message, unread. Raises EOFError, OSError, MessageTooLong."""
    return _receive_body(line, limit).decode("ascii", "replace")


def _receive_body(line: _socket.socket | int, limit: int) -> bytes:
    (n,) = _HEAD.unpack(read_exactly(line, 4))
    if n > limit:
        raise MessageTooLong(n, limit)
    return read_exactly(line, n)


def descriptors_size(count: int) -> int:
    """Room for as many descriptors beside the bytes of a message."""
    return _socket.CMSG_SPACE(count * _INT)


def send_with_descriptors(line: _socket.socket, body: bytes, *descriptors: int) -> None:
    """Writes bytes, and hands descriptors to who reads them. `socket.send_fds`, without a module that each fork would hold."""
    packed = struct.pack(f"{len(descriptors)}i", *descriptors)
    line.sendmsg([body], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)])


def receive_with_descriptor(line: _socket.socket, size: int) -> list[Any]:
    """What `send_with_descriptors` has sent: at most `size` bytes, which are empty at the end, and the one descriptor."""
    body, control, _, _ = line.recvmsg(size, descriptors_size(1))
    return [body, *(struct.unpack("i", data)[0] for _, _, data in control)]


def parse(text: str, decoder: json.JSONDecoder = DECODER) -> Any:
    """The JSON value that a text begins with. Raises ProtocolError."""
    try:
        return decoder.raw_decode(text)[0]
    except (ValueError, TypeError, KeyError, RecursionError, ArithmeticError) as error:
        raise ProtocolError(f"not a message: {type(error).__name__}") from error
