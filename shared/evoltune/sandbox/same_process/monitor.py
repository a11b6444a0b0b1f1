"""What is watched while a program and its tests share a process: assertions, modules by which tests judge, and calls into
the interpreter's own state (frames, all objects, raw memory), which the kernel of the interpreter reports to an audit hook.

Invariant: an audit hook cannot be removed, and nothing that a program may call without its knowledge leads to this module's
objects; what it sees is kept, whether or not the program swallows the exception.
"""

import os
import sys
import sysconfig
import types
from _blake2 import blake2b
from _thread import get_ident
from collections.abc import Callable, Iterable
from typing import Any

RATCHET = 10_000
"""The key moves on with each of the first so many assertions."""
MAX_VERIFIED = 400
"""Assertions before which all watched modules are verified; after that every 16th."""
_FRAMES = frozenset({"sys._getframe", "sys._current_frames", "sys._current_exceptions"})
_MEMORY = ("gc.get_", "ctypes.", "sys.settrace", "sys.setprofile", "sys.addaudithook", "marshal.loads", "cpython.")
_FRAME_ATTRIBUTES = frozenset(
    {"tb_frame", "gi_frame", "cr_frame", "ag_frame", "gi_code", "cr_code", "ag_code", "f_code"}
)
_RETURNS_FRAMES = frozenset({
    "walk_stack", "walk_tb", "currentframe", "stack", "trace", "getouterframes", "getinnerframes", "_task_get_stack",
    "getgeneratorlocals", "getcoroutinelocals", "getasyncgenlocals", "_getframe",
})  # fmt: skip
_LIBRARIES = tuple(
    {f"{p}/" for k, p in sysconfig.get_paths().items() if k in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_OWN = os.path.dirname(sys._getframe().f_code.co_filename) + "/"
_NO_IMPORT = frozenset(
    {"ctypes", "_ctypes", "_testcapi", "_testinternalcapi", "_xxsubinterpreters", "_testbuffer", "_interpreters"}
)


class State:
    """Counts and findings of one run. Only closures and constants of the tests' code hold it."""

    __slots__ = ("broken", "busy", "counts", "failed", "key", "pid", "steps", "swallowed", "thread")

    def __init__(self) -> None:
        self.key, self.steps = b"", 0
        self.counts: dict[int, int] = {}
        self.failed = 0
        self.broken = ""
        self.busy = True
        self.pid = self.thread = 0

    def begin(self, key: bytes) -> None:
        """Takes a job on, in the process that runs it."""
        self.key, self.busy = key, False
        self.pid, self.thread = os.getpid(), get_ident()


def count(state: State, site: int) -> None:
    """One assertion has held."""
    state.counts[site] = state.counts.get(site, 0) + 1
    if state.steps < RATCHET:
        state.steps += 1
        state.key = blake2b(state.key, digest_size=16).digest()


def is_library(filename: str) -> bool:
    """Whether code of this file name is the standard library's or an installed package's."""
    return filename.startswith(_LIBRARIES) or filename.startswith("<frozen ")


def is_own(filename: str) -> bool:
    """Whether code of this file name is the tests' or this package's; a program that takes such a name is refused."""
    return filename.startswith(_OWN) or filename == "<tests>"


class _Watch:
    """Decides on one event of the interpreter's."""

    def __init__(self, state: State, is_tests: Callable[[Any], bool]) -> None:
        self.state, self.is_tests = state, is_tests

    def refuse(self, what: str) -> None:
        self.state.broken = self.state.broken or what
        raise PermissionError(f"{what} is not allowed where program and tests share a process")

    def judge(self, event: str, args: tuple[Any, ...], frame: Any) -> None:
        """Raises where the program, or a library that it uses, does what it must not."""
        actor = frame
        while actor is not None and is_library(actor.f_code.co_filename):
            actor = actor.f_back
        if actor is None or is_own(actor.f_code.co_filename):
            return
        library = actor is not frame
        if event in _FRAMES:
            self._frame(event, frame, library)
        elif event.startswith(_MEMORY):
            if not library or not event.startswith(("ctypes.", "marshal.")):
                self.refuse(event)
        elif event == "object.__getattr__":
            if args[1] in _FRAME_ATTRIBUTES:
                self._frame(args[1], frame, library)
            elif args[1] == "__code__" and self.is_tests(args[0]):
                self.refuse("the code of the tests")
        elif event == "object.__setattr__":
            self._attribute(args, library)
        elif not library:
            self._other(event, args)

    def _frame(self, event: str, frame: Any, library: bool) -> None:
        """A frame is for libraries, unless they would hand it on."""
        if not library:
            self.refuse(event)
        outer = frame.f_back
        if frame.f_code.co_name in _RETURNS_FRAMES and not (outer and is_library(outer.f_code.co_filename)):
            self.refuse(f"{frame.f_code.co_name}()")

    def _attribute(self, args: tuple[Any, ...], library: bool) -> None:
        if args[1] in ("__code__", "__defaults__", "__kwdefaults__") and not library:
            space = getattr(args[0], "__globals__", {})
            if self.is_tests(args[0]) or is_library(str(space.get("__file__", ""))):
                self.refuse(f"changing {args[1]}")

    def _other(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "code.__new__":
            self.refuse(event)
        elif event == "compile":
            name = args[1].decode("utf-8", "replace") if isinstance(args[1], bytes) else str(args[1])
            if is_library(name) or name.startswith((_OWN, "<tests>", "<frozen")):
                self.refuse("code under the name of a library's file")
        elif event == "import" and args[0].partition(".")[0] in _NO_IMPORT:
            self.refuse(f"import {args[0]}")
        elif event == "open" and isinstance(args[0], str) and args[0].startswith("/proc"):
            self.refuse(args[0])


def hook(state: State, is_tests: Callable[[Any], bool]) -> Callable[[str, tuple[Any, ...]], None]:
    """The audit hook. `is_tests`: whether a function belongs to the tests."""
    getframe, ident, judge = sys._getframe, get_ident, _Watch(state, is_tests).judge
    watched = {"object.__getattr__", "object.__setattr__", "code.__new__", "compile", "import", "open", *_FRAMES}

    def hear(event: str, args: tuple[Any, ...]) -> None:
        if (event not in watched and not event.startswith(_MEMORY)) or (state.busy and ident() == state.thread):
            return
        if ident() == state.thread:
            state.busy = True
            try:
                judge(event, args, getframe(1))
            finally:
                state.busy = False
        elif event.startswith(_MEMORY) or event in ("sys._current_frames", "code.__new__"):
            state.broken = state.broken or event
            raise PermissionError(event)

    return hear


# ---- modules by which tests judge

Entry = tuple[Any, str, Any]


def snapshot(modules: Iterable[types.ModuleType]) -> list[Entry]:
    """What the names of modules, of their classes, and of their functions' closures mean now."""
    entries: list[Entry] = []
    for module in modules:
        for name, value in list(vars(module).items()):
            if name.startswith("__") and name != "__getattr__":
                continue
            entries.append((module.__dict__, name, value))
            if isinstance(value, type) and value.__flags__ & (1 << 9) and value.__module__ == module.__name__:
                entries += [
                    (value.__dict__, k, v)
                    for k, v in list(value.__dict__.items())
                    if k not in ("__dict__", "__weakref__")
                ]
    return entries


def changed(entries: list[Entry]) -> list[Entry]:
    """Those that mean something else now."""
    return [entry for entry in entries if entry[0].get(entry[1]) is not entry[2]]
