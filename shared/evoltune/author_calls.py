"""Calls of a domain's functions in a process of ours: they come back here, or what they did instead is told in their name.

    with author_call("domain 'sums': seeds", package="evoltune_sums"):
        rows = domain.seeds()

Without this, sys.exit or os._exit in an author's function would end a run as if it were done, a child that it forked would go
on with the run beside its parent, and a changed working directory would be noticed as a missing file of ours.
"""

import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from evoltune.errors import DomainError, EvoltuneError

SLOW_S, ENDLESS_S = 60.0, 900.0
"""Seconds after which one call is spoken of, and after which it is taken to have no end."""
_REAL_EXIT, _REAL_FORK = os._exit, os.fork
CAME_BACK, GRACE_S = 70, 1.0
"""Exit code of a forked child that came back from its parent's call, and seconds in which a child may end after the call."""
_OURS = str(Path(__file__).parent)


class LeftError(BaseException):
    """A function of an author's did something else than come back; the message goes on after its name. No Exception, which the
    author's own code may catch."""


FAILURES = (Exception, SystemExit, LeftError)
"""What an author's function may raise without being a wish of the user's, as KeyboardInterrupt is."""


class _Here(threading.local):
    """The call that this thread is in."""

    whose, pid = "", 0
    children: tuple[int, ...] = ()
    """What a function forked in this call."""


class _Descriptor:
    """One that is open in each process that makes calls: a function that closes it has closed all others too."""

    pid, number = 0, -1


class _Folder:
    """The working directory before the first of the calls that are open, in all threads together."""

    lock, calls, path = threading.Lock(), 0, ""


_HERE = _Here()


class Inside:
    """Around one call. What leaves it is the function's own exception, LeftError, or DomainError for what it left behind."""

    def __init__(self, whose: str) -> None:
        self.whose = whose

    def __enter__(self) -> Self:
        self._outer, self._children = _HERE.whose, _HERE.children
        _HERE.whose, _HERE.pid, _HERE.children = self.whose, os.getpid(), ()
        if _Descriptor.pid != _HERE.pid:
            _Descriptor.pid, _Descriptor.number = _HERE.pid, os.open(os.devnull, os.O_RDONLY)
        with _Folder.lock:
            if not _Folder.calls:
                _Folder.path = _working_directory()
            _Folder.calls += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() != _HERE.pid:
            print(
                f"evoltune: {self.whose} forked, and its child came back too; it was ended here",
                file=sys.stderr,
                flush=True,
            )
            _REAL_EXIT(CAME_BACK)
        forked, _HERE.whose, _HERE.children = _HERE.children, self._outer, self._children
        _end_where_all_is_closed(self.whose)
        with _Folder.lock:
            _Folder.calls -= 1
            now = _working_directory()
            changed = bool(_Folder.path) and now != _Folder.path
            if changed:
                os.chdir(_Folder.path)
        if forked and error is None and (outlived := [child for child in forked if _outlives(child)]):
            raise LeftError(f"forked, and its child {outlived[0]} did not end before the call did: it was ended")
        if changed and error is None:
            raise DomainError(f"{self.whose} changed the working directory to {now!r}: it must leave it as it was")


def _outlives(child: int) -> bool:
    """Whether a forked child came back from the call, or is still at work; then it is ended. One that ended itself is left alone."""
    until = time.monotonic() + GRACE_S
    with suppress(ChildProcessError):  # whoever forked it has waited for it
        while not (ended := os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)):
            if time.monotonic() > until:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return True
            time.sleep(0.01)
        return ended.si_code == os.CLD_EXITED and ended.si_status == CAME_BACK
    return False


def _end_where_all_is_closed(whose: str) -> None:
    """Ends a process whose store, sockets and event loop a function has closed: nothing in it can go on, or end as it should."""
    try:
        os.fstat(_Descriptor.number)
    except OSError:
        text = f"evoltune: error: {whose} closed all open files of its process: it must leave them as they were\n"
        for name in (2, "/dev/tty"):
            with suppress(OSError), open(name, "wb", buffering=0, closefd=name != 2) as stream:
                stream.write(text.encode())
                break
        _REAL_EXIT(1)


def is_inside() -> bool:
    """Whether this thread is in a function of an author's."""
    return bool(_HERE.whose)


def told(error: BaseException) -> str:
    """What a function did, to go on after its name."""
    if isinstance(error, LeftError):
        return str(error)
    if isinstance(error, SystemExit):
        return f"called sys.exit({'' if error.code is None else repr(error.code)})"
    return f"raised {type(error).__name__}: {error}"


def place(error: BaseException, package: str = "") -> traceback.FrameSummary:
    """The innermost frame in files of this package, else in files that are not ours."""
    frames = traceback.extract_tb(error.__traceback__)[::-1]
    named = (f for f in frames if package and f"/{package}" in f.filename)
    return next(named, next((f for f in frames if not f.filename.startswith(_OURS)), frames[0]))


@contextmanager
def author_call(whose: str, package: str = "") -> Iterator[None]:
    """Around a call in the driver: whatever the function does besides coming back is a DomainError with its name and line.

    Args:
        whose: the function as messages call it.
        package: of which the line is named; "": the innermost line.
    """
    try:
        with Inside(whose), _said_when_slow(whose):
            yield
    except EvoltuneError:
        raise
    except FAILURES as error:
        frame = place(error, package)
        where = f"{frame.filename}:{frame.lineno}"
        todo = "correct the domain; `evoltune domains check` finds more of the kind"
        raise DomainError(f"{whose} {told(error)} ({where}): {todo}") from error


def imported(module: str, whose: str) -> Any:
    """The module. Raises DomainError where importing it does anything else than end well."""
    try:
        with Inside(whose):
            return importlib.import_module(module)
    except FAILURES as error:
        raise DomainError(f"{whose} cannot be imported: it {told(error)}") from error


@contextmanager
def _said_when_slow(whose: str) -> Iterator[None]:
    """Says what is at work when it takes long, and ends what has no end. In the main thread alone, which signals reach."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waited = 0.0

    def late(number: int, frame: FrameType | None) -> None:
        nonlocal waited
        waited += SLOW_S
        if waited >= ENDLESS_S:
            raise LeftError(f"does not end ({ENDLESS_S:g} s)")
        print(f"  {whose} has been at work for {waited:g} s", file=sys.stderr, flush=True)

    before = signal.signal(signal.SIGALRM, late)
    outer = signal.setitimer(signal.ITIMER_REAL, SLOW_S, SLOW_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *outer)


def _exit(status: int) -> NoReturn:
    """os._exit: as it was, except for an author's function that would end the process which called it."""
    if _HERE.whose and os.getpid() == _HERE.pid:
        raise LeftError(f"called os._exit({status})")
    _REAL_EXIT(status)


def _fork() -> int:
    """os.fork: as it was, and what an author's function forks is known when its call ends."""
    child = _REAL_FORK()
    if child and _HERE.whose and os.getpid() == _HERE.pid:
        _HERE.children += (child,)
    return child


os.fork = _fork
os._exit = (
    _exit  # once, for whoever calls it by this name: in a thread or a signal handler it is too late to put it there
)


def _working_directory() -> str:
    with suppress(OSError):
        return os.getcwd()  # noqa: PTH109 - a Path costs as much as some verifiers
    return ""
