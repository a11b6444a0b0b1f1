"""The test runner's connection to a solution process, and handles for objects that live there.

Invariant: what sees an expected value never decides the verdict. Only plain values of exactly the types in `values` are
copied here; everything else is a handle, which can be called, iterated and asked for attributes. Any other use of it, above
all a comparison, raises `NeedsSameProcess`: a copy would not behave as the object does.

    connection.perform("call", {"n": "f"}, 1, 2)    # f(1, 2) in the solution process
"""

from __future__ import annotations

import builtins
import json
import os
import select
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from evoltune.sandbox import values, wire

PREDICATES = frozenset({"startswith", "endswith", "issubset", "issuperset", "isdisjoint", "equals", "isclose"})
"""Methods that answer a question about their argument, which may be the expected value."""
KEPT_OUTPUT = 64 << 10
MAX_OUTPUT = 16 << 20
ENDLESS_OUTPUT = 4 * MAX_OUTPUT
"""Bytes after which a program whose output is compared is taken to print without end."""
AHEAD = 1024
"""Items of an iterator in the program that are fetched at once, at most; it begins with one."""
TICK_MS = 5
"""How often replies are looked at while further calls run, so that a wrong one ends them soon."""
BUSY = 32 << 10
"""Bytes of replies in one tick from which on they are read as they come: the pipe holds twice as many."""


class SolutionExited(BaseException):
    """The solution process is gone. Not an Exception, so that tests that swallow exceptions do not swallow it."""


class NeedsSameProcess(BaseException):
    """The tests use a value in a way that only the process in which it lives can answer."""


class PrintsWithoutEnd(Exception):
    """The program has printed more than the caller allows."""


