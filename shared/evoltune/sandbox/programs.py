"""Executes untrusted programs in a solution process: as a module whose functions are called, or whole, from standard input to
standard output, in Python or another language.

A whole program is a file in an empty folder, run by its own interpreter or compiler as a user would run it; each command is a
child of the solution process, which survives it and reports how it ended. Invariant: what is sent is an exit status, what the
kernel measured and what stood on standard error, never a verdict; a line of a loaded program is told from a line of ours by its
file name, `<candidate>`.

    serve(channel, ["build", "python", {"main.py": "print(input())"}, []])    # sends ["built"]
    serve(channel, ["exec", "python", ["python", "main.py"], "hello", ""])    # sends ["exit", 0, CPU seconds, peak KiB, "", ""]
"""

import builtins
import io
import os
import re
import select
import signal
import sys
import threading
import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, NoReturn

from evoltune.sandbox import limits, pytest_of_programs, wire
from evoltune.sandbox.filesystem import SHARED_MEMORY
from evoltune.sandbox.languages import ENVIRONMENT, LANGUAGES
from evoltune.sandbox.run_folder import RunFolder

_IMPORTS_PYTEST = re.compile(r"^\s*(?:import|from)\s+pytest\b", re.M)
NAME = "candidate"
"""Name of the module that holds a program whose functions are called; programs see it in `__module__` and in reprs."""
SCRIPT = "main.py"
KEPT_ERRORS = 64 << 10
"""Bytes at the end of standard error that are kept."""
SECRET_FD, REPORT_FD = 3, 4
"""Where a harness of ours reads its secret, and writes what it reports (`own_tests`)."""
_FILE = f"<{NAME}>"
_HIGH = 48
"""From here on no descriptor of ours lies, and below 64 all are closed for a program."""


_OF_SHARED_MEMORY = (
    "multiprocessing",
    "concurrent",
    "joblib",
    "posix_ipc",
    "sem_open",
    "shm_open",
    "boost/interprocess",
)


class _Ended(NamedTuple):
    """How a child ended: its exit status (or minus the signal), CPU seconds, peak KiB, standard error, report."""

    code: int
    cpu_s: float
    peak_kb: int
    errors: str
    report: str


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
    """Answers ["script", program, stdin], ["build", language, files, commands] or ["exec", language, command, stdin, secret]."""
    what, *rest = request
    if what == "script":
        program, stdin = rest
        wire.send(channel, ["exit", *_in_child(partial(_run_script, program), stdin)])
    elif what == "exec":
        language, command, stdin, secret = rest
        wire.send(channel, ["exit", *_run_again(partial(_execute, language, command), stdin, secret)])
    else:
        global _folder
        _folder = RunFolder(partial(_build, *rest))
        wire.send(channel, _folder.reply)


def expects_more(program: str) -> bool:
    """Whether a program that is loaded may need `prepare_for`: asked by the test runner, whose pages are its own by then."""
    return any(name in program for name in (*_OF_SHARED_MEMORY, "pytest"))


def prepare_for(program: str) -> None:
    """What a program that is loaded may expect: shared memory, and a module `pytest` on any host."""
    offer_shared_memory(program)
    if _IMPORTS_PYTEST.search(program):
        sys.modules["pytest"] = pytest_of_programs


def offer_shared_memory(program: str) -> None:
    """Makes /dev/shm, where this sandbox has one of its own, for a program that names what is kept there."""
    if any(name in program for name in _OF_SHARED_MEMORY):
        with suppress(OSError):
            os.mkdir(SHARED_MEMORY)


_folder: RunFolder
"""Where a program that was built runs."""


def _run_again(run: Callable[[], NoReturn], stdin: str, secret: str) -> _Ended:
    """Runs a command in the folder as the build left it, whatever an earlier run did there."""
    try:
        _folder.restore()
    except OSError as error:
        return _Ended(1, 0.0, 0, f"what an earlier run left could not be removed: {error}", "")
    return _in_child(run, stdin, secret=secret)


def _build(language: str, files: Mapping[str, str], commands: list[list[str]]) -> list[Any]:
    for name, text in files.items():
        offer_shared_memory(text)
        with open(name, "wb") as file:
            file.write(text.encode("utf-8", "surrogatepass"))
    for command in commands:
        ended = _in_child(partial(_execute, language, command), "", building=True)
        if ended.code:
            return ["failed", ended.code, ended.errors]
    return ["built"]


