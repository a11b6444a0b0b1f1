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
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from evoltune.errors import DomainError, EvoltuneError

SLOW_S, ENDLESS_S = 60.0, 900.0
"""Seconds after which one call is spoken of, and after which it is taken to have no end."""
_REAL_EXIT = os._exit
_OURS = str(Path(__file__).parent)


class LeftError(BaseException):
    """A function of an author's did something else than come back; the message goes on after its name. No Exception, which the
    author's own code may catch."""


FAILURES = (Exception, SystemExit, LeftError)
"""What an author's function may raise without being a wish of the user's, as KeyboardInterrupt is."""


class _Here(threading.local):
    """The call that this thread is in."""

    whose, pid = "", 0


class _Folder:
    """The working directory before the first of the calls that are open, in all threads together."""

    lock, calls, path = threading.Lock(), 0, ""


_HERE = _Here()


class Inside:
    """Around one call. What leaves it is the function's own exception, LeftError, or DomainError for what it left behind."""

    def __init__(self, whose: str) -> None:
        self.whose = whose

    def __enter__(self) -> Self:
        self._outer = _HERE.whose
        _HERE.whose, _HERE.pid = self.whose, os.getpid()
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
            _REAL_EXIT(70)
        _HERE.whose = self._outer
        with _Folder.lock:
            _Folder.calls -= 1
            now = _working_directory()
            changed = bool(_Folder.path) and now != _Folder.path
            if changed:
                os.chdir(_Folder.path)
        if changed and error is None:
            raise DomainError(f"{self.whose} changed the working directory to {now!r}: it must leave it as it was")


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


os._exit = (
    _exit  # once, for whoever calls it by this name: in a thread or a signal handler it is too late to put it there
)


def _working_directory() -> str:
    with suppress(OSError):
        return os.getcwd()  # noqa: PTH109 - a Path costs as much as some verifiers
    return ""
