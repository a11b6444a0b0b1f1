"""K, the process of the untrusted program: loads it, then does what the judge asks; plain values in, plain values out.

K was forked before the judge read the tests, so it can find nothing. What it answers is only believed to be values.
Invariant: K holds one channel (to the judge) and a pipe for output; it never holds the verdict's descriptor.
"""

# Descriptors and forked processes: os, not pathlib.
# ruff: noqa: PTH108
from __future__ import annotations

import builtins
import gc
import io
import json
import operator
import os
import random
import signal
import socket
import sys
import types
from typing import Any

from evoltune.sandbox import kernel, limits, values, wire

NAME = "candidate"
_dumps = json.JSONEncoder(check_circular=False).encode


def main(channel: int, output: int, box: limits.Box) -> None:
    """Serves the judge until it closes the channel. Never returns."""
    quiet = os.open("/dev/null", os.O_RDWR)
    os.dup2(quiet, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    _alone(channel)
    channel = 3
    limits.confine(box)
    try:
        while True:
            request = wire.receive(channel)
            if request[0] == "fork":  # a batch: the next candidate gets a process and a channel of its own
                _member(channel, request[1], request[2])
            elif request[0] == "load":
                Session(channel, request[1]).serve()
            elif request[0] == "script":
                _script(channel, request[1], request[2])
            else:
                from evoltune.sandbox import languages

                languages.serve(channel, request)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)
    except MemoryError:
        os._exit(limits.EXIT_MEMORY)
    finally:
        os._exit(70)


def _member(channel: int, cpu_s: float, core: int) -> None:
    """Returns in the member, whose channel is its own; and in K once the member is dead and the judge knows how."""
    with socket.socket(fileno=os.dup(channel)) as line:
        _, (fd,), *_ = socket.recv_fds(line, 1, 1)
    if (child := kernel.fork()) == 0:
        _alone(fd)
        if core >= 0:
            os.sched_setaffinity(0, {core})
        limits.confine_member(cpu_s)
        return
    os.close(fd)
    wire.send(channel, ["forked", child])
    _, status, usage = os.wait4(child, 0)
    wire.send(channel, ["ended", status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss])


def _alone(channel: int) -> None:
    """Moves the channel to descriptor 3 and closes every other one above standard error."""
    if channel != 3:
        os.dup2(channel, 3, inheritable=False)
    os.closerange(4, 1 << 20)


def _failure(error: BaseException) -> list[Any]:
    """["raise", names of its classes, text, line of the program]: written by the program's own process, so bounded."""
    names = [c.__name__ for c in type(error).__mro__]
    line = 0
    trace = error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == f"<{NAME}>":
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename == f"<{NAME}>":
        line = error.lineno or 0
    try:
        text = str(error)[:1000]
    except Exception:  # noqa: BLE001 - the program's own __str__
        text = ""
    return ["raise", names[:20], text, line]


def _module(name: str) -> dict[str, Any]:
    module = types.ModuleType(name)
    sys.modules[name] = module
    return module.__dict__


