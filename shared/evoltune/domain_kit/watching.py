"""What a domain's functions do besides returning a value: seen in the probe process, while one of them runs.

    watch = Watch(["/home/ada/evoltune-sums/evoltune_sums/"]); watch.install()
    with watch.call(reads=True): verify(task, candidate, context)
    watch.notes        # [Note(kind="network", text="connects to ('10.0.0.1', 80)", where="/x/sums/__init__.py:12")]

Python's audit events tell of sockets, files and processes; what has no event is replaced before the domain is imported. What the
process is set to is compared before and after (`process_state`). Connections, processes and long sleeps are refused: a check
must not do them.
"""

import io
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from evoltune.domain_kit import process_state
from evoltune.domain_kit.surroundings import Surroundings

ASLEEP_S = 2.0
"""Seconds that one call may sleep."""
LONGEST_PROGRAM_S = 120.0
"""CPU seconds of a program that somebody waits for."""
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
LOOKS = (1, 2, 8, 64, 512)
"""After how many calls of one function the names of all modules are looked at, which takes some 20 ms."""
BETWEEN = (
    "os", "posixpath", "genericpath", "pathlib", "pathlib._local", "_collections_abc", "collections.abc", "glob", "fnmatch", "shutil", "platform", "socket", "ctypes", "locale",
    "evoltune.domain_kit.watching", "evoltune.domain_kit.surroundings",
)  # fmt: skip
"""Modules between a function that asks for a path, a variable or a fact of the machine, and its caller."""
_FOR_ALL: tuple[tuple[Any, str], ...] = (
    (logging, "basicConfig"), (warnings, "simplefilter"), (warnings, "filterwarnings"), (random, "seed"), (os, "register_at_fork"),
)  # fmt: skip
"""Functions that set something for the whole process and that a package could call while it is imported."""
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


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something that a function did and should not have done."""

    kind: str
    """network, process, file, machine, output, sleep, limit, alarm, state, thread, exit"""
    text: str
    where: str


class Watch:
    """The notes of one probe process. Only one call at a time is watched."""

    def __init__(self, roots: list[str], tell: Callable[[Note], None] = lambda note: None) -> None:
        self.roots = roots
        self.notes: list[Note] = []
        self.surroundings = Surroundings(lambda: self._active, self._asked, roots)
        self._active = self._reads = self._busy = self._importing = False
        self._bindings: process_state.Bindings | None = None
        self._calls: dict[str, int] = {}
        self._settings: dict[str, Any] = {}
        self._descriptors = 0
        self._asleep = 0.0
        self._temporary: list[tuple[str, str]] = []
        self._left: set[str] = set()
        self._readable: list[str] = []
        self._temp = os.path.realpath(tempfile.gettempdir())
        self._tell = tell

    def install(self, *, elsewhere: bool = False) -> None:
        """Puts the hooks in place; before the domain is imported. `elsewhere`: as on another machine."""
        places = [sys.prefix, sys.base_prefix, sys.exec_prefix, *SYSTEM, *filter(None, sys.path)]
        data = os.environ.get("EVOLTUNE_DATA")
        self._readable = [os.path.realpath(p) for p in [*places, *([data] if data else []), *self.roots]]
        sys.stdout = _Stdout(self)
        process_state.preload(self.roots)
        self.surroundings.install(elsewhere=elsewhere)
        self._replace_functions()
        leave = os._exit

        def noted_exit(status: int) -> None:
            self._note("exit", f"calls os._exit({status}), which ends the worker", force=True)
            leave(status)

        os._exit = noted_exit  # type: ignore[assignment]
        sys.addaudithook(self._event)

    @contextmanager
    def call(self, hook: str, *, reads: bool) -> Iterator[None]:
        """While one function of the domain runs. `hook`: which one, or "import"; `reads`: reading files outside the package
        counts."""
        self._importing = hook == "import"
        if self._bindings is None:
            self._bindings = process_state.Bindings(self.roots)
            self._descriptors = process_state.descriptors()
        self._settings = self._settings or process_state.settings()
        self.notes, self._asleep, self._temporary = [], 0.0, []
        self._active, self._reads = True, reads
        try:
            yield
        finally:
            self._active = False
            if left := {*os.listdir(self._temp)} - self._left:  # noqa: PTH208 - after every call
                self._left |= left
                written = next(
                    (where for path, where in self._temporary if path.startswith(f"{self._temp}/{min(left)}")), ""
                )
                self._add("file", f"leaves {min(left)!r} behind in the folder of temporary files", written)
            self._compare(hook)

    def forget_settings(self) -> None:
        """After the probe itself has changed a setting."""
        self._settings = {}

    def _compare(self, hook: str) -> None:
        """Notes what a call left otherwise than it was; it is not noted again."""
        before, now = self._settings, process_state.settings()
        for name in process_state.changed(before, now):
            if name == "threads":
                self._add("thread", "leaves a thread running after it has returned", "")
            elif not (self._importing and name in process_state.SET_BY_LIBRARIES) or self._is_own_path(
                name, before, now
            ):
                self._add("state", f"changes {name}, for all that runs in the process", "")
        os.chdir(before["the working directory"])
        if now["an environment variable"] != before["an environment variable"]:
            os.environ._data.clear()  # type: ignore[attr-defined]
            os.environ._data.update(before["an environment variable"])  # type: ignore[attr-defined]
            now["an environment variable"] = before["an environment variable"]
        self._settings = now | {"the working directory": before["the working directory"]}
        self._calls[hook] = self._calls.get(hook, 0) + 1
        if (opened := process_state.descriptors()) > self._descriptors + process_state.DESCRIPTORS:
            self._descriptors = opened
            self._add("state", "leaves files open", "")
        if self._calls[hook] in LOOKS:
            self.compare_bindings()

    def _is_own_path(self, name: str, before: dict[str, Any], now: dict[str, Any]) -> bool:
        """Whether the package put itself into sys.path, so that its modules hide others of their names."""
        added = {*now[name]} - {*before[name]} if name == "sys.path" else ()
        return any((os.path.realpath(path) + os.sep).startswith(tuple(self.roots)) for path in added)

    def compare_bindings(self) -> None:
        """Notes which functions, classes and constants of other modules were replaced since the last look."""
        for name in (self._bindings.changed() if self._bindings else [])[:3]:
            self._add("state", f"replaces {name}, for all that runs in the process", "")

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
        elif event == "ctypes.dlopen" and (args[0] is None or "libc" in str(args[0])) and self._is_asked_by_author():
            self._note("process", "loads the C library (ctypes), whose calls nothing here can see")
        elif event == "sys.addaudithook":
            self._note("state", "adds an audit hook (sys.addaudithook), which can never be taken away")
        elif event == "builtins.input":
            self._note("output", "reads from standard input")
        elif event == "sqlite3.connect" and str(args[0]) not in ("", ":memory:"):
            self._opened(args[0], "w", 0)
        elif event in ("os.listdir", "os.scandir", "glob.glob") and self._reads and isinstance(args[0], str):
            self._looked_for(args[0])
        elif event == "os.mkdir" and self._is_temporary(_below(*args)):
            self._temporary.append((self._real(args[0]), self._author()[0]))
        elif event in CHANGES and not self._is_temporary(_below(*args)):
            self._note("file", f"changes the file system ({event} {args[0]!r})")

    def limited(self, cpu_s: float) -> None:
        """A program in the sandbox is given this limit."""
        if cpu_s > LONGEST_PROGRAM_S:
            self._note("limit", f"lets a program run for {cpu_s:g} s of CPU (at most {LONGEST_PROGRAM_S:g})")

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
        if os.fsdecode(path).startswith("<"):  # "<string>": the interpreter looks for the source of an error
            return
        real = self._real(path)
        writes = any(c in str(mode or "") for c in "wax+") or bool(
            int(flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
        if real.startswith("/dev/"):
            return
        if writes and self._is_temporary(real):
            self._temporary.append((real, self._author()[0]))
        elif writes:
            self._note("file", f"writes the file {real!r}")
        elif self._reads and not self._is_readable(real):
            self._note("file", f"reads {real!r}, which is no part of its package")

    def _real(self, path: Any) -> str:
        active, self._active = self._active, False  # what is asked here is no question of the domain's
        try:
            return os.path.realpath(os.fsdecode(path))
        finally:
            self._active = active

    def _is_temporary(self, path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        real = self._real(path)
        return real.startswith(self._temp + os.sep) and not real.startswith(tuple(self.roots))

    # ---- functions without an audit event

    def _replace_functions(self) -> None:
        sleep, stat, access, getcwd = time.sleep, os.stat, os.access, os.getcwd
        alarm, setitimer, item = signal.alarm, signal.setitimer, type(os.environ).__getitem__

        def watched_sleep(seconds: Any) -> None:
            self._slept(float(seconds))
            sleep(seconds)

        def watched_stat(path: Any, *args: Any, **named: Any) -> Any:
            if self._active:
                self._looked_for(path)
            return stat(path, *args, **named)

        def watched_access(path: Any, *args: Any, **named: Any) -> Any:
            if self._active:
                self._looked_for(path)
            return access(path, *args, **named)

        def watched_getcwd() -> str:
            if self._active and (self._reads or self._importing) and self._is_asked_by_author():
                self._note("machine", "asks for the working directory")
            return getcwd()

        def watched_item(environ: Any, key: Any) -> Any:
            if (
                self._active
                and (self._reads or self._importing)
                and not str(key).startswith("EVOLTUNE_")
                and self._is_asked_by_author()
            ):
                self._note("machine", f"reads the environment variable {key}")
            return item(environ, key)

        def watched_alarm(seconds: Any) -> Any:
            self._note("alarm", "sets an alarm (signal.alarm)")
            return alarm(seconds)

        def watched_setitimer(which: Any, *args: Any) -> Any:
            self._note("alarm", "sets a timer (signal.setitimer)")
            return setitimer(which, *args)

        for module, name in _FOR_ALL:
            setattr(module, name, self._for_all(module, name))
        sys.argv = _Arguments(sys.argv, lambda: self._asked("sys.argv"))
        time.sleep, os.stat, os.access, os.getcwd = watched_sleep, watched_stat, watched_access, watched_getcwd
        signal.alarm, signal.setitimer = watched_alarm, watched_setitimer
        type(os.environ).__getitem__ = watched_item  # type: ignore[method-assign]

    def _for_all(self, module: Any, name: str) -> Callable[..., Any]:
        """A function that sets something for the whole process: libraries may call it while they are imported, a domain may not.
        Of later calls only what stays counts, which is compared."""
        real, filters = getattr(module, name), warnings.filters

        def told(*args: Any, **named: Any) -> Any:
            stays = module is not warnings or warnings.filters is filters  # `warnings.catch_warnings` works on a copy
            if (
                self._active
                and stays
                and (self._importing or name == "register_at_fork")
                and self._is_asked_by_author()
            ):
                self._note("state", f"calls {module.__name__}.{name}(), for all that runs in the process")
            return real(*args, **named)

        return told

    def _looked_for(self, path: Any) -> None:
        """A path that the domain's own code asks about: it must be in the package, or of the libraries."""
        if not isinstance(path, str | bytes | os.PathLike) or not self._is_asked_by_author():
            return
        text = os.fsdecode(path)
        if not text.startswith("/"):
            self._note("machine", f"looks for {text!r} in the working directory")
        elif (self._reads or self._importing) and not self._is_readable(text):
            self._note("machine", f"looks for {text!r}, which is no part of its package")

    def _asked(self, name: str) -> None:
        if self._active and (self._reads or self._importing) and self._is_asked_by_author():
            self._note("machine", f"asks for {name}, which differs from machine to machine")

    def _is_asked_by_author(self) -> bool:
        """Whether the caller of a function of the standard library is the domain, and not a library that the domain uses."""
        frame = sys._getframe(1)
        while frame is not None and frame.f_globals.get("__name__") in BETWEEN:
            frame = frame.f_back  # type: ignore[assignment]
        return frame is not None and frame.f_code.co_filename.startswith(tuple(self.roots))

    def _is_readable(self, real: str) -> bool:
        if real == self._temp or any(real.startswith(path) for path, _ in self._temporary):  # what it wrote itself
            return True
        return any(real == p or real.startswith(p.rstrip("/") + "/") for p in self._readable)


def _below(path: Any, *rest: Any) -> Any:
    """A path of an audit event, whose last argument may be the open folder that it is relative to (`shutil.rmtree`)."""
    folder = rest[-1] if rest else -1
    if not isinstance(folder, int) or folder < 0 or not isinstance(path, str | bytes):
        return path
    return f"/proc/self/fd/{folder}/{os.fsdecode(path)}"


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


class _Arguments(list[str]):
    """`sys.argv`, which tells when somebody looks at it."""

    def __init__(self, values: list[str], asked: Callable[[], None]) -> None:
        super().__init__(values)
        self._asked = asked

    def __getitem__(self, index: Any) -> Any:
        self._asked()
        return super().__getitem__(index)

    def __contains__(self, value: object) -> bool:
        self._asked()
        return super().__contains__(value)

    def __iter__(self) -> Iterator[str]:
        self._asked()
        return super().__iter__()
