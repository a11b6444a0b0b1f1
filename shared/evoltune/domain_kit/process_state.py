"""What a process is set to besides its own data: read before and after a call, it must be the same.

    before = settings(); verify(task, candidate, context)
    changed(before, settings())                       # ["the decimal context"]
    bindings = Bindings(["/home/ada/evoltune-sums/"]); builtins.sum = None
    bindings.changed()                                # ["builtins.sum"]

Nothing here knows what a domain may do wrong: it lists what Python and the system let a program set for the whole process.
"""

import atexit
import builtins
import codecs
import csv
import decimal
import gc
import locale
import logging
import numbers
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
import tracemalloc
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

_LIMITS = [name for name in dir(resource) if name.startswith("RLIMIT_")]
_SIGNALS = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})[:32]
_CODECS = ("strict", "ignore", "replace", "backslashreplace", "xmlcharrefreplace", "surrogateescape", "surrogatepass")
_PLAIN = (int, float, str, bytes, tuple)
DESCRIPTORS = 3
"""Open files that may come to stay, such as a library's; more of them are a leak."""
SET_BY_LIBRARIES = frozenset(
    ("the filters of warnings", "the set-up of logging", "sys.path", "sys.meta_path", "functions to call at exit", "the garbage collector", "the state of random",
     "the names of builtins")
)  # fmt: skip
"""What importing a library may change."""


def _decimal() -> Any:
    return [
        (c.prec, c.rounding, c.Emin, c.Emax, c.capitals, c.clamp, tuple(c.traps.values()))
        for c in (decimal.getcontext(), decimal.DefaultContext)
    ]