class Session:
    """One loaded program and the objects that the judge holds handles to."""

    def __init__(self, channel: int, program: str) -> None:
        self.channel, self.objects = channel, dict[int, Any]()
        self._decoder = json.JSONDecoder(object_hook=self._untag)
        self.space = _module(NAME)
        if "random" in program:
            random.seed()
        gc.enable()
        try:
            exec(compile(program.removeprefix("\ufeff"), f"<{NAME}>", "exec", dont_inherit=True), self.space)  # noqa: S102 - what K is for
        except MemoryError:
            os._exit(limits.EXIT_MEMORY)
        except BaseException as error:  # noqa: BLE001 - a program may raise anything
            wire.send(channel, _failure(error))
            return
        wire.send(
            channel,
            ["ready", [self._kind(k, v) for k, v in list(self.space.items()) if not k.startswith("__")]],
        )

    def _kind(self, name: str, value: Any) -> list[str]:
        """[name, kind, detail]: what the judge should bind under this name."""
        if isinstance(value, type):
            if issubclass(value, BaseException):
                return [
                    name,
                    "exception",
                    next(c.__name__ for c in value.__mro__ if c.__module__ == "builtins"),
                ]
            return [
                name,
                "class" if value.__module__ == NAME else "import",
                f"{value.__module__}:{value.__qualname__}",
            ]
        if isinstance(value, types.ModuleType):
            return [name, "module", value.__name__]
        if isinstance(value, types.FunctionType) or callable(value):
            home = getattr(value, "__module__", None)
            return [
                name,
                "call" if home == NAME or not isinstance(home, str) else "import",
                f"{home}:{getattr(value, '__qualname__', name)}",
            ]
        return [name, "value", ""]

    def serve(self) -> None:
        while True:
            _, what, target, text, mutable = wire.receive(self.channel)
            try:
                args, kwargs = wire.parse(text, self._decoder)
                result = self._encode(OPERATIONS[what](self._untag(target), *args, **kwargs))
                after = _dumps([self._encode(args), self._encode(kwargs)]) if mutable else text
                answer = ["ok", result, None if after == text else after]
            except MemoryError:
                os._exit(limits.EXIT_MEMORY)
            except (EOFError, BrokenPipeError):
                raise
            except values.UnencodableError as error:
                answer = ["raise", ["TypeError", "Exception"], str(error), 0]
            except BaseException as error:  # noqa: BLE001 - a program may raise anything
                if isinstance(error, SystemExit):
                    os._exit(0)
                answer = _failure(error)
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
        """A function of the test's, called from the program."""

        def call(*args: Any, **kwargs: Any) -> Any:
            wire.send(self.channel, ["callback", number, self._encode(list(args)), self._encode(kwargs)])
            answer = wire.receive(self.channel, self._decoder)
            if answer[0] == "ok":
                return answer[1]
            error = getattr(builtins, answer[1], Exception)
            raise (
                error(answer[2])
                if isinstance(error, type) and issubclass(error, Exception)
                else Exception(answer[2])
            )

        return call


def _call(target: Any, *args: Any, **kwargs: Any) -> Any:
    return target(*args, **kwargs)


def _finish(target: Any) -> Any:
    import asyncio

    return asyncio.run(target)


OPERATIONS: dict[str, Any] = {
    "call": _call,
    "value": lambda target: target,
    "method": lambda target, name, *args, **kwargs: getattr(target, name)(*args, **kwargs),
    "getattr": getattr, "setattr": setattr, "iter": iter, "next": next, "finish": _finish,
    "isinstance": lambda target, value: isinstance(value, target),
    "str": str, "repr": repr, "len": len, "bool": bool, "float": float, "int": int, "abs": abs, "hash": hash,
    "round": round, "format": format, "complex": complex,
    **{n: getattr(operator, n) for n in (
        "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "neg", "pos",
        "invert", "eq", "ne", "lt", "le", "gt", "ge", "getitem", "setitem", "delitem", "index")},
    **{"r" + n: (lambda f: lambda target, other: f(other, target))(getattr(operator, n)) for n in (
        "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor")},
}  # fmt: skip


# ---- whole programs: standard input to standard output


def _script(channel: int, program: str, stdin: str) -> None:
    """Runs the program as `__main__` in a child of its own; tells the judge how it ended: status, or minus the signal."""
    child = os.fork()
    if child == 0:
        os.close(3)
        os._exit(_main(program, stdin))
    _, status, usage = os.wait4(child, 0)
    wire.send(
        channel, ["exit", os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss]
    )


def feed(stdin: str, building: bool = False) -> None:
    """Puts the text on standard input, through a file that has lost its name; and starts the child's own timer."""
    limits.restart_timer(building)
    name = f".stdin-{os.getpid()}"
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with open(os.dup(fd), "wb") as file:
        file.write(stdin.encode("utf-8", "surrogatepass"))
    os.unlink(name)
    os.lseek(fd, 0, os.SEEK_SET)
    os.dup2(fd, 0)
    os.close(fd)


def _main(program: str, stdin: str) -> int:
    import threading

    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    feed(stdin)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8", "replace")
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8", "backslashreplace", write_through=False
    )
    sys.stderr = io.TextIOWrapper(
        io.FileIO(2, "w", closefd=False), "utf-8", "backslashreplace", write_through=True
    )
    space = _module("__main__")
    space["__builtins__"] = builtins
    code = 0
    try:
        exec(compile(program.removeprefix("\ufeff"), f"<{NAME}>", "exec", dont_inherit=True), space)  # noqa: S102 - what K is for
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        if not isinstance(error.code, int | None):
            sys.stderr.write(f"{error.code}\n")
    except MemoryError:
        code = limits.EXIT_MEMORY
    except BaseException as error:  # noqa: BLE001 - a program may raise anything
        _, names, text, line = _failure(error)
        sys.stderr.write(f"line {line}: {names[0]}: {text}\n")
        code = 1
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - closed or replaced by the program
        code = code or 120
    return code & 255
