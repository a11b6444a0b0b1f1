"""Keeps what leads a program to this package, and so to everything that judges it: our classes in `object.__subclasses__()`, the
names that a function of ours or of the tests has (a callback, the `__eq__` of what a program's object is compared with), and the
dicts of the interpreter's own classes.

Invariant: the functions that take the place of `type.__subclasses__` and of these attributes lead to nothing of ours. They have no
global names, and their code, which holds what it calls, is refused by the audit hook. An attribute of a function of the program's
or a library's is what it was; of one of ours or the tests' the hook decides.
"""

import builtins
import gc
import itertools
import sys
import types
import warnings
from typing import Any

_SOURCE = """
def __subclasses__(self, /):
    "Return a list of immediate subclasses."
    return [*"\0filter"("\0own", "\0real"(self))]
"""
_READ = """
def read(self, /):
    if "\0kept"("\0space"(self)):
        "\0audit"("object.__getattr__", self, "\0name")
    return "\0real"(self)
"""
_SHOWN = """
def __dict__(self, /):
    names = "\0real"(self)
    return names if "\0flags"(self) & 0x300 == 0x200 else "\0proxy"("\0dict"(names))
"""
"""A read-only view hands the dict behind it to the other side of `==` and `|`, and who has the dict of a class that cannot be changed
can change it. So such a class shows a copy."""
ATTRIBUTES = ("__globals__", "__builtins__", "__closure__")
"""Attributes of functions that hold names and that the interpreter gives without a word to an audit hook."""
_NAMES = {
    "locals": 'def locals(): return "\0getframe"(1).f_locals',
    "globals": 'def globals(): return "\0getframe"(1).f_globals',
    "vars": 'def vars(*objects): return "\0real"(*objects) if objects else "\0getframe"(1).f_locals',
}
"""Built-in functions that give whoever's frame they are called in the names that it sees, without a word to an audit hook: in the
tests' frame too, where the program gives them an iterator that calls them. These ask for the frame, which the hook hears."""
real_names: dict[str, Any] = {name: getattr(builtins, name) for name in _NAMES}
"""The functions themselves, for the tests."""
_module_of: Any = type.__dict__["__module__"].__get__
globals_of: Any = types.FunctionType.__dict__["__globals__"].__get__
"""The global names of a function, unheard."""
_hidden: list[Any] = []
_asking: list[types.CodeType] = []


def _is_own(kind: type) -> bool:
    module = _module_of(kind)
    return isinstance(module, str) and module.startswith("evoltune.")


def _is_kept(space: Any) -> bool:
    """Whether these are the global names of tests, or of a module of ours."""
    if type(space) is not dict:
        return _is_own(type(space))
    return str(space.get("__name__")).startswith("evoltune.")


def hide() -> None:
    """Changes `type` and the type of functions for this process and those that it forks. A second call does nothing."""
    real: Any = type.__dict__["__subclasses__"]
    if type(real) is types.FunctionType:
        return
    function = _made(_SOURCE, {"\0filter": itertools.filterfalse, "\0own": _is_own, "\0real": real})
    _names_of(type)["__subclasses__"] = function
    _hidden.append(function)
    members, own = _names_of(types.FunctionType), _names_of(type)
    calls = {"\0kept": _is_kept, "\0space": globals_of, "\0audit": sys.audit}
    for name in ATTRIBUTES:
        _hidden.append(_made(_READ, {**calls, "\0name": name, "\0real": members[name].__get__}))
        members[name] = property(_hidden[-1])
    calls = {"\0real": own["__dict__"].__get__, "\0flags": own["__flags__"].__get__}
    _hidden.append(_made(_SHOWN, {**calls, "\0proxy": types.MappingProxyType, "\0dict": dict}))
    own["__dict__"] = property(_hidden[-1])
    sys._clear_type_cache()
    for name, source in _NAMES.items():
        function = _made(source, {"\0real": real_names[name], "\0getframe": sys._getframe})
        _hidden.append(function)
        _asking.append(function.__code__)
        setattr(builtins, name, function)


def asks_for_names(code: Any) -> bool:
    """Whether this is the code of what stands for `locals` and the like."""
    return any(code is one for one in _asking)


def _made(source: str, calls: dict[Any, Any]) -> types.FunctionType:
    """A function whose constants are what it calls."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = compile(source.replace("\0", "\\0"), "<string>", "exec").co_consts[0]
    code = code.replace(co_consts=tuple(calls.get(constant, constant) for constant in code.co_consts))
    return types.FunctionType(code, {"__builtins__": {}})


def _names_of(kind: type) -> dict[str, Any]:
    """The names of a class, to be changed."""
    (names,) = [found for found in gc.get_referents(kind.__dict__) if type(found) is dict]
    return names


def is_hidden(function: Any) -> bool:
    """Whether a function's code leads to what is hidden."""
    return any(function is one for one in _hidden)