def _numpy_state(state: Any) -> Any:
    return state["key"].tobytes(), state["pos"]


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _children() -> bool:
    with suppress(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return True
    return False


def _event_loop_policy() -> str:
    """Python sets its own policy at the first use, as in `asyncio.run`: that is no change."""
    kind = type(getattr(sys.modules.get("asyncio.events"), "_event_loop_policy", None))
    return "" if kind.__module__.startswith(("asyncio.", "builtins")) else kind.__qualname__


def _start_method() -> str:
    """Python sets its own default at the first use, e.g. of a lock: that is no change."""
    default = getattr(sys.modules.get("multiprocessing.context"), "_default_context", None)
    chosen = getattr(default, "_actual_context", None)
    return "" if chosen in (None, getattr(default, "_default_context", None)) else str(chosen.get_start_method())


_SETTINGS: dict[str, Callable[[], Any]] = {
    "the working directory": os.getcwd,
    "an environment variable": lambda: os.environ._data.copy(),  # type: ignore[attr-defined]  # five times as quick
    "the mask of new files' permissions (umask)": _umask,
    "a resource limit": lambda: [resource.getrlimit(getattr(resource, name)) for name in _LIMITS],
    "what a signal does": lambda: [signal.getsignal(number) for number in _SIGNALS],
    "which signals are blocked": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    "a timer": lambda: (signal.getitimer(signal.ITIMER_REAL)[0] > 0, signal.getitimer(signal.ITIMER_VIRTUAL)[0] > 0),
    "the process's priority": lambda: os.getpriority(os.PRIO_PROCESS, 0),
    "the cores that the process may use": lambda: os.sched_getaffinity(0),
    "the decimal context": _decimal,
    "the locale": lambda: locale.setlocale(locale.LC_ALL),
    "the time zone": lambda: (time.tzname, time.timezone),
    "the state of random": random.getstate,
    "the filters of warnings": lambda: (list(warnings.filters), warnings.showwarning),
    "the recursion limit": sys.getrecursionlimit,
    "the limit of digits in an int": sys.get_int_max_str_digits,
    "the switch interval of threads": sys.getswitchinterval,
    "a trace or profile function": lambda: (sys.gettrace(), sys.getprofile()),
    "a standard stream": lambda: (sys.stdin, sys.stdout, sys.stderr),
    "sys.path": lambda: list(sys.path),
    "sys.meta_path": lambda: list(sys.meta_path),
    "sys.argv": lambda: list(sys.argv),
    "the garbage collector": lambda: (gc.isenabled(), gc.get_threshold(), gc.get_debug()),
    "the set-up of logging": lambda: (logging.root.level, list(logging.root.handlers), logging.root.manager.disable),
    "the default time limit of sockets": socket.getdefaulttimeout,
    "the field size limit of csv": csv.field_size_limit,
    "functions to call at exit": lambda: getattr(atexit, "_ncallbacks", int)(),
    "the event loop policy": lambda: _event_loop_policy(),
    "the start method of multiprocessing": lambda: _start_method(),
    "the tracing of memory (tracemalloc)": tracemalloc.is_tracing,
    "the stack size of threads": threading.stack_size,
    "how codecs handle errors": lambda: [codecs.lookup_error(name) for name in _CODECS],
    "a standard descriptor": lambda: [(os.fstat(fd).st_dev, os.fstat(fd).st_ino) for fd in (0, 1, 2)],
    "the process group": lambda: (os.getpgrp(), os.getsid(0)),
    "the names of builtins": lambda: sorted(vars(builtins)),
    "what counts as a number": lambda: [
        isinstance(v, kind) for v in ("", b"", ()) for kind in (numbers.Number, numbers.Integral)
    ],
    "threads": lambda: [t.name for t in threading.enumerate()],
    "child processes": _children,
}
_OF_LIBRARIES: dict[str, dict[str, Callable[[Any], Any]]] = {
    "numpy": {
        "numpy's print options": lambda numpy: repr(numpy.get_printoptions()),
        "numpy's handling of errors": lambda numpy: (numpy.geterr(), numpy.geterrcall()),
        "the state of numpy.random": lambda numpy: _numpy_state(numpy.random.get_state(legacy=False)["state"]),
    },
    "mpmath": {"mpmath's precision": lambda mpmath: (mpmath.mp.prec, mpmath.mp.pretty, mpmath.iv.prec)},
    "pandas": {"pandas' options": lambda pandas: repr([pandas.get_option(o) for o in ("display.precision", "display.max_rows", "mode.copy_on_write")])},
}  # fmt: skip


def preload(roots: list[str]) -> None:
    """Imports those libraries with settings of their own that the package's code names: what a first call sets would go
    unseen if the same call imported them."""
    weakref.finalize(
        preload, int
    ).detach()  # the first one anywhere, e.g. of a TemporaryDirectory, registers itself at exit
    files = [f for root in roots for f in (Path(root).rglob("*.py") if Path(root).is_dir() else [Path(root)])]
    code = "\n".join(f.read_text(encoding="utf-8", errors="replace") for f in files if f.is_file())
    for name in _OF_LIBRARIES:
        if name in code:
            with suppress(Exception):
                __import__(name)


def settings() -> dict[str, Any]:
    """name of a setting -> what it is now."""
    now: dict[str, Any] = {}
    for name, read in _SETTINGS.items():
        with suppress(OSError, ValueError):
            now[name] = read()
    for library, readers in _OF_LIBRARIES.items():
        if module := sys.modules.get(library):
            for name, reader in readers.items():
                with suppress(Exception):
                    now[name] = reader(module)
    return now


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What of the process differs after a call, in words for people. Threads and children count only where there are more."""
    names = []
    for name, value in before.items():
        now = after.get(name, value)
        if name == "threads":
            if len(now) > len(value):
                names.append(name)
        elif name == "an environment variable":
            names += [
                f"the environment variable {os.fsdecode(k)}"
                for k in sorted({*now, *value})
                if now.get(k) != value.get(k)
            ][:1]
        elif now != value and not (name == "child processes" and value):
            names.append(name)
    return names


def descriptors() -> int:
    """How many files are open."""
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0  # noqa: PTH208 - called often


class Bindings:
    """What the names of all loaded modules stand for, the domain's own excepted: functions, classes, and the public constants of
    the standard library. A domain that replaces one of them changes it for everybody in the process."""

    def __init__(self, roots: list[str]) -> None:
        self.roots = tuple(roots)
        self._known: dict[str, tuple[ModuleType, dict[tuple[Any, str], Any]]] = {}
        self.changed()

    def changed(self) -> list[str]:
        """Names that stand for something else than at the last look; modules that were imported since are noted for the next."""
        found = [f"sys.modules[{name!r}], which is gone" for name in self._known if name not in sys.modules]
        for name in [name for name in self._known if name not in sys.modules]:
            del self._known[name]
        for name, module in list(sys.modules.items()):
            if not isinstance(module, ModuleType) or name == "__main__" or self._is_own(module):
                continue
            known = self._known.get(name)
            if known is None:
                self._known[name] = (module, dict(_bound(name, module)))
                continue
            if known[0] is not module:
                found.append(f"sys.modules[{name!r}]")
                self._known[name] = (module, dict(_bound(name, module)))
                continue
            found += self._compared(name, known[1])
        return found

    def _compared(self, name: str, known: dict[tuple[Any, str], Any]) -> list[str]:
        found = []
        for (holder, attribute), old in known.items():
            now = vars(holder).get(attribute, known)
            if now is old or (isinstance(old, _PLAIN) and (type(now) is not type(old) or now == old)):
                continue
            if not self._is_authors(name, attribute, now if now is not known else None):
                continue
            place = name if isinstance(holder, ModuleType) else f"{name}.{holder.__name__}"
            found.append(f"{place}.{attribute}")
            known[holder, attribute] = vars(holder).get(attribute)
        return found

    def _is_authors(self, name: str, attribute: str, now: Any) -> bool:
        """Whether the domain is behind a change: libraries may fill in and replace what is theirs, and `typing_extensions` for one
        replaces private parts of the standard library."""
        is_standard = name.partition(".")[0] in sys.stdlib_module_names
        if (is_standard and not attribute.startswith("_")) or not callable(now):
            return True
        code = getattr(getattr(now, "__func__", now), "__code__", None)
        file = (
            code.co_filename
            if code
            else getattr(sys.modules.get(getattr(now, "__module__", None) or ""), "__file__", None)
        )
        return str(file or "").startswith(self.roots)

    def _is_own(self, module: ModuleType) -> bool:
        file = str(getattr(module, "__file__", None) or "")
        return file.startswith(self.roots) or "/evoltune/domain_kit/" in file


def _bound(name: str, module: ModuleType) -> Iterator[tuple[tuple[Any, str], Any]]:
    is_standard = name.partition(".")[0] in sys.stdlib_module_names and name != "sys"
    for attribute, value in list(vars(module).items()):
        if isinstance(value, type):
            yield (module, attribute), value
            if value.__module__ == name and name != "builtins":
                for inner, member in list(vars(value).items()):
                    if isinstance(member, FunctionType | staticmethod | classmethod | property):
                        yield (value, inner), member
        elif callable(value) or (
            is_standard and isinstance(value, _PLAIN) and not isinstance(value, bool) and not attribute.startswith("_")
        ):
            yield (module, attribute), value
