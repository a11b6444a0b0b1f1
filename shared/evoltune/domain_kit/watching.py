"""What a domain's functions do besides returning a value: seen in the probe process, while one of them runs.

    watch = Watch(["/home/ada/evoltune-sums/evoltune_sums/"]); watch.install()
    with watch.call(reads=True): verify(task, candidate, context)
    watch.notes        # [Note(kind="network", text="connects to ('10.0.0.1', 80)", where="/x/sums/__init__.py:12")]

Python's audit events tell of sockets, files and processes; `sleep`, the clock and the module `random` are replaced before the
domain is imported, so that the last two can be moved. Connections, processes and long sleeps are refused: a check must not do them.
"""

import datetime
import io
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ASLEEP_S = 2.0
"""Seconds that one call may sleep."""
NETWORK = (
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.sendmsg",
    "socket.getaddrinfo",
    "socket.gethostbyname",
)
PROCESSES = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", "os.spawn", "os.kill", "os.killpg",
             "pty.spawn")  # fmt: skip
CHANGES = (
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.chown",
)
SYSTEM = ("/usr", "/lib", "/lib64", "/proc", "/dev", "/sys", "/etc/localtime", "/etc/mime.types", "/etc/ld.so.cache")
"""Folders that libraries read; the rest of the file system differs from machine to machine."""
EXTREMES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "random": (lambda: 0.0, lambda: 1 - 2**-53),
    "uniform": (lambda a, b: a, lambda a, b: b),
    "randint": (lambda a, b: a, lambda a, b: b),
    "randrange": (
        lambda a, b=None, step=1: 0 if b is None else a,
        lambda a, b=None, step=1: (a if b is None else b) - 1,
    ),
    "getrandbits": (lambda k: 0, lambda k: (1 << k) - 1),
    "choice": (lambda seq: seq[0], lambda seq: seq[-1]),
    "gauss": (lambda mu=0.0, sigma=1.0: mu - 9 * sigma, lambda mu=0.0, sigma=1.0: mu + 9 * sigma),
}
"""Functions of the module `random` -> their lowest and their highest value."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something that a function did and should not have done."""

    kind: str
    """network, process, file, output, sleep, state, thread, exit"""
    text: str
    where: str


