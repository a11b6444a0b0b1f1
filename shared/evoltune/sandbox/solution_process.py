"""The solution process: loads the untrusted program and does what the test runner asks; plain values in and out.

It is forked before the test runner reads the tests, so it can find nothing of them. What it answers is believed to be
values and nothing more. Invariant: it holds one channel (to the test runner) and a pipe for output, never the descriptor
over which the verdict goes.

Requests: ["load", program], then ["do", operation, target, arguments, whether they are mutable] on what it defines;
["script" | "build" | "exec", ...] for whole programs; ["fork", cpu_s, core] for a solution process of the next job.
"""

import builtins
import gc
import json
import operator
import os
import random
import socket
import types
from typing import Any

from evoltune.sandbox import kernel, limits, programs, proxies, values, wire


def main(channel: int, output: int, resources: limits.ResourceLimits) -> None:
    """Serves the test runner until it closes the channel. Never returns."""
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    _keep_only(channel)
    channel = 3
    limits.confine_solution(resources)
    try:
        while True:
            request = wire.receive(channel)
            if request[0] == "load":
                LoadedProgram(channel, request[1]).serve()
            elif request[0] == "fork":
                _fork_next(channel, request[1], request[2])
            else:
                programs.serve(channel, request)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)
    except MemoryError:
        os._exit(limits.EXIT_MEMORY)
    finally:
        os._exit(70)


def _fork_next(channel: int, cpu_s: float, core: int) -> None:
    """Forks a solution process for one job of a shared test runner, with a channel of its own. Returns in the child; and in
    this process once the child is dead and the test runner knows how it ended."""
    with socket.socket(fileno=os.dup(channel)) as line:
        _, (fd,), *_ = socket.recv_fds(line, 1, 1)
    if (child := kernel.fork()) == 0:
        _keep_only(fd)
        if core >= 0:
            os.sched_setaffinity(0, {core})
        limits.confine_shared_solution(cpu_s)
        return
    os.close(fd)
    wire.send(channel, ["forked", child])
    _, status, usage = os.wait4(child, 0)
    wire.send(channel, ["ended", status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss])


def _keep_only(channel: int) -> None:
    """Moves the channel to descriptor 3 and closes every other one above standard error."""
    if channel != 3:
        os.dup2(channel, 3, inheritable=False)
    os.closerange(4, 1 << 20)


class LoadedProgram:
    """One program as a module, and the objects to which the test runner holds handles."""

    def __init__(self, channel: int, program: str) -> None:
        self.channel, self.objects = channel, dict[int, Any]()
        self._decoder = json.JSONDecoder(object_hook=self._untag)
        self.space = programs.new_module(programs.NAME)
        if "random" in program:
            random.seed()
        gc.enable()
        try:
            programs.execute(program, self.space)
        except MemoryError:
            os._exit(limits.EXIT_MEMORY)
        except BaseException as error:  # noqa: BLE001 - a program may raise anything
            wire.send(channel, ["raise", *programs.describe(error)])
            return
        kinds = [_kind(name, value) for name, value in list(self.space.items()) if not name.startswith("__")]
        wire.send(channel, ["ready", kinds])

    def serve(self) -> None:
        """Answers operations until the channel closes (EOFError)."""
        while True:
            _, operation, target, text, mutable = wire.receive(self.channel)
            try:
                args, kwargs = wire.parse(text, self._decoder)
                result = self._encode(OPERATIONS[operation](self._untag(target), *args, **kwargs))
                after = wire.encode([self._encode(args), self._encode(kwargs)]) if mutable else text
                answer = ["ok", result, None if after == text else after]
            except MemoryError:
                os._exit(limits.EXIT_MEMORY)
            except (EOFError, BrokenPipeError):
                raise
            except values.UnencodableError as error:
                answer = ["raise", ["TypeError", "Exception"], str(error), 0]
            except SystemExit:
                os._exit(0)
            except BaseException as error:  # noqa: BLE001 - a program may raise anything
                answer = ["raise", *programs.describe(error)]
            wire.send(self.channel, answer)

    def _encode(self, value: Any) -> Any:
        return values.encode(value, self._handle)

    def _handle(self, value: Any) -> Any:
        self.objects[id(value)] = value
        kind = type(value)
        home = kind.__name__ if self.space.get(kind.__name__) is kind else ""
        return {"h": [id(value), home, hasattr(kind, "cr_await")]}

    def _untag(self, tagged: dict[str, Any]) -> Any:
        if "h" in tagged:
            return self.objects[tagged["h"]]
        if "n" in tagged:
            return self.space[tagged["n"]]
        if "j" in tagged:
            return self._callback(tagged["j"])
        return values.untag(tagged)

    def _callback(self, number: int) -> Any:
        """A function of the tests, to be called by the program."""

        def call(*args: Any, **kwargs: Any) -> Any:
            wire.send(self.channel, ["callback", number, self._encode(list(args)), self._encode(kwargs)])
            answer = wire.receive(self.channel, self._decoder)
            if answer[0] == "ok":
                return answer[1]
            found = getattr(builtins, answer[1], Exception)
            raise (found if isinstance(found, type) and issubclass(found, Exception) else Exception)(answer[2])

        return call


def _kind(name: str, value: Any) -> list[str]:
    """[name, kind, detail]: what the test runner should bind under this name."""
    if isinstance(value, type):
        if issubclass(value, BaseException):
            builtin = next(c.__name__ for c in value.__mro__ if c.__module__ == "builtins")
            return [name, "exception", builtin]
        kind = "class" if value.__module__ == programs.NAME else "import"
        return [name, kind, f"{value.__module__}:{value.__qualname__}"]
    if isinstance(value, types.ModuleType):
        return [name, "module", value.__name__]
    if isinstance(value, types.FunctionType) or callable(value):
        home = getattr(value, "__module__", None)
        kind = "call" if home == programs.NAME or not isinstance(home, str) else "import"
        return [name, kind, f"{home}:{getattr(value, '__qualname__', name)}"]
    return [name, "value", ""]


def _finish(target: Any) -> Any:
    import asyncio  # late: heavy, and only coroutines need it

    return asyncio.run(target)


_BUILTINS = (getattr, setattr, iter, next, str, repr, len, bool, float, int, abs, hash, round, format, complex)
_OPERATORS = ("neg", "pos", "invert", "eq", "ne", "getitem", "setitem", "delitem", "index")
OPERATIONS: dict[str, Any] = {
    **{function.__name__: function for function in _BUILTINS},
    **{name: getattr(operator, name) for name in (*_OPERATORS, *proxies.ARITHMETIC, *proxies.ORDERINGS)},
    **{"r" + name: (lambda f: lambda target, other: f(other, target))(getattr(operator, name)) for name in proxies.ARITHMETIC},
    "call": lambda target, *args, **kwargs: target(*args, **kwargs),
    "value": lambda target: target,
    "method": lambda target, name, *args, **kwargs: getattr(target, name)(*args, **kwargs),
    "isinstance": lambda target, value: isinstance(value, target),
    "finish": _finish,
}  # fmt: skip
