"""What the modules by which tests judge are made of: other modules, their classes, dispatch tables and hidden instances.

`json.loads` asks an instance of a class of another module, `re.search` a table of compiled patterns, `np.allclose` functions of
`numpy._core`. A program that changes one of these decides what tests find. Invariant: for a program that only uses libraries
`changed` gives nothing, and the interpreter gives the same results.

    libraries = Libraries(); libraries.take([json]); libraries.changed()     # []
"""

import abc
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
_METACLASSES = (type, abc.ABCMeta)
"""Of classes whose instances are watched: those of an enumeration are constants."""
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)
_METHODS = (*_FUNCTIONS, property, classmethod, staticmethod)


class Names(NamedTuple):
    """What some names of a dict mean. Many a process is forked with thousands of these in it: a tuple for each name would take
    four times as many pages."""

    owner: Any
    names: tuple[str, ...]
    values: tuple[Any, ...]


class Parts(NamedTuple):
    """What a module is made of."""

    names: list[Names]
    """Functions, classes, modules, instances, and tables of functions."""
    kinds: list[tuple[Any, type]]
    """The classes of instances, and of the module itself."""
    classes: list[tuple[Any, tuple[str, ...]]]
    """All names of classes: one that is new hides a base's."""
    tables: list[tuple[dict[Any, Any], tuple[Any, ...]]]
    """Tables of functions by class (what copies, what pickles) and their keys: one that is new may be a built-in class."""


_known: dict[str, Parts] = {}
"""Module -> its parts, where they were read before there was a job."""
_used: dict[str, tuple[str, ...]] = {}
"""Module -> the modules that it uses, likewise."""


def prepare() -> None:
    """Reads the modules that are loaded, which no program has touched yet: done in the zygote, for it takes as long as some jobs."""
    for name, module in list(sys.modules.items()):
        if name not in _known and name not in _NEVER and type(module) is types.ModuleType:
            _known[name], _used[name] = _parts(module), (*_modules_of(module),)


class Libraries:
    """The libraries of one job."""

    def __init__(self) -> None:
        self.parts: list[Parts] = []
        self.patterns: list[dict[Any, Any]] = []
        """The tables of compiled patterns, where tests use them."""
        self.formats: dict[str, Any] = {}
        """The table of compiled formats of times, likewise."""

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
        taken = [(name, module) for name in found if type(module := sys.modules.get(name)) is types.ModuleType]
        self.parts = [_known.get(name) or _parts(module) for name, module in taken]
        self.formats = getattr(sys.modules.get("_strptime"), "_regex_cache", {}) if "_strptime" in found else {}
        self.patterns = _tables_of_patterns() if "re" in found else []

    def changed(self) -> list[Entry]:
        """What means something else now, or is new where it hides something."""
        found: list[Entry] = []
        for parts in self.parts:
            for owner, names, values in parts.names:
                get = owner.get
                found += [(owner, k, v) for k, v in zip(names, values, strict=True) if get(k) is not v]
            found += [({"__class__": type(v)}, "__class__", kind) for v, kind in parts.kinds if type(v) is not kind]
            for space, names in parts.classes:
                if len(space) != len(names):
                    found += [(space, k, None) for k in space if k not in names and _hides(k, space[k])]
            for table, keys in parts.tables:
                if len(table) != len(keys):
                    found += [(table, k, None) for k in table if k not in keys and not _is_its_own(k, table[k])]
        return found

    def drop_patterns(self) -> bool:
        """Drops compiled patterns that are not what their key says, and formats of times. Returns whether the table itself is another."""
        self.formats.clear()
        if not self.patterns:
            return False
        for table in self.patterns:
            for key, pattern in list(table.items()):
                if not _is_pattern_of(key, pattern):
                    del table[key]
        return any(own is not now for own, now in zip(self.patterns, _tables_of_patterns(), strict=True))