class Watch:
    """The notes of one probe process. Only one call at a time is watched."""

    def __init__(self, roots: list[str], tell: Callable[[Note], None] = lambda note: None) -> None:
        self.roots = roots
        self.notes: list[Note] = []
        self.uses_clock = self.uses_random = False
        self.clock_shift = 0.0
        self.extreme: int | None = None
        """0: the module `random` gives its lowest values; 1: its highest."""
        self._active = self._reads = self._busy = False
        self._asleep = 0.0
        self._temporary: list[tuple[str, str]] = []
        self._readable: list[str] = []
        self._temp = os.path.realpath(tempfile.gettempdir())
        self._tell = tell

    def install(self) -> None:
        """Puts the hooks in place; before the domain is imported."""
        places = [sys.prefix, sys.base_prefix, sys.exec_prefix, *SYSTEM, self._temp, *filter(None, sys.path)]
        data = os.environ.get("EVOLTUNE_DATA")
        self._readable = [os.path.realpath(p) for p in [*places, *([data] if data else []), *self.roots]]
        sys.stdout = _Stdout(self)
        self._replace_clock()
        self._replace_random()
        leave = os._exit

        def noted_exit(status: int) -> None:
            self._note("exit", f"calls os._exit({status}), which ends the worker", force=True)
            leave(status)

        os._exit = noted_exit  # type: ignore[assignment]
        sys.addaudithook(self._event)

    @contextmanager
    def call(self, *, reads: bool) -> Iterator[None]:
        """While one function of the domain runs. `reads`: reading files outside the package counts."""
        before = (Path.cwd(), dict(os.environ), threading.active_count())
        self.notes, self._asleep, self._temporary = [], 0.0, []
        self._active, self._reads = True, reads
        try:
            yield
        finally:
            self._active = False
            left = next((pair for pair in self._temporary if Path(pair[0]).exists()), None)
            if left:
                self._add("file", f"leaves {left[0]!r} behind", left[1])
            self._state(*before)

    def _state(self, folder: Path, environment: dict[str, str], threads: int) -> None:
        if Path.cwd() != folder:
            self._add("state", "changes the working directory of its process", "")
            os.chdir(folder)
        if dict(os.environ) != environment:
            changed = sorted(k for k in {*os.environ, *environment} if os.environ.get(k) != environment.get(k))
            self._add("state", f"changes the environment variable {changed[0]}", "")
            os.environ.clear()
            os.environ.update(environment)
        if threading.active_count() > threads:
            self._add("thread", "leaves a thread running after it has returned", "")

    # ---- notes

    def _add(self, kind: str, text: str, where: str) -> None:
        note = Note(kind=kind, text=text[:300], where=where)
        self.notes.append(note)
        self._tell(note)

    def _note(self, kind: str, text: str, *, force: bool = False) -> bool:
        """Adds a note unless a library did this while it was being imported. Returns whether it did."""
        if not (self._active or force) or self._busy:
            return False
        self._busy = True
        try:
            where, imports = self._author()
            if imports or not where:
                return False
            self._add(kind, text, where)
            return True
        finally:
            self._busy = False

    def _author(self) -> tuple[str, bool]:
        """The innermost line of the domain on the stack, and whether an import stands between it and here."""
        frame, imports = sys._getframe(1), False
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(tuple(self.roots)):
                return f"{file}:{frame.f_lineno}", imports
            imports = imports or file.startswith("<frozen importlib")
            frame = frame.f_back  # type: ignore[assignment]
        return "", imports

    # ---- events

    def _event(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._active or self._busy:
            return
        if event == "open":
            self._opened(*args)
        elif event in NETWORK:
            target = next((a for a in args if isinstance(a, tuple | str)), "")
            if not (isinstance(target, str) and event in ("socket.connect", "socket.bind")):  # a socket of this machine
                self._refuse("network", f"uses the network ({event} {target!r})")
        elif event in PROCESSES:
            self._refuse("process", f"starts or signals a process ({event} {args[0] if args else ''!r})")
        elif event == "builtins.input":
            self._note("output", "reads from standard input")
        elif event == "sqlite3.connect" and str(args[0]) not in ("", ":memory:"):
            self._opened(args[0], "w", 0)
        elif event in CHANGES and not self._is_temporary(args[0]):
            self._note("file", f"changes the file system ({event} {args[0]!r})")

    def _refuse(self, kind: str, text: str) -> None:
        if self._note(kind, text):
            raise PermissionError(f"evoltune domains check: this function {text}")

    def _slept(self, seconds: float) -> None:
        if not self._active or threading.current_thread() is not threading.main_thread():
            return
        self._asleep += seconds
        if self._asleep >= ASLEEP_S and self._note("sleep", f"sleeps for {self._asleep:g} s"):
            raise TimeoutError(f"evoltune domains check: this function sleeps for {self._asleep:g} s")

    def _opened(self, path: Any, mode: Any, flags: Any) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        real = os.path.realpath(os.fsdecode(path))
        writes = any(c in str(mode or "") for c in "wax+") or bool(
            int(flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
        if real.startswith("/dev/"):
            return
        if writes and self._is_temporary(real):
            self._temporary.append((real, self._author()[0]))
        elif writes:
            self._note("file", f"writes the file {real!r}")
        elif self._reads and not any(real == p or real.startswith(p.rstrip("/") + "/") for p in self._readable):
            self._note("file", f"reads {real!r}, which is no part of its package")

    def _is_temporary(self, path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        real = os.path.realpath(os.fsdecode(path))
        return real.startswith(self._temp + os.sep) and not real.startswith(tuple(self.roots))

    # ---- clock and chance

    def _replace_clock(self) -> None:
        def moved(real: Callable[..., Any], unit: float = 1.0) -> Callable[..., Any]:
            def read() -> Any:
                self.uses_clock = self.uses_clock or self._active
                return real() + (type(real())(self.clock_shift * unit))

            return read

        for name in ("time", "monotonic", "perf_counter"):
            setattr(time, name, moved(getattr(time, name)))
            setattr(time, f"{name}_ns", moved(getattr(time, f"{name}_ns"), 1e9))
        sleep = time.sleep

        def watched_sleep(seconds: Any) -> None:
            self._slept(float(seconds))
            sleep(seconds)

        time.sleep = watched_sleep
        for name in ("localtime", "gmtime", "ctime"):
            setattr(time, name, self._at(getattr(time, name)))
        strftime, now = time.strftime, time.localtime
        time.strftime = lambda form, t=None: strftime(form, t if t is not None else now())
        datetime.datetime, datetime.date = self._dates()  # type: ignore[misc, assignment]

    def _at(self, real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda seconds=None: real(time.time() if seconds is None else seconds)

    def _dates(self) -> tuple[type, type]:
        real_datetime, real_date = datetime.datetime, datetime.date

        class AnyDateTime(type):
            def __instancecheck__(cls, value: object) -> bool:
                return isinstance(value, real_datetime)

        class AnyDate(type):
            def __instancecheck__(cls, value: object) -> bool:
                return isinstance(value, real_date)

        class MovedDateTime(real_datetime, metaclass=AnyDateTime):  # type: ignore[valid-type, misc]
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return real_datetime.fromtimestamp(time.time(), tz)

            @classmethod
            def utcnow(cls) -> Any:
                return real_datetime.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)

            @classmethod
            def today(cls) -> Any:
                return cls.now()

        class MovedDate(real_date, metaclass=AnyDate):  # type: ignore[valid-type, misc]
            @classmethod
            def today(cls) -> Any:
                return real_date.fromtimestamp(time.time())

        return MovedDateTime, MovedDate

    def _replace_random(self) -> None:
        def chosen(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
            def draw(*args: Any, **named: Any) -> Any:
                self.uses_random = self.uses_random or self._active
                return (
                    EXTREMES[name][self.extreme](*args, **named) if self.extreme is not None else real(*args, **named)
                )

            return draw

        for name in EXTREMES:
            setattr(random, name, chosen(name, getattr(random, name)))
        shuffle, sample, urandom = random.shuffle, random.sample, os.urandom

        def noted(real: Callable[..., Any]) -> Callable[..., Any]:
            def draw(*args: Any, **named: Any) -> Any:
                self.uses_random = self.uses_random or self._active
                return real(*args, **named)

            return draw

        random.shuffle, random.sample, os.urandom = noted(shuffle), noted(sample), noted(urandom)
        random._urandom = os.urandom  # type: ignore[attr-defined]


class _Stdout(io.TextIOBase):
    """Standard output of the probe: what is written there would end up in the middle of a command's own lines."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if text.strip():
            self.watch._note("output", f"writes {text.strip()[:60]!r} to standard output")
        return len(text)

    def fileno(self) -> int:
        return 1
