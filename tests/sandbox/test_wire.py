"""Messages arrive as they were sent, however the kernel cuts them; the text is what the standard library writes."""

import json
import marshal
import math
import os
import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.sandbox import wire

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
PLAIN = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(PLAIN)
def test_the_text_is_that_of_the_standard_library(value):
    assert wire.encode(value) == json.dumps(value)
    assert wire.parse(wire.encode(value)) == value


def test_what_is_no_json_is_refused_and_infinity_is_not():
    assert wire.encode([math.inf, (1, 2), {1: None}]) == json.dumps([math.inf, (1, 2), {1: None}])
    for value in (object(), {1, 2}, b"x", {(1, 2): 3}):
        with pytest.raises(TypeError):
            wire.encode(value)
    deep: list = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        wire.encode(deep)


@pytest.mark.parametrize("size", [0, 1, 8000, 8192 - 4 - 12, 8192, 100_000])
@pytest.mark.parametrize("step", [1, 3, 5, 8191, 1 << 20])
def test_a_request_arrives_whole_however_it_is_cut(size, step):
    ours, theirs = socket.socketpair()
    request = ["load", "x" * size, True]
    body = marshal.dumps(request)
    body = struct.pack(">I", len(body)) + body

    def write():
        for start in range(0, len(body), step if size < 9000 else max(step, 999)):
            ours.sendall(body[start : start + (step if size < 9000 else max(step, 999))])

    writer = threading.Thread(target=write)
    writer.start()
    with ours, theirs:
        assert wire.receive_request(theirs.fileno()) == request
        writer.join()


@pytest.mark.parametrize("cut", [0, 2, 4, 9])
def test_a_request_that_breaks_off_is_an_end(cut):
    reading, writing = os.pipe()
    body = marshal.dumps(["load", "program", True])
    os.write(writing, (struct.pack(">I", len(body)) + body)[:cut])
    os.close(writing)
    with pytest.raises(EOFError):
        wire.receive_request(reading)
    os.close(reading)


def test_a_request_that_is_too_long_is_not_read():
    reading, writing = os.pipe()
    os.write(writing, struct.pack(">I", wire.LIMIT + 1))
    with pytest.raises(wire.MessageTooLong):
        wire.receive_request(reading)
    os.close(reading), os.close(writing)
