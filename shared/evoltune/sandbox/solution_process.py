"""The solution process: loads the untrusted program and does what the test runner asks; plain values in and out.

It is forked before the test runner reads the tests, so it can find nothing of them. What it answers is believed to be
values and nothing more. Invariant: it holds one channel (to the test runner) and a pipe for output, never the descriptor
over which the verdict goes.

Requests: ["load", program, whether subclasses of plain types stay with it, whether it expects more], then on what it defines ["do", operation, target, arguments]
or ["calls", function, argument lists, whether long results are sent whole], whose replies go to a pipe, a line each;
["script" | "build" | "exec", ...] for whole programs; ["judge", job, whether it expects more] for a program and its tests together, which it
answers once, under a secret; ["fork"] for solution processes of further jobs, in structs from then on.
"""

import _socket
import gc
import json
import marshal
import os
import random
import struct
from _blake2 import blake2b
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

from evoltune.sandbox import kernel, limits, programs, values, wire
from evoltune.sandbox.same_process import private

CHANNEL, REPLIES, CONTROL = 3, 4, 5
"""Descriptors: the channel; the pipe for the replies to many calls, in which the test runner sees what stands there when a call
never returns; the channel over which solution processes for further jobs are asked for."""
NEXT, FORKED, ENDED = struct.Struct("dii"), struct.Struct("i"), struct.Struct("idq")
"""A job's CPU seconds, these as a limit in whole seconds, and its core (negative:
any); the number of its process; how that ended: wait status, CPU seconds, peak KiB."""
_ENDS_SIZE = wire.descriptors_size(2)
"""Of a job's channel and its pipe of replies."""
LONG_TEXT, LONG_LIST = 2048, 512
"""Characters of a reply, and items of a list, from which on a result is known by its digest: thousands of calls then fit a
message."""


def main(channel: int, output: int, replies: int, resources: limits.ResourceLimits) -> None:
    """Serves the test runner until it closes the channel. Never returns."""
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    _keep_only(channel, replies)
    channel = CHANNEL
    limits.confine_solution(resources)
    loaded = LoadedProgram(channel)  # before any fork: what a child makes lies on pages of its own
    try:
        while True:
            request = wire.receive_request(channel)
            if request[0] == "load":
                if request[3]:
                    programs.prepare_for(request[1])
                loaded.load(request[1], request[2])
                loaded.serve()
            elif request[0] == "judge":
                if request[2]:
                    programs.prepare_for(request[1]["program"])
                private.judging().judge(channel, request[1])
            elif request[0] == "fork":
                _serve_forks()
            else:
                programs.serve(channel, request)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)
    except MemoryError:
        os._exit(limits.EXIT_MEMORY)
    finally:
        os._exit(70)


def _serve_forks() -> None:
    """Forks a solution process for each job of a shared test runner, with a channel and a pipe of its own. Returns in a child; in
    this process it goes on until the test runner closes the channel (EOFError). It does little between two forks, and a child does
    little after its own: each page that one of them writes to was shared with the other, and is copied."""
    private.judging().prepare()  # once: the children find it made
    os.dup2(CHANNEL, CONTROL, False)
    os.closerange(CHANNEL, CONTROL)  # where the next job's descriptors will come to lie
    global _control
    _control = line = _socket.socket(fileno=CONTROL)
    gc.freeze()
    os.write(CONTROL, b"r")
    fork = kernel.plain_fork
    while True:
        body, descriptors, _, _ = line.recvmsg(NEXT.size, _ENDS_SIZE)
        if not descriptors:
            raise EOFError
        cpu_s, whole_s, core = NEXT.unpack(body)
        if core >= 0:  # each time: after a tick the zygote lets all processes of a job use any core
            os.sched_setaffinity(0, (core,))
        child = fork()
        if child == 0:
            os.close(CONTROL)
            limits.confine_shared_solution(cpu_s, whole_s)
            return
        if child < 0:
            raise OSError("fork failed")
        os.closerange(CHANNEL, CONTROL)
        os.write(CONTROL, FORKED.pack(child))
        _, status, usage = os.wait4(child, 0)
        os.write(CONTROL, ENDED.pack(status, usage[0] + usage[1], usage[2]))


_control: _socket.socket
"""Kept for good: a child closes its descriptor, and has no use for what Python does when the object goes."""


def _keep_only(channel: int, replies: int) -> None:
    """Moves the channel and the pipe of replies to their descriptors, and closes every other one above standard error."""
    programs.place({channel: CHANNEL, replies: REPLIES}, inheritable=False)
    os.closerange(REPLIES + 1, 1 << 20)


