"""Executes untrusted programs in a solution process: as a module whose functions are called, or whole, from standard input to
standard output, in Python or another language.

Each command of a whole program (a build step, a run) is a child of the solution process, which survives it and reports how it
ended. Invariant: what is sent is an exit status and what the kernel measured, never a verdict; a line of the program is told
from a line of ours by its file name, `<candidate>`.

    serve(channel, ["script", "print(input())", "hello"])    # sends ["exit", 0, CPU seconds, peak KiB]
"""

import builtins
import io
import os
import signal
import sys
import threading
import types
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from evoltune.sandbox import limits, wire
from evoltune.sandbox.languages import ENVIRONMENT, LANGUAGES

NAME = "candidate"
"""Name of the module that holds a program whose functions are called; programs see it in `__module__` and in reprs."""
_FILE = f"<{NAME}>"


def new_module(name: str) -> dict[str, Any]:
    """Registers an empty module. Returns its namespace."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    return module.__dict__


def execute(program: str, space: dict[str, Any]) -> None:
    """Runs the program's source in a namespace. Raises whatever it raises."""
    exec(compile(program.removeprefix("\ufeff"), _FILE, "exec", dont_inherit=True), space)  # noqa: S102 - the purpose of this process


def describe(error: BaseException) -> tuple[list[str], str, int]:
    """The names of an exception's classes, its text and the line of the program (0: none), bounded in size."""
    names = [c.__name__ for c in type(error).__mro__]
    line, trace = 0, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == _FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename == _FILE:
        line = error.lineno or 0
    try:
        text = str(error)[:1000]
    except Exception:  # noqa: BLE001 - the program's own __str__
        text = ""
    return names[:20], text, line


def serve(channel: int, request: list[Any]) -> None:
    """Answers ["script", program, stdin], ["build", language, program] or ["exec", language, stdin]."""
    what, first, text = request
    if what == "script":
        wire.send(channel, ["exit", *_in_child(partial(_run_script, first, text))])
    elif what == "exec":
        wire.send(channel, ["exit", *_in_child(partial(_exec, LANGUAGES[first].run, text))])
    else:
        wire.send(channel, _build(first, text))


def _build(name: str, program: str) -> list[Any]:
    language = LANGUAGES[name]
    with open(language.source, "wb") as file:
        file.write(program.encode("utf-8", "surrogatepass"))
    for command in language.build:
        code, *_ = _in_child(partial(_exec, command, "", building=True))
        if code:
            return ["failed", code]
    return ["built"]


def _in_child(run: Callable[[], NoReturn]) -> tuple[int, float, int]:
    """Exit status (or minus the signal), CPU seconds and peak KiB of a child."""
    child = os.fork()
    if child == 0:
        try:
            os.close(3)
            run()
        except MemoryError:
            os._exit(limits.EXIT_MEMORY)
        finally:
            os._exit(127)
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def _exec(command: tuple[str, ...], stdin: str, building: bool = False) -> NoReturn:
    _prepare(stdin, building)
    os.execvpe(command[0], command, ENVIRONMENT)


def _prepare(stdin: str, building: bool = False) -> None:
    """Starts the child's own timer, and puts the text on standard input, through a file that is unlinked at once."""
    limits.restart_timer(building)
    name = f".stdin-{os.getpid()}"
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with open(os.dup(fd), "wb") as file:
        file.write(stdin.encode("utf-8", "surrogatepass"))
    os.unlink(name)
    os.lseek(fd, 0, os.SEEK_SET)
    os.dup2(fd, 0)
    os.close(fd)


def _run_script(program: str, stdin: str) -> NoReturn:
    """Runs a Python program as `__main__`, as the interpreter would, and exits with its status."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _prepare(stdin)
    _open_standard_streams()
    space = new_module("__main__")
    space["__builtins__"] = builtins
    code = 0
    try:
        execute(program, space)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        if not isinstance(error.code, int | None):
            sys.stderr.write(f"{error.code}\n")
    except MemoryError:
        code = limits.EXIT_MEMORY
    except BaseException as error:  # noqa: BLE001 - a program may raise anything
        names, text, line = describe(error)
        sys.stderr.write(f"line {line}: {names[0]}: {text}\n")
        code = 1
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - closed or replaced by the program
        code = code or 120
    os._exit(code & 255)


def _open_standard_streams() -> None:
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8", "replace")
    output, errors = io.FileIO(1, "w", closefd=False), io.FileIO(2, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(output), "utf-8", "backslashreplace")
    sys.stderr = io.TextIOWrapper(errors, "utf-8", "backslashreplace", write_through=True)
