"""What is watched while a program and its tests share a process: assertions, modules by which tests judge, and calls into
the interpreter's own state (frames, all objects, raw memory), which the kernel of the interpreter reports to an audit hook.

Invariant: an audit hook cannot be removed, and nothing that a program may call without its knowledge leads to this module's
objects; what it sees is kept, whether or not the program swallows the exception.
"""

import _imp
import gc
import os
import re
import site
import sys
import types
from _blake2 import blake2b
from _thread import get_ident
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from evoltune.sandbox.same_process import hiding

RATCHET = 10_000
"""The key moves on with each of the first so many assertions."""
MAX_VERIFIED = 400
"""Assertions before which all watched modules are verified; after that every 16th."""
ALL_VERIFIED = 4
"""Assertions before which what these modules are made of is verified too; after that at each power of two, and at the end."""
_FRAMES = frozenset({"sys._getframe", "sys._current_frames", "sys._current_exceptions"})
_MEMORY = ("gc.get_", "ctypes.", "sys.settrace", "sys.setprofile", "sys.addaudithook", "marshal.load", "cpython.")
_FRAME_ATTRIBUTES = frozenset(
    {"tb_frame", "gi_frame", "cr_frame", "ag_frame", "gi_code", "cr_code", "ag_code", "f_code"}
)
_RETURNS_FRAMES = frozenset({
    "walk_stack", "walk_tb", "currentframe", "stack", "trace", "getouterframes", "getinnerframes", "_task_get_stack",
    "getgeneratorlocals", "getcoroutinelocals", "getasyncgenlocals", "_getframe",
})  # fmt: skip
_ANNOTATIONS = ("get_type_hints", "get_annotations")
"""What libraries read a function's global names for: to make classes of the names in its annotations, and not to call."""
_COMPILES = frozenset({"compile", "eval", "exec"})
_ANY_ATTRIBUTE = frozenset({"getattr", "setattr", "attrgetter"})
_DEBUGGERS = ("/bdb.py", "/pdb.py")  # they show the variables of every frame
TESTS = "<tests>"
"""The file of the tests."""
_IMPORTER = "<frozen importlib"
_frozen = _imp.get_frozen_object
_LIBRARIES = tuple({f"{path}/" for path in (os.path.dirname(os.__file__), *site.getsitepackages())})
_OWN = os.path.dirname(sys._getframe().f_code.co_filename) + "/"
_NO_IMPORT = frozenset(
    {
        "ctypes",
        "_ctypes",
        "_testcapi",
        "_testinternalcapi",
        "_xxsubinterpreters",
        "_testbuffer",
        "_interpreters",
        "_signal",
    }
)


_OF_FUNCTIONS = frozenset({"__code__", "__defaults__", "__kwdefaults__", *hiding.ATTRIBUTES})


class State:
    """Counts and findings of one run. Only closures and constants of the tests' code hold it."""

    __slots__ = ("broken", "busy", "counts", "failed", "key", "later", "pid", "steps", "swallowed", "thread")

    def __init__(self) -> None:
        self.key, self.steps = b"", 0
        self.counts: dict[int, int] = {}
        self.failed = 0
        self.broken = ""
        self.busy = True
        self.later: list[Any] = []
        """Calls of the program's signal handlers that wait until an event is judged: meanwhile the hook hears nothing."""
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
    return filename.startswith(_OWN) or filename == TESTS