def _in_child(run: Callable[[], NoReturn], stdin: str, *, building: bool = False, secret: str = "") -> _Ended:
    """Runs a child with this text on standard input; with a secret also on a descriptor for a harness of ours."""
    reading, writing = os.pipe()
    tells, asks = os.pipe() if secret else (-1, -1)
    reports, answers = os.pipe() if secret else (-1, -1)
    child = os.fork()
    if child == 0:
        try:
            os.dup2(writing, 2)
            if building:  # some compilers print their errors
                os.dup2(writing, 1)
            os.close(SECRET_FD)
            if secret:
                place({tells: SECRET_FD, answers: REPORT_FD})
            os.closerange(REPORT_FD + 1 if secret else SECRET_FD, 64)
            limits.confine_program(building)
            _give_input(stdin)
            run()
        except MemoryError:
            os._exit(limits.EXIT_MEMORY)
        finally:
            os._exit(127)
    if secret:  # while a reader is open here too: the child may have ended already
        os.write(asks, f"{secret}\n".encode())
    for fd in (writing, tells, answers, asks):
        if fd >= 0:
            os.close(fd)
    errors = _read_until_end(reading, child)
    _, status, usage = os.wait4(child, 0)
    report = _read_now(reports).decode("ascii", "replace") if secret else ""
    cpu_s = usage.ru_utime + usage.ru_stime
    code = limits.exit_code(status, cpu_s, building)
    return _Ended(code, cpu_s, usage.ru_maxrss, errors, report)


def place(places: Mapping[int, int], inheritable: bool = True) -> None:
    """Moves descriptors to their numbers, over none that is still to be moved."""
    high = {os.dup2(fd, _HIGH + number): number for fd, number in places.items()}
    for fd, number in high.items():
        os.dup2(fd, number, inheritable)


def _read_until_end(pipe: int, child: int) -> str:
    """The last part of what is written to the pipe until the child ends; what its own children hold open is not waited for."""
    pidfd = os.pidfd_open(child)
    events = select.poll()
    events.register(pidfd, select.POLLIN)
    events.register(pipe, select.POLLIN)
    kept = bytearray()
    while pidfd not in (ready := {fd for fd, _ in events.poll()}):
        if pipe in ready:
            chunk = os.read(pipe, 1 << 16)
            kept += chunk
            del kept[: -2 * KEPT_ERRORS]
            if not chunk:
                events.unregister(pipe)
    os.close(pidfd)
    kept += _read_now(pipe)
    return kept[-KEPT_ERRORS:].decode("utf-8", "replace")


def _read_now(pipe: int) -> bytes:
    """What stands in a pipe at this moment, the last part of it. Closes the pipe."""
    os.set_blocking(pipe, False)
    kept = bytearray()
    with suppress(BlockingIOError):
        for _ in range(256):
            chunk = os.read(pipe, 1 << 16)
            kept += chunk
            del kept[:-KEPT_ERRORS]
            if not chunk:
                break
    os.close(pipe)
    return bytes(kept)


def _give_input(stdin: str) -> None:
    """Puts the text on standard input, through a file that is unlinked at once."""
    name = f".stdin-{os.getpid()}"
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with open(os.dup(fd), "wb") as file:
        file.write(stdin.encode("utf-8", "surrogatepass"))
    os.unlink(name)
    os.lseek(fd, 0, os.SEEK_SET)
    os.dup2(fd, 0)
    os.close(fd)


def _execute(language: str, command: list[str]) -> NoReturn:
    scratch = os.environ.get("TMPDIR", "/tmp")
    environment = {**ENVIRONMENT, "HOME": scratch, "TMPDIR": scratch, **dict(LANGUAGES[language].environment)}
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, environment)
    except PermissionError:
        if language != "python":
            raise
        # A Python below /root that another user cannot execute: this process is the interpreter then.
        with open(SCRIPT, encoding="utf-8", errors="surrogatepass") as file:
            _run_script(file.read())


def _run_script(program: str) -> NoReturn:
    """Runs a Python program as `__main__` of this process, as the interpreter would, and exits with its status."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _open_standard_streams()
    space = new_module("__main__")
    space["__builtins__"] = builtins
    sys.argv = [SCRIPT]
    code = _status(partial(execute, program, space))
    code = _status(threading._shutdown) or code  # type: ignore[attr-defined]
    import atexit  # what the program registered; nothing of ours is

    _status(atexit._run_exitfuncs)
    try:
        if not sys.stdout.closed:
            sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - replaced by the program
        code = code or 120
    os._exit(code & 255)


def _status(run: Callable[[], object]) -> int:
    """The exit status of a part of a script; what it raises is printed."""
    try:
        run()
    except SystemExit as error:
        if not isinstance(error.code, int | None):
            sys.stderr.write(f"{error.code}\n")
            return 1
        return error.code or 0
    except MemoryError:
        return limits.EXIT_MEMORY
    except BaseException as error:  # noqa: BLE001 - a program may raise anything
        names, text, line = describe(error)
        sys.stderr.write(f"line {line}: {names[0]}: {text}\n")
        return 1
    return 0


def _open_standard_streams() -> None:
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8", "replace")
    output, errors = io.FileIO(1, "w", closefd=False), io.FileIO(2, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(output), "utf-8", "backslashreplace")
    sys.stderr = io.TextIOWrapper(errors, "utf-8", "backslashreplace", write_through=True)
    vars(sys).update(__stdin__=sys.stdin, __stdout__=sys.stdout, __stderr__=sys.stderr)