class SolutionConnection:
    """The test runner's end: requests to the solution process, the last part of its output, and a watch on the verifier
    process that waits for the verdict."""

    def __init__(self, channel: int, output: int, verifier: int, replies: int) -> None:
        self.channel, self.verifier, self.replies_pipe = channel, verifier, replies
        os.set_blocking(replies, False)
        self._output_pipe = output
        self._decoder = json.JSONDecoder(object_hook=self._untag)
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        self._poll.register(verifier, 0)  # hang-up only
        self._poll.register(output, select.POLLIN)
        self.reset()

    def reset(self) -> None:
        """Forgets everything of the job before."""
        self.output, self.kept_output, self.dropped_output = bytearray(), KEPT_OUTPUT, 0
        self.most_output = 0
        """Bytes of output from which on nothing is waited for; 0: it may be any."""
        self.calls, self.dead = 0, False
        """Calls into the program; whether it is gone."""
        self.last_call: list[Any] = []
        """The result of the last call, where there was one."""

    def use_channel(self, channel: int, replies: int) -> None:
        """From now on the solution process is at the other end of this channel and this pipe."""
        if self.channel != channel:
            self._poll.unregister(self.channel)
        self.channel, self.replies_pipe = channel, replies
        os.set_blocking(replies, False)
        self._poll.register(channel, select.POLLIN)

    def wait(self, timeout_ms: int | None = None) -> bool:
        """Until the solution process sends something on the channel, or the time is over; reads its output meanwhile. Returns
        whether it sent something. Raises SolutionExited, PrintsWithoutEnd."""
        if self.dead:
            raise SolutionExited
        while True:
            events = {fd for fd, _ in self._poll.poll(timeout_ms)}
            if self.verifier in events:
                self.dead = True
                raise SolutionExited("nobody waits for this verdict")
            if self._output_pipe in events and not self._read_output():
                self._poll.unregister(self._output_pipe)
            if self.most_output and self.dropped_output + len(self.output) > self.most_output:
                raise PrintsWithoutEnd
            if self.channel in events:
                return True
            if timeout_ms is not None:
                return False

    def _read_output(self) -> bool:
        chunk = os.read(self._output_pipe, 1 << 16)
        self.output += chunk
        if len(self.output) > 2 * self.kept_output:
            self.dropped_output += len(self.output) - self.kept_output
            del self.output[: -self.kept_output]
        return bool(chunk)

    def drain(self) -> bytes:
        """Reads what is in the pipe now. Returns the output so far, its last part where it is long."""
        ready = select.poll()
        ready.register(self._output_pipe, select.POLLIN)
        while any(event & select.POLLIN for _, event in ready.poll(0)) and self._read_output():
            if self.dropped_output > MAX_OUTPUT:
                break
        return bytes(self.output[-self.kept_output :])

    def ask(self, request: list[Any], decoder: json.JSONDecoder = wire.DECODER) -> Any:
        """One request, one reply. Raises SolutionExited, ProtocolError."""
        return wire.parse(self._ask(request), decoder)

    def _ask(self, request: list[Any]) -> str:
        """The text of the reply. Raises SolutionExited, MessageTooLong."""
        self._send(request)
        try:
            self.wait()
            return wire.receive_text(self.channel)
        except (EOFError, OSError) as error:
            self.dead = True
            raise SolutionExited from error

    def _send(self, request: list[Any]) -> None:
        if self.dead:
            raise SolutionExited
        try:
            wire.send_request(self.channel, request)
        except OSError as error:
            self.dead = True
            raise SolutionExited from error

    def replies(self, function: str, argument_lists: Sequence[Any], *, whole: bool) -> Iterator[str]:
        """The text of the reply to each call, as `reply` gives it, or where not `whole` the digest of a long result. The calls
        run one after the other without a word between, up to one whose result stays with the program. After a caller has
        stopped early nothing else can be asked. Raises SolutionExited, ProtocolError."""
        done, size = 0, len(argument_lists)
        while done < len(argument_lists):
            batch = wire.encode(argument_lists[done : done + size])
            before = done
            for text in self._replies_to(["calls", function, batch, whole]):
                self.calls += 1
                done += 1
                yield text
            size = max(1, 2 * (done - before))
            if done == before:
                raise wire.ProtocolError("no reply")

    def _replies_to(self, request: list[Any]) -> Iterator[str]:
        """The lines of the pipe of replies, as many as the channel says at last. Also when the solution process is gone or
        silent, those it wrote before come first."""
        parts, given, count = list[bytes](), 0, -1
        self._send(request)
        gone = busy = False
        while count < 0 or given < count:
            if not gone and count < 0:
                count, gone = self._count(busy)
            chunk = self._available()
            busy = len(chunk) >= BUSY or (bool(parts) and not chunk.endswith(b"\n"))
            if not chunk and (gone or count >= 0):
                break
            parts.append(chunk)
            if b"\n" not in chunk:
                if sum(map(len, parts)) > wire.LIMIT:
                    raise wire.ProtocolError("a reply without an end")
                continue
            *lines, rest = b"".join(parts).split(b"\n")
            parts = [rest] if rest else []
            for line in lines:
                given += 1
                if (
                    count < 0 and not gone and b'{"h"' in line
                ):  # the calls end here, and the caller may ask for that object
                    count, gone = self._count(None)
                yield line.decode("ascii", "replace")
        if gone:
            self.dead, self.calls = True, self.calls + 1
            raise SolutionExited
        if given != count:
            raise wire.ProtocolError(f"{given} replies, {count} announced")

    def _count(self, busy: bool | None) -> tuple[int, bool]:
        """The number of replies, -1 while it is not known, and whether the solution process is gone; waits a tick, or as long
        as it takes where `busy` is None."""
        try:
            if busy:
                self._poll.register(self.replies_pipe, select.POLLIN)
            if not self.wait(None if busy is None else TICK_MS):
                return -1, False
            count = wire.receive(self.channel)
        except SolutionExited:
            self.dead = False  # not before its replies were read
            return -1, True
        except (EOFError, OSError):
            return -1, True
        finally:
            if busy:
                self._poll.unregister(self.replies_pipe)
        if type(count) is not int or count < 0:
            raise wire.ProtocolError("no count of replies")
        return count, False

    def _available(self) -> bytes:
        """What stands in the pipe of replies, up to 1 MiB."""
        parts = list[bytes]()
        with suppress(BlockingIOError):
            while (chunk := os.read(self.replies_pipe, 1 << 16)) and len(parts) < 16:
                parts.append(chunk)
        return b"".join(parts)

    def perform(self, operation: str, target: Any, /, *args: Any, **kwargs: Any) -> Any:
        """The result of an operation on an object in the solution process; raises the builtin exception nearest to what that
        raised."""
        return self.result(self.reply(operation, target, *args, **kwargs), operation)

    def reply(self, operation: str, target: Any, /, *args: Any, **kwargs: Any) -> str | Exception:
        """The text of the reply to an operation, unread, for `result`; equal texts hold equal results. Or what is wrong."""
        self.calls += operation == "call"
        try:
            text = wire.encode([values.encode(list(args), _outgoing), values.encode(kwargs, _outgoing)])
        except values.UnencodableError as error:
            raise NeedsSameProcess(f"an argument cannot be copied: {error}") from None
        try:
            return self._ask(["do", operation, target, text])
        except wire.ProtocolError as error:
            return error

    def result(self, text: str | Exception, operation: str = "call") -> Any:
        """What a reply holds; raises as `perform`."""
        try:
            if isinstance(text, Exception):
                raise text
            reply = wire.parse(text, self._decoder)
            if reply[0] == "ok":
                result = reply[1]
                if operation == "call":
                    self.last_call = [result]
                return result
            _, names, message, _ = reply
            kind = _exception(names)
        except wire.ProtocolError as error:
            raise ValueError(f"the program gave no value: {error}") from error
        except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
            raise ValueError(f"the program gave no value: {type(error).__name__}") from error
        raise _made(kind, str(message))

    def _untag(self, tagged: dict[str, Any]) -> Any:
        if "h" in tagged and len(tagged) == 1:
            return Proxy(self, {"h": int(tagged["h"])})
        if "n" in tagged and len(tagged) == 1:
            return Proxy(self, {"n": str(tagged["n"])})
        return values.untag(tagged)