class _Watch:
    """Decides on one event of the interpreter's. `spaces`: the built-ins by which the tests' code and ours are told from code
    that only took the name of their files."""

    def __init__(self, state: State, is_tests: Callable[[Any], bool], spaces: tuple[Any, ...] = ()) -> None:
        self.state, self.is_tests = state, is_tests
        self.spaces = (*spaces, globals()["__builtins__"])

    def refuse(self, what: str) -> None:
        self.state.broken = self.state.broken or what
        raise PermissionError(f"{what} is not allowed where program and tests share a process")

    def judge(self, event: str, args: tuple[Any, ...], frame: Any) -> None:
        """Raises where the program, or a library that it uses, does what it must not."""
        if event.startswith("object.") and type(args[1]) is not str:
            return  # the program's own report: the interpreter's names are texts
        if event == "object.__getattr__" and args[1] in hiding.ATTRIBUTES:
            frame = frame.f_back  # of the function that stands for the attribute
        actor = frame
        while actor is not None and is_library(actor.f_code.co_filename):
            actor = actor.f_back
        if actor is None and get_ident() == self.state.thread:
            return
        library = actor is not frame
        if actor is not None and self._is_own(actor):
            self._for_tests(event, args, frame, library)
            return
        if event == "sys._getframe" and hiding.asks_for_names(frame.f_code):
            if frame.f_back is not None and self._is_own(frame.f_back):
                self.refuse("the names of the tests")
        elif event in _FRAMES:
            self._frame(event, frame, library)
        elif event.startswith(_MEMORY):
            if not library or not (event.startswith("ctypes.") or _imports_file(event, frame)):
                self.refuse(event)
        elif event == "object.__getattr__":
            if args[1] in _FRAME_ATTRIBUTES:
                self._frame(args[1], frame, library)
            elif args[1] == "__code__" and self.is_tests(args[0]):
                self.refuse("the code of the tests")
            elif args[1] in hiding.ATTRIBUTES and not (library and _reads_annotations(frame, args[0])):
                self.refuse(f"{args[1]} of the tests' functions")
        elif event == "object.__setattr__":
            self._attribute(args, library)
        elif event == "compile":
            self._compile(args[1], frame, library)
        elif event == "import":
            self._import(args, frame)
        elif not library:
            self._other(event, args)

    def _is_own(self, frame: Any) -> bool:
        return is_own(frame.f_code.co_filename) and any(frame.f_builtins is b for b in self.spaces)

    def _for_tests(self, event: str, args: tuple[Any, ...], frame: Any, library: bool) -> None:
        """What the tests' code or ours does, or a library for it, must be asked for by its name: an iterator that the program makes of
        the interpreter's own functions (`map(eval, ["expected"])`) calls them in whoever's frame takes its items."""
        names: frozenset[str] = frozenset()
        if event in _FRAMES or event.startswith(("gc.get_", "sys.")):
            names = frozenset({event.rpartition(".")[2]})
        elif event.startswith("object."):
            if args[1] in _FRAME_ATTRIBUTES or args[1] in _OF_FUNCTIONS:
                names = _ANY_ATTRIBUTE | {args[1]}
        elif event == "code.__new__":
            names = frozenset({"replace", "CodeType"})
        elif event == "import":
            self._import(args, frame)
        elif event in ("compile", "exec"):
            if event == "compile" and is_own(_name_of(args[1])):
                self.refuse("code under the name of the tests' file")
            names = frozenset() if library else _COMPILES
        if names and not any(_mentions(frame, name) for name in names):
            self.refuse(f"{event} in the place of the tests")
        if event in _FRAMES and library and _hands_on(frame):
            self.refuse(f"{frame.f_code.co_name}() in the place of the tests")

    def _import(self, args: tuple[Any, ...], frame: Any) -> None:
        """A module that reaches raw memory is for libraries, and for tests that name it."""
        name = _plain(args[0]).partition(".")[0]
        if name not in _NO_IMPORT:
            return
        while frame is not None and _is_importer(frame.f_code.co_filename):
            frame = frame.f_back
        file = frame.f_code.co_filename if frame is not None else ""
        if is_library(file) and "/numpy/" in file:
            raise ImportError(name)  # it does without, and its modules lead a program to all that they import
        if frame is None or is_library(file) or (self._is_own(frame) and _mentions(frame, name)):
            return
        self.refuse(f"import {name}")

    def _frame(self, event: str, frame: Any, library: bool) -> None:
        """A frame is for libraries whose own code asks for it (a callback of the program's may be called by them), unless they
        would hand on the frame or what its variables are."""
        if not library or not _mentions(frame, event.rpartition(".")[2]):
            self.refuse(event)
        if _hands_on(frame) or (
            frame.f_back and not is_library(frame.f_back.f_code.co_filename) and _returns_frames(frame)
        ):
            self.refuse(f"{frame.f_code.co_name}()")
        while frame is not None and is_library(frame.f_code.co_filename):
            shows = "capture_locals" in frame.f_code.co_varnames and frame.f_locals.get("capture_locals")
            if not (shows is False or shows is None) or frame.f_code.co_filename.endswith(_DEBUGGERS):
                self.refuse("the variables of all frames")
            frame = frame.f_back

    def _compile(self, file: Any, frame: Any, library: bool) -> None:
        """Code is told by its file's name: the tests' and ours is nobody's, a library's is the importer's."""
        if not (
            type(file) is str or type(file) is bytes or file is None
        ):  # its methods would run in every later look at the code
            self.refuse("code under a name that is no plain text")
        name = _name_of(file)
        if is_own(name) or (is_library(name) and not (library and _imports_source(name, frame))):
            self.refuse("code under the name of a library's file")

    def _attribute(self, args: tuple[Any, ...], library: bool) -> None:
        if args[1] in ("__code__", "__defaults__", "__kwdefaults__") and not library:
            space = hiding.globals_of(args[0]) if type(args[0]) is types.FunctionType else {}
            if self.is_tests(args[0]) or is_library(str(space.get("__file__", ""))):
                self.refuse(f"changing {args[1]}")

    def _other(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "code.__new__":
            self.refuse(event)
        elif event == "open" and _plain(args[0]).startswith("/proc"):
            self.refuse(_plain(args[0]))


def _mentions(frame: Any, name: str) -> bool:
    """Whether the frame's own code has this name, as an attribute or as the text of one."""
    return name in frame.f_code.co_names or name in frame.f_code.co_consts


def _returns_frames(frame: Any) -> bool:
    return frame.f_code.co_name in _RETURNS_FRAMES


def _hands_on(frame: Any) -> bool:
    """Whether a library's function that returns frames is called by who does not name it."""
    outer = frame.f_back
    named = outer and (outer.f_code.co_filename == frame.f_code.co_filename or _mentions(outer, frame.f_code.co_name))
    return _returns_frames(frame) and not named


def _is_importer(filename: str) -> bool:
    """Whether code of this file imports what others ask for, or is a package of `_NO_IMPORT`."""
    return filename.startswith(_IMPORTER) or (
        is_library(filename) and ("/importlib/" in filename or "/ctypes/" in filename)
    )


def _reads_annotations(frame: Any, function: Any) -> bool:
    """Whether these names are for annotations that name classes and call nothing."""
    notes = function.__annotations__
    if frame.f_code.co_name not in _ANNOTATIONS or type(notes) is not dict:
        return False
    return not any(issubclass(type(t), str) and (type(t) is not str or "(" in t) for t in notes.values())


def _plain(value: Any) -> str:
    """A text without methods of the program's: none of its code runs while an event is judged. Empty for what is no text."""
    return str.__str__(value) if issubclass(type(value), str) else ""


def _name_of(file: Any) -> str:
    return file.decode("utf-8", "replace") if type(file) is bytes else _plain(file)


def _imports_file(event: str, frame: Any) -> bool:
    """Whether bytecode is loaded by an import that names it by its source's file, or is a library's."""
    code, here = frame.f_code, frame.f_locals
    if event != "marshal.loads" or not code.co_filename.startswith(_IMPORTER):
        return False
    if code.co_name == "_call_with_frames_removed":  # a module that the interpreter has within, by its name alone
        return here.get("f") is _frozen and len(here.get("args", ())) == 1 and not here.get("kwds")
    if code.co_name != "_compile_bytecode":
        return False
    source, path = _plain(here.get("source_path")), _plain(here.get("bytecode_path"))
    return bool(source) if not is_library(source or path) else _is_in(path, here.get("data"), 16)


def _imports_source(name: str, frame: Any) -> bool:
    """Whether an import compiles what is in the file of this name; a loader of the program's may claim so of anything. The
    interpreter's report of a dead thread parses lines too, and hands nothing on."""
    if frame.f_code.co_name == "invoke_excepthook":
        return True
    while frame is not None and frame.f_code.co_filename.startswith(_IMPORTER):
        if frame.f_code.co_name == "source_to_code":
            return _is_in(name, frame.f_locals.get("data"), 0)
        frame = frame.f_back
    return False


def _is_in(path: str, data: Any, start: int) -> bool:
    """Whether a file has these bytes from `start` to its end."""
    try:
        with open(path, "rb") as file:
            file.seek(start)
            return type(data) in (bytes, memoryview) and file.read() == bytes(data)
    except (OSError, TypeError, ValueError):
        return False


def hook(
    state: State, is_tests: Callable[[Any], bool], spaces: tuple[Any, ...] = ()
) -> Callable[[str, tuple[Any, ...]], None]:
    """The audit hook. `is_tests`: whether a function belongs to the tests; `spaces`: the built-ins of the tests' code."""
    getframe, ident, judge = sys._getframe, get_ident, _Watch(state, is_tests, spaces).judge
    others: set[int] = set()  # the program's threads for which an event is being judged
    watched = {
        "object.__getattr__",
        "object.__setattr__",
        "code.__new__",
        "compile",
        "exec",
        "import",
        "open",
        *_FRAMES,
    }
    collects, stop, start = gc.isenabled, gc.disable, gc.enable  # finalizers of the program's are not to run in `judge`

    def hear(event: str, args: tuple[Any, ...]) -> None:
        if (event not in watched and not event.startswith(_MEMORY)) or (state.busy and ident() == state.thread):
            return
        collecting = collects()
        stop()
        try:
            if ident() == state.thread:
                state.busy = True
                try:
                    judge(event, args, getframe(1))
                finally:
                    state.busy = False
            elif ident() not in others:
                others.add(ident())
                try:
                    judge(event, args, getframe(1))
                finally:
                    others.discard(ident())
        finally:
            if collecting:
                start()
        while state.later and ident() == state.thread:
            handler, number = state.later.pop(0)
            handler(number, None)

    return hear


def is_due(number: int) -> bool:
    """Whether all libraries are verified at an assertion: at the first few, then more and more seldom."""
    return number <= ALL_VERIFIED or number & (number - 1) == 0


# ---- modules by which tests judge

Entry = tuple[Any, str, Any]


_SHOWING = ("showwarning", "_showwarnmsg_impl")
"""What `warnings` itself exchanges while warnings are recorded: how they are shown decides nothing."""


def snapshot(modules: Iterable[types.ModuleType]) -> list[Entry]:
    """What the names of modules, of their classes, and of their functions' closures mean now."""
    entries: list[Entry] = []
    for module in modules:
        for name, value in list(vars(module).items()):
            if (name.startswith("__") and name != "__getattr__") or (
                name in _SHOWING and module.__name__ == "warnings"
            ):
                continue
            entries.append((module.__dict__, name, value))
            if isinstance(value, type) and value.__flags__ & (1 << 9) and value.__module__ == module.__name__:
                entries += [
                    (value.__dict__, k, v)
                    for k, v in list(value.__dict__.items())
                    if k not in ("__dict__", "__weakref__")
                ]
    return entries


CONSTANTS = (int, float, complex, str, bytes, tuple, frozenset, re.Pattern)
Table = tuple[Any, Any, list[Any]]
_CONFIGURED = frozenset({"sys", "os", "warnings", "logging", "threading", "builtins"})
"""Modules with tables that programs fill."""


def is_set(name: str, sources: Iterable[str]) -> bool:
    """Whether tests give a name of a module a value: by an assignment, or by its text (`setattr(m, "name", 1)`)."""
    sets = re.compile(rf"\b{name}\s*(?:\*\*|//|<<|>>|[-+*/%|&^@])?=(?!=)|(['\"])(?:[\w.]*\.)?{name}\1")
    return any(map(sets.search, sources))


def tables(modules: Iterable[types.ModuleType], sources: Sequence[str]) -> list[Table]:
    """Lists and dicts of modules that tests mention and leave as they are: the module's names, the table and what is in it."""
    found: list[Table] = []
    for module in modules:
        if module.__name__ in _CONFIGURED:
            continue
        for name, value in vars(module).items():
            if type(value) not in (list, dict) or name.startswith("__") or not any(name in s for s in sources):
                continue
            fills = re.compile(rf"\b{name}(?:\[[^\n]*\]\s*=(?!=)|\.\w+\(|['\"])|del .*\b{name}\b")
            if not any(map(fills.search, sources)):
                found.append((vars(module), value, _contents(value)))
    return found


def refilled(found: Iterable[Table]) -> list[Entry]:
    """Tables that hold something else now."""
    entries: list[Entry] = []
    for space, table, before in found:
        now = _contents(table)
        if len(now) != len(before) or any(a is not b for a, b in zip(now, before, strict=True)):
            entries.append((space, next(n for n, v in space.items() if v is table), None))
    return entries


def _contents(table: Any) -> list[Any]:
    return [*table] if type(table) is list else [*table, *table.values()]


def changed(entries: list[Entry]) -> list[Entry]:
    """Those that mean something else now."""
    return [entry for entry in entries if entry[0].get(entry[1]) is not entry[2]]
