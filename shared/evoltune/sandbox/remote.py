"""The judge's stand-ins for what lives in the candidate, and the conversation behind them.

Invariant: what sees an expected value never decides the verdict. Plain values are compared here. A stand-in equals no
plain value, is ordered against none, and does arithmetic with one only when the tests name its class; then the result
stays a stand-in. Methods of builtin values that answer a question about their argument (`startswith`, `issubset` ...)
are refused on a stand-in, for the argument may be the expected value.
"""

from __future__ import annotations

import builtins
import json
import os
import select
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from evoltune.sandbox import values, wire

PREDICATES = frozenset(
    {"startswith", "endswith", "issubset", "issuperset", "isdisjoint", "equals", "isclose"}
)
RING = 64 << 10
MAX_OUTPUT = 16 << 20
_dumps = json.JSONEncoder(check_circular=False).encode
_SCALARS = values.PLAIN | {complex, bytes}


class Dead(BaseException):
    """The candidate is gone. Not an Exception: tests that swallow exceptions must not swallow this."""


class Link:
    """The judge's end: requests to the candidate, its output kept in a ring, and a watch on the checker."""

    def __init__(self, channel: int, output: int, checker: int) -> None:
        self.channel, self.output, self.checker = channel, output, checker
        self.out, self.keep, self.dropped = bytearray(), RING, 0
        self.calls, self.last, self.dead = 0, ("", ""), False
        self.callbacks: list[Callable[..., Any]] = []
        self.exceptions: dict[str, type[Exception]] = {}
        self.shared, self.refused = False, False
        """Whether this judge stays for other tests; whether these ask for what such a judge does not hand out."""
        self._decoder = json.JSONDecoder(object_hook=self._untag)
        self._poll = select.poll()
        self.attend(channel)
        self._poll.register(checker, 0)  # hang-up only
        self._poll.register(output, select.POLLIN)

    def attend(self, channel: int) -> None:
        """From now on the candidate speaks on this channel."""
        if self.channel != channel:
            self._poll.unregister(self.channel)
        self.channel = channel
        self._poll.register(channel, select.POLLIN)

    def wait(self) -> None:
        """Until the candidate says something; takes up its output meanwhile."""
        if self.dead:
            raise Dead
        while True:
            events = {fd for fd, _ in self._poll.poll()}
            if self.checker in events:
                self.dead = True
                raise Dead("nobody waits for this verdict")
            if self.output in events and not self._take():
                self._poll.unregister(self.output)
            if self.channel in events:
                return

    def _take(self) -> bool:
        chunk = os.read(self.output, 1 << 16)
        self.out += chunk
        if len(self.out) > 2 * self.keep:
            self.dropped += len(self.out) - self.keep
            del self.out[: -self.keep]
        return bool(chunk)

    def drain(self) -> bytes:
        """What is in the pipe now; the output so far."""
        ready = select.poll()
        ready.register(self.output, select.POLLIN)
        while any(event & select.POLLIN for _, event in ready.poll(0)) and self._take():
            if self.dropped > MAX_OUTPUT:
                break
        return bytes(self.out[-self.keep :])

    def ask(self, request: list[Any], decoder: json.JSONDecoder = wire.DECODER) -> Any:
        """One request, one reply. Raises Dead."""
        try:
            if self.dead:
                raise Dead
            wire.send(self.channel, request)
            self.wait()
            return wire.receive(self.channel, decoder)
        except (EOFError, OSError) as error:
            self.dead = True
            raise Dead from error

    def do(self, what: str, target: Any, *args: Any, **kwargs: Any) -> Any:
        """An operation on a thing in the candidate; gives its result or raises what it raised."""
        self.calls += what in ("call", "method")
        mutable = not all(type(a) in _SCALARS for a in (*args, *kwargs.values()))
        text = _dumps([values.encode(list(args), self._outgoing), values.encode(kwargs, self._outgoing)])
        try:
            reply = self.ask(["do", what, target, text, mutable], self._decoder)
            while reply[0] == "callback":
                reply = self.ask(self._called(reply), self._decoder)
            if reply[0] == "ok":
                _, result, after = reply
                if after is not None:
                    restore([list(args), kwargs], wire.parse(after, self._decoder))
                self.last = (what, result) if what == "call" else self.last
                return result
            _, names, message, _ = reply
            kind = self._exception(names)
        except wire.ProtocolError as error:
            raise ValueError(f"the program gave no value: {error}") from error
        except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
            raise ValueError(f"the program gave no value: {type(error).__name__}") from error
        raise kind(str(message))

    def _called(self, reply: list[Any]) -> list[Any]:
        """The program calls back a function that the test passed to it."""
        try:
            result = self.callbacks[reply[1]](*reply[2], **reply[3])
            return ["ok", values.encode(result, self._outgoing)]
        except Exception as error:  # noqa: BLE001 - the test's function may raise, the program may catch
            return ["raise", type(error).__name__, str(error)[:1000]]

    def _exception(self, names: list[str]) -> type[Exception]:
        for name in map(str, names):
            found = self.exceptions.get(name) or getattr(builtins, name, None)
            if isinstance(found, type) and issubclass(found, Exception):
                return found
        return Exception

    def _outgoing(self, value: Any) -> Any:
        if isinstance(value, Remote):
            return value._target
        if callable(value):
            self.callbacks.append(value)
            return {"j": len(self.callbacks) - 1}
        raise values.UnencodableError(
            f"a test passes a {type(value).__name__} to the program: not plain data"
        )

    def _untag(self, tagged: dict[str, Any]) -> Any:
        if "h" in tagged and len(tagged) == 1:
            number, home, awaitable = tagged["h"]
            thing = Remote(self, {"h": int(number)}, str(home))
            return _awaited(thing) if awaitable is True else thing
        if "n" in tagged and len(tagged) == 1:
            return Remote(self, {"n": str(tagged["n"])}, "")
        return values.untag(tagged)


