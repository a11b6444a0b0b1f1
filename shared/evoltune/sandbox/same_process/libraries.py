"""What the modules by which tests judge are made of: other modules, their classes, dispatch tables and hidden instances.

`json.loads` asks an instance of a class of another module, `re.search` a table of compiled patterns, `np.allclose` functions of
`numpy._core`. A program that changes one of these decides what tests find. Invariant: for a program that only uses libraries
`changed` gives nothing, and the interpreter gives the same results.

    libraries = Libraries(); libraries.take([json]); libraries.changed()     # []
"""

import re
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from evoltune.sandbox.same_process.monitor import Entry

_PACKAGES = ("numpy", "pandas", "sympy")
"""Packages whose modules use each other in ways that their globals do not show."""
_NEVER = frozenset({"sys", "builtins", "signal", "_signal", "__main__", "typing", "warnings", "threading", "logging"})
"""Modules that programs configure by assignment (hooks, streams), and `typing`, by which nothing is decided."""
_DEPTH = 2
_PER_CLASS = 1 << 9
"""The flag of classes that are made at run time: only these can be changed."""
_MAX_TABLE = 1000
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)
_METHODS = (*_FUNCTIONS, property, classmethod, staticmethod)


class Parts(NamedTuple):
    """What a module is made of."""

    entries: list[Entry]
    """Functions, classes, modules, instances, and tables of functions, by the dict that holds them."""
    kinds: list[tuple[Any, type]]
    """The classes of instances, and of the module itself."""
    classes: list[tuple[Any, int, frozenset[str]]]
    """The names of classes, how many and which: one that is new hides a base's."""


_known: dict[str, Parts] = {}
"""Module -> its parts, where they were read before there was a job."""
_used: dict[str, list[str]] = {}
"""Module -> the modules that it uses, likewise."""


def prepare() -> None:
    """Reads the modules that are loaded, which no program has touched yet."""
    for name, module in list(sys.modules.items()):
        if name not in _known and name not in _NEVER and type(module) is types.ModuleType:
            _known[name], _used[name] = _parts(module), [*_modules_of(module)]


class Libraries:
    """The libraries of one job."""

    def __init__(self) -> None:
        self.parts = Parts([], [], [])
        self.patterns: dict[Any, Any] | None = None
        """The table of compiled patterns, where tests use it."""

    def take(self, modules: Iterable[types.ModuleType]) -> None:
        """Remembers what these modules are made of."""
        names = [name for module in modules if (name := module.__name__) not in _NEVER]
        found = dict.fromkeys(names)
        for _ in range(_DEPTH):
            names = [n for name in names for n in _uses(name) if n not in found]
            found |= dict.fromkeys(names)
        packages = {name.partition(".")[0] for name in found} & {*_PACKAGES}
        if packages:
            found |= dict.fromkeys(name for name in sys.modules if name.partition(".")[0] in packages)
        for name in found:
            module = sys.modules.get(name)
            if type(module) is types.ModuleType:
                for mine, its in zip(self.parts, _known.get(name) or _parts(module), strict=True):
                    mine.extend(its)  # type: ignore[attr-defined]
        self.patterns = re._cache if "re" in found else None  # type: ignore[attr-defined]

    def changed(self) -> list[Entry]:
        """What means something else now, or is new where it hides something."""
        entries, kinds, classes = self.parts
        found = [entry for entry in entries if entry[0].get(entry[1]) is not entry[2]]
        found += [({"__class__": type(value)}, "__class__", kind) for value, kind in kinds if type(value) is not kind]
        for space, size, names in classes:
            if len(space) != size:
                found += [(space, k, None) for k in space if k not in names and not k.startswith("__")]
        return found

    def drop_patterns(self) -> bool:
        """Drops compiled patterns that are not what their key says. Returns whether the table itself is another."""
        table = self.patterns
        if table is None:
            return False
        for key, pattern in list(table.items()):
            if not _is_pattern_of(key, pattern):
                del table[key]
        return re._cache is not table  # type: ignore[attr-defined]


def _is_pattern_of(key: Any, pattern: Any) -> bool:
    if type(pattern) is not re.Pattern or type(key) is not tuple or len(key) != 3:
        return False
    text, flags = key[1], int(key[2])
    inline = b"(?" if isinstance(text, bytes) else "(?"
    same = type(text) is type(pattern.pattern) and text == pattern.pattern
    return same and (inline in text or not pattern.flags & ~(flags | re.UNICODE))


def _uses(name: str) -> list[str]:
    if name in _used:
        return _used[name]
    module = sys.modules.get(name)
    return [*_modules_of(module)] if type(module) is types.ModuleType else []


def _modules_of(module: types.ModuleType) -> Iterator[str]:
    """Names of the modules that a module's globals come from."""
    names: set[Any] = set()
    for value in list(vars(module).values()):
        if type(value) is types.ModuleType:
            names.add(value.__name__)
        elif type(value) is types.FunctionType or isinstance(value, type):
            names.add(getattr(value, "__module__", None))
    yield from (n for n in names if isinstance(n, str) and n not in _NEVER and n in sys.modules)


def _parts(module: types.ModuleType) -> Parts:
    space, found = vars(module), Parts([], [(module, types.ModuleType)], [])
    for name, value in list(space.items()):
        if name.startswith("__") or name.endswith("hook"):
            continue
        kind: Any = type(value)
        if isinstance(value, type) and value.__flags__ & _PER_CLASS:
            found.entries.append((space, name, value))
            if getattr(value, "__module__", None) == module.__name__:
                own = value.__dict__
                found.entries.extend((own, k, v) for k, v in list(own.items()) if isinstance(v, _METHODS))
                found.classes.append((own, len(own), frozenset(own)))
        elif kind is dict:
            if len(value) <= _MAX_TABLE and any(map(callable, value.values())):
                found.entries.append((space, name, value))
                found.entries.extend((value, k, v) for k, v in value.items() if callable(v))
        elif kind is types.ModuleType or callable(value):
            found.entries.append((space, name, value))
            keywords = getattr(value, "__kwdefaults__", None) if kind is types.FunctionType else None
            found.entries.extend((keywords, k, v) for k, v in (keywords or {}).items())
        if kind.__flags__ & _PER_CLASS and type(kind) is type and type(names := _names(value)) is dict:
            found.entries.append((space, name, value))
            found.kinds.append((value, kind))
            methods = {*(k for k, v in names.items() if callable(v)), *_methods(kind)}
            found.entries.extend((names, k, names.get(k)) for k in methods if not k.startswith("__"))
    return found


def _names(value: Any) -> Any:
    try:
        return object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None


def _methods(kind: type) -> Iterator[str]:
    """Names of the methods of an instance, which an attribute of its own would hide."""
    for base in kind.__mro__:
        yield from (k for k, v in list(base.__dict__.items()) if isinstance(v, _METHODS))
