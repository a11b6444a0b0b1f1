"""Bytes into HTTP replies: bodies by length, in chunks and up to the end; packed ones; what is no reply."""

import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.teacher import http_reply
from evoltune.teacher.http_reply import NotHttpError, ReplyReader, TooLargeError

TEXT = b'{"a": "\xc3\xa9"}' * 5


def chunked(data, size):
    parts = (data[i : i + size] for i in range(0, len(data), size))
    return b"".join(b"%x;name=v\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\nx-sum: 1\r\n\r\n"


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def packed(name, data):
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s" % (name, len(data), data)


WHOLE = {
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(TEXT), TEXT),
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(TEXT, 7),
    "both: the chunks count": b"HTTP/1.1 200\r\ncontent-length: 3\r\ntransfer-encoding: Chunked\r\n\r\n"
    + chunked(TEXT, 30),
    "interim replies": b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(TEXT), TEXT),
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: %d\n\n%s" % (len(TEXT), TEXT),
    "gzip": packed(b"gzip", gzip.compress(TEXT)),
    "gzip in two members": packed(b"x-gzip", gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:])),
    "gzip without its sum": packed(b"gzip", gzip.compress(TEXT)[:-5]),
    "deflate": packed(b"deflate", zlib.compress(TEXT)),
    "deflate without a head": packed(b"deflate", raw_deflate(TEXT)),
    "twice": packed(b"deflate, gzip", gzip.compress(zlib.compress(TEXT))),
}


def read(*parts, ends=False):
    """(reply, whether the connection is kept)."""
    reader = ReplyReader()
    reader.begin()
    replies = [reader.feed(part) for part in parts] + ([reader.ended()] if ends else [])
    found = [reply for reply in replies if reply is not None]
    assert len(found) <= 1 and (not found or found[0] is replies[-1])
    return (found or [None])[0], reader.is_kept


@given(st.sampled_from(sorted(WHOLE)), st.lists(st.integers(1, 400), max_size=8, unique=True))
def test_where_the_bytes_are_cut_in_two_changes_nothing(name, cuts):
    data = WHOLE[name]
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    reply, is_kept = read(*(data[a:b] for a, b in pairwise(places)))
    assert (reply.status, reply.body, is_kept) == (200, TEXT, True)


@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_a_reply_that_is_cut_short_is_none(name, data):
    whole = WHOLE[name]
    assert read(whole[: data.draw(st.integers(1, len(whole) - 1))], ends=True)[0] is None


def test_a_reply_without_length_goes_on_until_the_connection_ends():
    head = b"HTTP/1.1 200 OK\r\nX-One: a\r\nX-One: b\r\nX-Long: c\r\n d\r\n\r\n"
    reply, is_kept = read(head, TEXT, ends=True)
    assert (reply.body, is_kept) == (TEXT, False)
    assert reply.headers == {"x-one": "a", "x-long": "c d"}
    assert read(head, TEXT)[0] is None


@pytest.mark.parametrize(
    ("head", "is_kept"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200", False),
    ],
)
def test_a_connection_is_kept_where_both_sides_may_go_on(head, is_kept):
    reply, kept = read(head)
    assert (reply.body, kept) == (b"", is_kept)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * http_reply.MAX_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nsize\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n",
        packed(b"br", b"x"),
        packed(b"gzip", b"no gzip"),
    ],
)
def test_what_is_no_reply_is_refused(data):
    with pytest.raises(NotHttpError):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunked(b"x" * 2000, 100),
        packed(b"gzip", gzip.compress(b"x" * 2000)),
    ],
)
def test_a_body_that_is_too_large_is_not_read_to_its_end(monkeypatch, data):
    monkeypatch.setattr(http_reply, "MAX_BODY_BYTES", 1000)
    with pytest.raises(TooLargeError):
        read(data)
