"""The test runner's connection to a solution process, and proxies for objects that live there.

Invariant: what sees an expected value never decides the verdict. Plain values are compared here. A proxy equals no plain
value, is ordered against none, and does arithmetic with one only when the tests name its class; then the result is a
proxy again. Methods that answer a question about their argument (`startswith`, `issubset` ...) are refused on a proxy,
because the argument may be the expected value.

    connection.perform("call", {"n": "f"}, 1, 2)    # f(1, 2) in the solution process
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

PREDICATES = frozenset({"startswith", "endswith", "issubset", "issuperset", "isdisjoint", "equals", "isclose"})
KEPT_OUTPUT = 64 << 10
MAX_OUTPUT = 16 << 20
_SCALARS = values.PLAIN | {complex, bytes}
_CONTAINERS = (list, dict, set, deque, bytearray, tuple)


class SolutionExited(BaseException):
    """The solution process is gone. Not an Exception, so that tests that swallow exceptions do not swallow it."""


class SolutionConnection:
    """The test runner's end: requests to the solution process, the last part of its output, and a watch on the verifier
    process that waits for the verdict."""

    def __init__(self, channel: int, output: int, verifier: int) -> None:
        self.channel, self.verifier = channel, verifier
        self._output_pipe = output
        self.shared = False
        """Whether the test runner is reused for other jobs."""
        self._decoder = json.JSONDecoder(object_hook=self._untag)
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        self._poll.register(verifier, 0)  # hang-up only
        self._poll.register(output, select.POLLIN)
        self.reset()

    def reset(self) -> None:
        """Forgets everything of the job before."""
        self.output, self.kept_output, self.dropped_output = bytearray(), KEPT_OUTPUT, 0
        self.calls, self.dead, self.refused = 0, False, False
        """Calls into the program; whether it is gone; whether the tests ask for what a shared test runner refuses."""
        self.last_call: list[Any] = []
        """The result of the last call, where there was one."""
        self.callbacks: list[Callable[..., Any]] = []
        self.exceptions: dict[str, type[Exception]] = {}
        Proxy.named = frozenset()

    def use_channel(self, channel: int) -> None:
        """From now on the solution process is at the other end of this channel."""
        if self.channel != channel:
            self._poll.unregister(self.channel)
        self.channel = channel
        self._poll.register(channel, select.POLLIN)

    def wait(self) -> None:
        """Until the solution process sends something; reads its output meanwhile. Raises SolutionExited."""
        if self.dead:
            raise SolutionExited
        while True:
            events = {fd for fd, _ in self._poll.poll()}
            if self.verifier in events:
                self.dead = True
                raise SolutionExited("nobody waits for this verdict")
            if self._output_pipe in events and not self._read_output():
                self._poll.unregister(self._output_pipe)
            if self.channel in events:
                return

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
        """One request, one reply. Raises SolutionExited."""
        try:
            if self.dead:
                raise SolutionExited
            wire.send(self.channel, request)
            self.wait()
            return wire.receive(self.channel, decoder)
        except (EOFError, OSError) as error:
            self.dead = True
            raise SolutionExited from error

    def perform(self, operation: str, target: Any, *args: Any, **kwargs: Any) -> Any:
        """The result of an operation on an object in the solution process; raises the builtin exception nearest to what that
        raised. Arguments that it changed in place are changed here too."""
        self.calls += operation in ("call", "method")
        mutable = not all(type(a) in _SCALARS for a in (*args, *kwargs.values()))
        text = wire.encode([values.encode(list(args), self._outgoing), values.encode(kwargs, self._outgoing)])
        try:
            reply = self.ask(["do", operation, target, text, mutable], self._decoder)
            while reply[0] == "callback":
                reply = self.ask(self._run_callback(reply), self._decoder)
            if reply[0] == "ok":
                _, result, after = reply
                if after is not None:
                    update_in_place([list(args), kwargs], wire.parse(after, self._decoder))
                if operation == "call":
                    self.last_call = [result]
                return result
            _, names, message, _ = reply
            kind = self._exception(names)
        except wire.ProtocolError as error:
            raise ValueError(f"the program gave no value: {error}") from error
        except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
            raise ValueError(f"the program gave no value: {type(error).__name__}") from error
        raise kind(str(message))

    def _run_callback(self, reply: list[Any]) -> list[Any]:
        """The program calls a function that the test passed to it."""
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
        if isinstance(value, Proxy):
            return value._target
        if callable(value):
            self.callbacks.append(value)
            return {"j": len(self.callbacks) - 1}
        raise values.UnencodableError(f"a test passes a {type(value).__name__} to the program: not plain data")

    def _untag(self, tagged: dict[str, Any]) -> Any:
        if "h" in tagged and len(tagged) == 1:
            number, home, awaitable = tagged["h"]
            proxy = Proxy(self, {"h": int(number)}, str(home))
            return _awaited(proxy) if awaitable is True else proxy
        if "n" in tagged and len(tagged) == 1:
            return Proxy(self, {"n": str(tagged["n"])}, "")
        return values.untag(tagged)


async def _awaited(proxy: Proxy) -> Any:
    return proxy._connection.perform("finish", proxy._target)


def update_in_place(old: Any, new: Any) -> None:
    """Gives the tests' containers the contents that a call left in the program's copies of them."""
    if isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            old[:] = new
            return
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            if isinstance(a, _CONTAINERS) and type(a) is type(b):
                update_in_place(a, b)
            elif not isinstance(a, Proxy) and not callable(a):
                old[i] = b
    elif isinstance(old, tuple) and isinstance(new, tuple):
        for a, b in zip(old, new, strict=False):
            update_in_place(a, b)
    elif isinstance(old, dict) and isinstance(new, dict):
        if [*old] == [*new] and all(isinstance(v, list | dict | set) for v in old.values()):
            for key, value in new.items():
                update_in_place(old[key], value)
        else:
            old.clear()
            old.update(new)
    elif isinstance(old, set | deque | bytearray) and type(old) is type(new):
        old.clear()
        (old.update if isinstance(old, set) else old.extend)(new)


class Proxy:
    """An object of the program that is no plain value: a function, a class, an instance, an iterator."""

    __slots__ = ("_connection", "_home", "_mixed", "_target")
    named: frozenset[str] = frozenset()
    """Classes that the tests name, other than the entry point; set once per job."""

    def __init__(self, connection: SolutionConnection, target: dict[str, Any], home: str) -> None:
        state = ("_connection", connection), ("_target", target), ("_home", home), ("_mixed", False)
        for name, value in state:  # past our own __setattr__
            object.__setattr__(self, name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._connection.perform("call", self._target, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or (name in PREDICATES and self._home not in self.named):
            raise AttributeError(name)
        return self._connection.perform("getattr", self._target, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._connection.perform("setattr", self._target, name, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Proxy) and bool(self._connection.perform("eq", self._target, other))

    def __hash__(self) -> int:
        return hash(repr(self._target))

    def __instancecheck__(self, value: object) -> bool:
        return isinstance(value, Proxy) and self._connection.perform("isinstance", self._target, value) is True

    def __iter__(self) -> Iterator[Any]:
        iterator = self._connection.perform("iter", self._target)
        return iterator._items() if isinstance(iterator, Proxy) else iter(iterator)

    def _items(self) -> Iterator[Any]:
        while True:
            try:
                yield self._connection.perform("next", self._target)
            except StopIteration:
                return

    def __next__(self) -> Any:
        return self._connection.perform("next", self._target)

    def __enter__(self) -> Any:
        return self._connection.perform("method", self._target, "__enter__")

    def __exit__(self, *_: object) -> None:
        self._connection.perform("method", self._target, "__exit__", None, None, None)


def _unary(name: str) -> Callable[..., Any]:
    def operation(self: Proxy, *args: Any) -> Any:
        if self._mixed:
            raise TypeError("the program's object has met a value of the test's")
        return self._connection.perform(name, self._target, *args)

    return operation


def _binary(name: str, orders: bool = False) -> Callable[..., Any]:
    def operation(self: Proxy, other: Any) -> Any:
        if isinstance(other, Proxy):
            return self._connection.perform(name, self._target, other)
        if orders or self._home not in self.named:
            return NotImplemented
        result = self._connection.perform(name, self._target, other)
        if not isinstance(result, Proxy):
            raise TypeError("the program's object met a value of the test's, and no object came back")
        object.__setattr__(result, "_mixed", True)
        return result

    return operation


ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor")
ORDERINGS = ("lt", "le", "gt", "ge")
_UNARY = "str repr len bool float int abs round format complex neg pos invert index getitem setitem delitem"
for _name in _UNARY.split():
    setattr(Proxy, f"__{_name}__", _unary(_name))
for _name in ARITHMETIC:
    setattr(Proxy, f"__{_name.rstrip('_')}__", _binary(_name))
    setattr(Proxy, f"__r{_name.rstrip('_')}__", _binary("r" + _name))
for _name in ORDERINGS:
    setattr(Proxy, f"__{_name}__", _binary(_name, orders=True))