def _exception(names: list[str]) -> type[Exception]:
    for name in map(str, names):
        found = getattr(builtins, name, None)
        if isinstance(found, type) and issubclass(found, Exception):
            return found
    return Exception


def _made(kind: type[Exception], message: str) -> Exception:
    try:
        return kind(message)
    except TypeError:  # UnicodeDecodeError and its like take other arguments
        return kind.__new__(kind)


def _outgoing(value: Any) -> Any:
    if isinstance(value, Proxy):
        return object.__getattribute__(value, "_target")
    raise NeedsSameProcess(f"a test passes a {type(value).__name__} to the program")


_outgoing.exact = True  # type: ignore[attr-defined]


class Proxy:
    """A handle: an object of the program that is no plain value, such as a function, an instance or an iterator."""

    __slots__ = ("_connection", "_target")

    def __init__(self, connection: SolutionConnection, target: dict[str, Any]) -> None:
        for name, value in (("_connection", connection), ("_target", target)):  # past our own __setattr__
            object.__setattr__(self, name, value)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._connection.perform("call", self._target, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in PREDICATES:
            raise NeedsSameProcess(f"the tests ask an object of the program for {name}")
        return self._connection.perform("getattr", self._target, name)

    def __iter__(self) -> Iterator[Any]:
        iterator = self._connection.perform("iter", self._target)
        ahead, ended = 1, False
        while not ended:
            items, ended = self._connection.perform("take", iterator._target, ahead)
            yield from items
            ahead = min(2 * ahead, AHEAD)

    def __next__(self) -> Any:
        return self._connection.perform("next", self._target)


def _refuse(name: str) -> Callable[..., Any]:
    def refuse(self: Proxy, *args: Any) -> Any:
        raise NeedsSameProcess(f"the tests use {name} of an object of the program")

    return refuse


_ELSE = (
    "eq ne lt le gt ge hash bool len contains getitem setitem delitem setattr delattr str repr format int float complex index abs round "
    "neg pos invert add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift radd rsub rmul rtruediv rfloordiv rmod rpow "
    "rmatmul rand ror rxor rlshift rrshift iadd reversed enter exit trunc floor ceil bytes copy deepcopy reduce_ex"
)
for _name in _ELSE.split():
    setattr(Proxy, f"__{_name}__", _refuse(f"__{_name}__"))