async def _awaited(thing: Remote) -> Any:
    return thing._link.do("finish", thing._target)


def restore(old: Any, new: Any) -> None:
    """Gives the judge's containers the contents that the call left in the candidate's copies."""
    if isinstance(old, list) and isinstance(new, list):
        if len(old) == len(new):
            for i, (a, b) in enumerate(zip(old, new, strict=True)):
                if isinstance(a, list | dict | set | deque | bytearray | tuple) and type(a) is type(b):
                    restore(a, b)
                elif not isinstance(a, Remote) and not callable(a):
                    old[i] = b
        else:
            old[:] = new
    elif isinstance(old, tuple) and isinstance(new, tuple):
        for a, b in zip(old, new, strict=False):
            restore(a, b)
    elif isinstance(old, dict) and isinstance(new, dict):
        same_keys = [*old] == [*new]
        if same_keys and all(isinstance(v, list | dict | set) for v in old.values()):
            for key, value in new.items():
                restore(old[key], value)
        else:
            old.clear()
            old.update(new)
    elif isinstance(old, set) and isinstance(new, set):
        old.clear()
        old.update(new)
    elif isinstance(old, deque | bytearray) and type(old) is type(new):
        old.clear()
        old.extend(new)


class Remote:
    """A thing of the program's that is no plain value: a function, class, object, iterator."""

    __slots__ = ("_home", "_link", "_mixed", "_target")
    named: frozenset[str] = frozenset()
    """Classes that the tests name, other than the entry point; set once per job."""

    def __init__(self, link: Link, target: dict[str, Any], home: str) -> None:
        for name, value in (("_link", link), ("_target", target), ("_home", home), ("_mixed", False)):
            object.__setattr__(self, name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._link.do("call", self._target, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or (name in PREDICATES and self._home not in self.named):
            raise AttributeError(name)
        return self._link.do("getattr", self._target, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._link.do("setattr", self._target, name, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and bool(self._link.do("eq", self._target, other))

    def __hash__(self) -> int:
        return hash(repr(self._target))

    def __instancecheck__(self, value: object) -> bool:
        return isinstance(value, Remote) and self._link.do("isinstance", self._target, value) is True

    def __iter__(self) -> Iterator[Any]:
        iterator = self._link.do("iter", self._target)
        if not isinstance(iterator, Remote):
            return iter(iterator)
        return iterator._each()

    def _each(self) -> Iterator[Any]:
        while True:
            try:
                yield self._link.do("next", self._target)
            except StopIteration:
                return

    def __next__(self) -> Any:
        return self._link.do("next", self._target)

    def __enter__(self) -> Any:
        return self._link.do("method", self._target, "__enter__")

    def __exit__(self, *_: object) -> None:
        self._link.do("method", self._target, "__exit__", None, None, None)


def _unary(name: str) -> Callable[..., Any]:
    def operation(self: Remote, *args: Any) -> Any:
        if self._mixed:
            raise TypeError("the program's object has met a value of the test's")
        return self._link.do(name, self._target, *args)

    return operation


def _binary(name: str) -> Callable[..., Any]:
    def operation(self: Remote, other: Any) -> Any:
        if isinstance(other, Remote):
            return self._link.do(name, self._target, other)
        if self._home not in self.named:
            return NotImplemented
        result = self._link.do(name, self._target, other)
        if not isinstance(result, Remote):
            raise TypeError("the program's object met a value of the test's, and no object came back")
        object.__setattr__(result, "_mixed", True)
        return result

    return operation


def _ordering(name: str) -> Callable[..., Any]:
    def operation(self: Remote, other: Any) -> Any:
        return self._link.do(name, self._target, other) if isinstance(other, Remote) else NotImplemented

    return operation


for _name in ("str", "repr", "len", "bool", "float", "int", "abs", "round", "format", "complex", "neg", "pos", "invert", "index",
              "getitem", "setitem", "delitem"):  # fmt: skip
    setattr(Remote, f"__{_name}__", _unary(_name))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor"):
    setattr(Remote, f"__{_name.rstrip('_')}__", _binary(_name))
    setattr(Remote, f"__r{_name.rstrip('_')}__", _binary("r" + _name))
for _name in ("lt", "le", "gt", "ge"):
    setattr(Remote, f"__{_name}__", _ordering(_name))