class LoadedProgram:
    """The program that this process will load, as a module, and the objects to which the test runner holds handles."""

    def __init__(self, channel: int) -> None:
        self.channel, self.objects = channel, dict[int, Any]()
        self.kept = False
        """Whether the last result holds an object that stays here."""
        self._other = self._handle
        self._decoder = json.JSONDecoder(object_hook=self._untag)

    def load(self, program: str, exact: bool) -> None:
        """Executes the program and sends its names, or what it raised. `exact`: subclasses of plain types stay here."""
        if exact:
            self._other = self._exact_handle
        self.space = programs.new_module(programs.NAME)
        if "random" in program:
            random.seed()
        gc.enable()
        try:
            programs.execute(program, self.space)
        except MemoryError:
            os._exit(limits.EXIT_MEMORY)
        except BaseException as error:  # noqa: BLE001 - a program may raise anything
            wire.send(self.channel, ["raise", *programs.describe(error)])
            return
        names = [
            [name, "call" if callable(value) else "value"]
            for name, value in list(self.space.items())
            if not name.startswith("__")
        ]
        wire.send(self.channel, ["ready", names])

    def serve(self, replies: int = REPLIES) -> None:
        """Answers requests until the channel closes (EOFError)."""
        while True:
            kind, *request = wire.receive_request(self.channel)
            if kind == "calls":
                wire.send(self.channel, self._call_each(replies, *request))
            else:
                wire.send_encoded(self.channel, self._reply(partial(self._operate, *request)))

    def _operate(self, operation: str, target: Any, text: str) -> Any:
        args, kwargs = wire.parse(text, self._decoder)
        return OPERATIONS[operation](self._untag(target) if isinstance(target, dict) else target, *args, **kwargs)

    def _call_each(self, replies: int, function: str, text: str, whole: bool) -> int:
        """Calls a function with one list of arguments after the other, up to a result that stays here. Returns the number of
        calls."""
        calls = 0
        for arguments in wire.parse(text, self._decoder):
            self.kept = False
            line = self._reply(partial(self._call, function, arguments), whole)
            wire.write(replies, f"{line}\n".encode("ascii"))
            calls += 1
            if self.kept:
                break
        return calls

    def _call(self, function: str, arguments: list[Any]) -> Any:
        return self.space[function](*arguments)

    def _reply(self, perform: Callable[[], Any], whole: bool = True) -> str:
        """The reply to one operation: its result, the digest of a long one, or what it raised."""
        try:
            result = perform()
            if not whole and (packed := _packed(result)):
                return _digest(packed)
            text = wire.encode(["ok", values.encode(result, self._other)])
            if len(text) > LONG_TEXT and not whole and not self.kept:
                return _digest(text.encode("ascii"))
            if len(text) < wire.LIMIT:
                return text
            answer = ["raise", ["ValueError", "Exception"], "the result is too long", 0]
        except MemoryError:
            os._exit(limits.EXIT_MEMORY)
        except values.UnencodableError as error:
            if self._other == self._exact_handle:  # nested too deep for a copy: it stays here
                return wire.encode(["ok", self._exact_handle(result)])
            answer = ["raise", ["TypeError", "Exception"], str(error), 0]
        except SystemExit:
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - a program may raise anything
            answer = ["raise", *programs.describe(error)]
        return wire.encode(answer)

    def _handle(self, value: Any) -> Any:
        """A handle; a scalar of numpy's is a plain value to tests that are data."""
        kind = type(value)
        if kind.__module__ == "numpy" and getattr(value, "ndim", None) == 0:
            return values.encode(value.item(), self._exact_handle)
        return self._exact_handle(value)

    def _exact_handle(self, value: Any) -> Any:
        self.objects[id(value)] = value
        self.kept = True
        return {"h": id(value)}

    _exact_handle.exact = True  # type: ignore[attr-defined]

    def _untag(self, tagged: dict[str, Any]) -> Any:
        if "h" in tagged:
            return self.objects[tagged["h"]]
        if "n" in tagged:
            return self.space[tagged["n"]]
        return values.untag(tagged)


def _packed(result: Any) -> bytes:
    """A long text or flat list as bytes that only equal values have, much faster than as text; empty for other results."""
    if type(result) is str:
        return marshal.dumps(result, 2) if len(result) > LONG_TEXT else b""
    flat = type(result) is list and len(result) > LONG_LIST and {*map(type, result)} <= values.PLAIN
    return marshal.dumps(result, 2) if flat else b""


def _digest(content: bytes) -> str:
    return f'["digest", "{blake2b(content, digest_size=16).hexdigest()}"]'


def _take(iterator: Any, count: int) -> tuple[list[Any], bool]:
    """The next items, and whether these were the last."""
    items = list(islice(iterator, count))
    return items, len(items) < count


OPERATIONS: dict[str, Any] = {
    "call": lambda target, /, *args, **kwargs: target(*args, **kwargs),
    "getattr": getattr,
    "iter": iter,
    "next": next,
    "take": _take,
    "value": lambda target: target,
}
