"""The bytes of an HTTP/1.1 reply, as they arrive, into status, headers and body.

    reader = ReplyReader()
    reader.begin()
    reply = reader.feed(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok")     # None until the reply is whole

Raises NotHttpError and TooLargeError. Invariant: a reply is given once it has ended as its head says, by a length, a last chunk or
the end of the connection, and never before.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import NamedTuple

MAX_HEAD_BYTES = 256 * 2**10
"""Of all headers together: the policies and cookies of a company's proxy can be long."""
MAX_BODY_BYTES = 64 * 2**20
"""A reply of 100 texts of 8,192 tokens has about 4 MiB."""
_STATUS = re.compile(rb"HTTP/(1\.[0-9])[ ]+([0-9]{3})(?:[ ]|$)")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class HttpReply(NamedTuple):
    """A reply: headers by their names in lower case, the body unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotHttpError(Exception):
    """What came is no HTTP, or packed in a way that nobody asked for."""


class TooLargeError(Exception):
    """The body is larger than `MAX_BODY_BYTES`; the rest was not read."""


class ReplyReader:
    """Reads the replies of one connection, one after the other."""

    def begin(self, is_connect: bool = False) -> None:
        """A new request is sent. is_connect: a success has no body, because the way to another server begins."""
        self._is_connect, self.is_kept = is_connect, False
        self._rest = b""
        self._status, self._headers = 0, {}
        self._parts = []
        self._size, self._chunks = 0, None
        self._length = 0

    _chunks: _Chunks | None
    _length: int | None
    """Of the body; None: it goes on until the connection ends, or is in chunks."""

    _status: int
    _headers: dict[str, str]
    _parts: list[bytes]
    is_kept: bool
    """Whether the connection can be used again, once the reply is whole."""

    def feed(self, data: bytes) -> HttpReply | None:
        """Takes what arrived; returns the reply when it is whole."""
        if not self._status:
            data = self._rest + data
            while not self._status:
                if (body := self._read_head(data)) is None:
                    self._rest = data
                    return None
                data = body
        if self._chunks is not None:
            is_whole = self._chunks.feed(data, self._parts)
            self._size = self._chunks.size
        else:
            self._parts.append(data)
            self._size += len(data)
            is_whole = self._length is not None and self._size >= self._length
        if self._size > MAX_BODY_BYTES:
            raise TooLargeError
        return self._whole() if is_whole else None

    def ended(self) -> HttpReply | None:
        """The connection has ended; returns the reply when that is how it ends."""
        return self._whole() if self._status and self._length is None and self._chunks is None else None

    def _read_head(self, data: bytes) -> bytes | None:
        """Reads a head; returns what is behind it, None while it is not whole. That of an interim reply (100, 103) is skipped."""
        data = data.lstrip(b"\r\n")
        if not b"HTTP/1."[: len(data)] == data[:7]:
            raise NotHttpError(f"it begins with {data[:40]!r}")
        end = _HEAD_END.search(data)
        if end is None or end.start() > MAX_HEAD_BYTES:
            if len(data) > MAX_HEAD_BYTES:
                raise NotHttpError(f"headers of more than {MAX_HEAD_BYTES >> 10} KiB")
            return None
        first, *lines = data[: end.start()].splitlines()
        line = _STATUS.match(first)
        if line is None:
            raise NotHttpError(f"it begins with {first[:40]!r}")
        status = int(line[2])
        if status == 101 or status < 100:
            raise NotHttpError(f"the status {status}")
        if status >= 200:
            self._status, self._headers = status, _headers(lines)
            self._expect_body(is_new=line[1] != b"1.0")
        return data[end.end() :]

    def _expect_body(self, is_new: bool) -> None:
        headers = self._headers
        wishes = headers.get("connection", "").lower()
        self.is_kept = "close" not in wishes if is_new else "keep-alive" in wishes
        if self._status in (204, 304) or (self._is_connect and 200 <= self._status < 300):
            return
        if "chunked" in headers.get("transfer-encoding", "").lower():
            self._chunks, self._length = _Chunks(), None
        elif (length := headers.get("content-length")) is not None:
            if not (length.isascii() and length.isdigit()):
                raise NotHttpError(f"the content-length {length[:40]!r}")
            self._length = int(length[:20])
            if self._length > MAX_BODY_BYTES:
                raise TooLargeError
        else:
            self._length, self.is_kept = None, False

    def _whole(self) -> HttpReply:
        body = b"".join(self._parts)
        behind = (
            self._chunks.behind
            if self._chunks is not None
            else body[self._length :]
            if self._length is not None
            else b""
        )
        if behind:  # what nobody asked for
            self.is_kept, body = False, body if self._chunks is not None else body[: self._length]
        return HttpReply(self._status, self._headers, _unpacked(body, self._headers.get("content-encoding", "")))


def _headers(lines: list[bytes]) -> dict[str, str]:
    """By lower-case name; of a name that is there twice, the first one."""
    found: dict[str, str] = {}
    last = ""
    for line in lines:
        text = line.decode("utf-8", "replace")
        if text[:1] in (" ", "\t"):  # an old way to go on with a header
            found[last] = f"{found.get(last, '')} {text.strip()}"
            continue
        name, colon, value = text.partition(":")
        last = name.strip().lower()
        if colon and found.setdefault(last, value.strip()) != value.strip() and last == "content-length":
            raise NotHttpError("two lengths")
    return found


class _Chunks:
    """Takes the body out of `transfer-encoding: chunked`."""

    def __init__(self) -> None:
        self._rest, self._left = b"", 0
        self._is_inside, self._is_last = False, False
        self.size, self.behind = 0, b""
        """What came behind the last chunk."""

    def feed(self, data: bytes, parts: list[bytes]) -> bool:
        """Adds the data of chunks to `parts`; returns whether the last one has come, with the trailers."""
        data, self._rest, at = self._rest + data, b"", 0
        while True:
            if self._left:
                part = data[at : at + self._left]
                parts.append(part)
                self.size += len(part)
                self._left -= len(part)
                at += len(part)
                if self._left:
                    return False
            end = data.find(b"\n", at)
            if end < 0:
                self._rest = data[at:]
                if len(self._rest) > MAX_HEAD_BYTES:
                    raise NotHttpError("a chunk without end")
                return False
            line, at = data[at:end].rstrip(b"\r"), end + 1
            if self._is_last:  # trailers, up to an empty line
                if not line:
                    self.behind = data[at:]
                    return True
            elif self._is_inside:  # the line break behind the data of a chunk
                if line:
                    raise NotHttpError("a chunk that is longer than it says")
                self._is_inside = False
            else:
                self._begin(line)

    def _begin(self, line: bytes) -> None:
        size = line.partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", size):
            raise NotHttpError(f"the size {size[:40]!r} of a chunk")
        self._left = int(size, 16)
        self._is_inside, self._is_last = self._left > 0, self._left == 0


def _unpacked(body: bytes, encoding: str) -> bytes:
    for name in reversed([name.strip().lower() for name in encoding.split(",")]):
        if name in ("", "identity", "none") or not body:
            continue
        if name not in _WINDOWS:
            raise NotHttpError(f"it is packed as {name[:40]!r}")
        body = _inflated(body, _WINDOWS[name])
    return body


def _inflated(body: bytes, window: int) -> bytes:
    if window == 15 and (body[0] & 15 != 8 or len(body) < 2 or int.from_bytes(body[:2]) % 31):
        window = -15  # some servers call it deflate when the head of zlib is missing
    parts: list[bytes] = []
    size = 0
    while body:  # an end that is missing is left to whoever reads what is there
        unpacker = zlib.decompressobj(window)
        try:
            part = unpacker.decompress(body, MAX_BODY_BYTES + 1 - size)
        except zlib.error as error:
            raise NotHttpError(f"it cannot be unpacked: {error}") from None
        parts.append(part)
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise TooLargeError
        body = unpacker.unused_data if window == 31 else b""  # gzip may have several members
    return b"".join(parts)
