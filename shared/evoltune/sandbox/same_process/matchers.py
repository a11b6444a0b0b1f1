"""Objects by which tests say what a value must be like: `approx(...)`, `mock.ANY`, an instance of a class of theirs with an `__eq__`.

Such an object's rule decides alone, so it must be the tests' own. Invariant: only what a line of the tests has made is a matcher;
what a program makes of the same class, copies or finds is none, and equals no built-in value.

    taken(approx_object); is_matcher(approx_object)     # True
    is_stray(copy.copy(approx_object))                  # True
"""

import abc
import sys
import types
from contextlib import suppress
from typing import Any

from evoltune.sandbox.same_process import hiding
from evoltune.sandbox.same_process.monitor import TESTS, is_own

_closure_of: Any = types.FunctionType.__dict__["__closure__"].__get__
_MAX = 100_000
"""Objects that are remembered: with more, tests build data of such a class, and the rest is compared like any other object."""
_MATCHERS = frozenset({"ANY", "approx"})
_FUNCTIONS = (types.FunctionType, staticmethod, classmethod)
_modules: list[types.ModuleType] = []
_matchers: dict[int, Any] = {}
"""By id: what is remembered stays alive, so an id means one object."""
kinds: set[type] = set()
"""Classes that matchers are made of."""


def taken(value: Any) -> Any:
    """Remembers a matcher that the tests have made."""
    if len(_matchers) < _MAX:
        _matchers[id(value)] = value
    return value


def is_matcher(value: Any) -> bool:
    """Whether the tests have made this object to match others."""
    return id(value) in _matchers


def own_module(module: types.ModuleType) -> types.ModuleType:
    """Remembers a module that the tests have in place of a library's, and whose functions make matchers."""
    _modules.append(module)
    return module


def leads_to_matcher(value: Any) -> bool:
    """Whether an object is a matcher or gives one to whoever has it: a module of the tests' own, a function or class of theirs
    that names a matcher."""
    return _leads(value, set())


def _leads(value: Any, seen: set[int]) -> bool:
    if is_matcher(value) or any(value is module for module in _modules):
        return True
    if id(value) in seen:
        return False
    seen.add(id(value))
    if isinstance(value, type):
        members = type.__dict__["__dict__"].__get__(value).values()
        return any(_leads(getattr(m, "__func__", m), seen) for m in members if type(m) in _FUNCTIONS or is_matcher(m))
    if type(value) is not types.FunctionType:
        return False
    if value.__code__.co_filename != TESTS:
        return is_own(value.__code__.co_filename)
    names = _named(value.__code__)
    parts = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values(), *_cells(value)]
    parts += [dict.get(hiding.globals_of(value), name) for name in names]
    return bool(names & _MATCHERS) or any(_leads(part, seen) or any(part is k for k in kinds) for part in parts)


def _named(code: types.CodeType) -> set[str]:
    """Names and texts in a function's code, and in the functions within."""
    found = {*code.co_names, *(c for c in code.co_consts if type(c) is str)}
    return found.union(*(_named(c) for c in code.co_consts if isinstance(c, types.CodeType)))


def _cells(function: types.FunctionType) -> list[Any]:
    found = []
    for cell in _closure_of(function) or ():
        with suppress(ValueError):  # not bound yet
            found.append(cell.cell_contents)
    return found


def is_stray(value: Any) -> bool:
    """Whether an object is of a matcher's class without being one."""
    return (
        bool(kinds)
        and not is_matcher(value)
        and any(base in kinds for base in type.__dict__["__mro__"].__get__(type(value)))
    )


def matching(kind: Any) -> Any:
    """The class, which the tests define with an `__eq__`: instances are matchers where a line of the tests makes them."""
    if type(kind) not in (type, abc.ABCMeta):
        return kind
    new = kind.__new__

    def __new__(cls: Any, /, *args: Any, **kwargs: Any) -> Any:
        own = new is object.__new__ and cls.__init__ is not object.__init__
        value = new(cls) if own else new(cls, *args, **kwargs)
        return taken(value) if sys._getframe(1).f_code.co_filename == TESTS else value

    kind.__new__ = __new__
    kinds.add(kind)
    return kind


class Any_:
    """What `mock.ANY` is in tests."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<ANY>"


kinds.add(Any_)
ANY = taken(Any_())
