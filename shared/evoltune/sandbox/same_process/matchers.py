"""Objects by which tests say what a value must be like: `approx(...)`, `mock.ANY`, an instance of a class of theirs with an `__eq__`.

Such an object's rule decides alone, so it must be the tests' own. Invariant: only what a line of the tests has made is a matcher;
what a program makes of the same class, copies or finds is none, and equals no built-in value.

    taken(approx_object); is_matcher(approx_object)     # True
    is_stray(copy.copy(approx_object))                  # True
"""

import abc
import sys
import types
from typing import Any

_MAX = 100_000
"""Objects that are remembered: with more, tests build data of such a class, and the rest is compared like any other object."""
_TESTS = "<tests>"
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


def leads_to_matcher(value: Any) -> bool:
    """Whether an object is a matcher, or a module with the tests' own `ANY`."""
    return is_matcher(value) or (type(value) is types.ModuleType and value.__dict__.get("ANY") is ANY)


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
        return taken(value) if sys._getframe(1).f_code.co_filename == _TESTS else value

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