def _tables_of_patterns() -> list[dict[Any, Any]]:
    """What `re` remembers: one table, from Python 3.12 on two."""
    names: Any = vars(re)
    return [names[name] for name in ("_cache", "_cache2") if name in names]


def _is_pattern_of(key: Any, pattern: Any) -> bool:
    if type(pattern) is not re.Pattern or type(key) is not tuple or len(key) != 3:
        return False
    text, flags = key[1], int(key[2])
    inline = b"(?" if isinstance(text, bytes) else "(?"
    plain = type(text) is str or type(text) is bytes  # and not the program's, which may be found for any text
    same = plain and type(pattern.pattern) is type(text) and text == pattern.pattern
    return same and (inline in text or not pattern.flags & ~(flags | re.UNICODE))


def _hides(name: str, value: Any) -> bool:
    """Whether a new name of a class may hide a base's: one with underscores where it is a method, since the interpreter keeps notes
    under such names."""
    return not name.startswith("__") or callable(value) or hasattr(type(value), "__get__")


def _is_its_own(key: Any, value: Any) -> bool:
    """Whether a table has a function for a class from where the class is from: of the program's for the program's."""
    if not isinstance(key, type):
        return True
    homes = [str(getattr(part, "__module__", "")).partition(".")[0] for part in (key, value)]
    return homes[0] == homes[1] and homes[0] != "builtins"


def _uses(name: str) -> tuple[str, ...]:
    if name in _used:
        return _used[name]
    module = sys.modules.get(name)
    return (*_modules_of(module),) if type(module) is types.ModuleType else ()


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
    space, found = vars(module), Parts([], [(module, types.ModuleType)], [], [])
    own = list[tuple[str, Any]]()
    for name, value in list(space.items()):
        if name.startswith("__") or name.endswith("hook"):
            continue
        kind: Any = type(value)
        if isinstance(value, type) and value.__flags__ & _PER_CLASS:
            own.append((name, value))
            if getattr(value, "__module__", None) == module.__name__:
                _add(
                    found.names, value.__dict__, ((k, v) for k, v in value.__dict__.items() if isinstance(v, _METHODS))
                )
                found.classes.append((value.__dict__, (*value.__dict__,)))
                for method in value.__dict__.values():
                    wrapped = isinstance(method, staticmethod | classmethod)
                    _add_keywords(found.names, method.__func__ if wrapped else method)
        elif kind is dict:
            if len(value) <= _MAX_TABLE and any(map(callable, value.values())):
                own.append((name, value))
                _add(found.names, value, ((k, v) for k, v in value.items() if callable(v)))
                if any(isinstance(k, type) for k in value):
                    found.tables.append((value, (*value,)))
        elif kind is types.ModuleType or callable(value):
            own.append((name, value))
            _add_keywords(found.names, value)
        if kind.__flags__ & _PER_CLASS and type(kind) in _METACLASSES and type(names := _names(value)) is dict:
            own += [] if callable(value) else [(name, value)]
            found.kinds.append((value, kind))
            methods = {*(k for k, v in names.items() if callable(v)), *_methods(kind)}
            _add(found.names, names, ((k, names.get(k)) for k in methods if not k.startswith("__")))
    _add(found.names, space, own)
    return found


def _add(found: list[Names], owner: Any, items: Iterable[tuple[str, Any]]) -> None:
    if pairs := [*items]:
        found.append(Names(owner, *zip(*pairs, strict=True)))


def _add_keywords(found: list[Names], function: Any) -> None:
    """The dict of a function's keyword defaults, which can be changed in place."""
    if type(function) is types.FunctionType and function.__kwdefaults__:
        _add(found, function.__kwdefaults__, function.__kwdefaults__.items())


def _names(value: Any) -> Any:
    try:
        return object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None


def _methods(kind: type) -> Iterator[str]:
    """Names of the methods of an instance, which an attribute of its own would hide."""
    for base in kind.__mro__:
        yield from (k for k, v in list(base.__dict__.items()) if isinstance(v, _METHODS))
