"""What `import pytest` gives to tests: `raises`, `approx`, marks, fixtures. Whether pytest is installed does not matter.

Invariant: an expectation is decided here, whatever the program has done to a module of that name.
"""

import fractions
import importlib
import math
import os
import sys
import types
from collections.abc import Callable
from typing import Any

from evoltune.sandbox.same_process import comparing, matchers, plain_values, pytest_fixtures, raising, warning_filters
from evoltune.sandbox.same_process.expectations import Expected as Raised
from evoltune.sandbox.same_process.expectations import Failed, Skipped, Unsupported
from evoltune.sandbox.same_process.parametrizing import Metafunc, Parameters

equal = comparing.equal


class _Approx:
    def __init__(self, expected: Any, rel: Any, abs_: Any, nan_ok: bool) -> None:
        self.expected, self.rel, self.abs, self.nan_ok = expected, rel, abs_, nan_ok

    def __eq__(self, other: object) -> bool:
        return self._near(other, self.expected)

    __hash__ = None  # type: ignore[assignment]
    __array_ufunc__, __array_priority__ = None, 100
    """So that numpy leaves `array == approx(...)` to this class."""

    def __repr__(self) -> str:
        return f"approx({self.expected!r})"

    def _near(self, got: Any, wanted: Any) -> bool:
        if matchers.is_matcher(got):
            return False
        got, wanted = plain_values.pictured(got), plain_values.pictured(wanted)
        if isinstance(wanted, dict):
            return (
                isinstance(got, dict)
                and got.keys() == wanted.keys()
                and all(self._near(got[k], v) for k, v in wanted.items())
            )
        if hasattr(wanted, "tolist"):
            wanted = wanted.tolist()
        if plain_values.is_array(got):
            if not isinstance(wanted, list | tuple):
                return all(self._near(v, wanted) for v in got.ravel().tolist())
            got = got.tolist()
        if isinstance(wanted, list | tuple):
            return isinstance(got, list | tuple) and len(got) == len(wanted) and all(map(self._near, got, wanted))
        got, wanted = _quotient(got), _quotient(wanted)
        if isinstance(wanted, bool) or not isinstance(wanted, comparing.NUMBERS):
            return (type(got) is bool or not isinstance(wanted, bool)) and bool(equal(got, wanted))
        if not plain_values.is_plain(got) or not isinstance(got, comparing.NUMBERS):
            return False
        return self._close(got, wanted)

    def _close(self, got: Any, wanted: Any) -> bool:
        if got == wanted:
            return True
        size = abs(wanted)
        if math.isnan(size):
            return bool(self.nan_ok and math.isnan(abs(got)))
        if math.isinf(size):
            return False
        relative = 1e-6 if self.rel is None and self.abs is None else self.rel or 0
        tolerance = max(float(relative) * float(size), 1e-12 if self.abs is None else self.abs)
        return bool(abs(wanted - got) <= tolerance)


def _quotient(value: Any) -> Any:
    """A fraction as a float: its class is Python code, which a program can change."""
    return value.numerator / value.denominator if type(value) is fractions.Fraction else value


def approx(expected: Any, rel: Any = None, abs: Any = None, nan_ok: bool = False) -> Any:
    return matchers.taken(_Approx(expected, rel, abs, nan_ok))


matchers.kinds.add(_Approx)


_UNSUPPORTED_MARKS = frozenset({"flaky", "benchmark", "django_db", "hypothesis", "depends", "dependency", "repeat"})


class _Mark:
    """`pytest.mark.NAME(...)`: remembers what it was given on the function."""

    def __init__(self, name: str, args: Any = (), kwargs: Any = None) -> None:
        if name in _UNSUPPORTED_MARKS:
            raise Unsupported(f"pytest.mark.{name}")
        self.name, self.args, self.kwargs = name, args, kwargs or {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and (isinstance(args[0], type) or hasattr(args[0], "__code__")):
            args[0].pytestmark = [*marks_of(args[0]), self]
            return args[0]
        return _Mark(self.name, args, kwargs)


def marks_of(target: Any) -> list[Any]:
    """The marks of a function or a class."""
    return unpacked(getattr(target, "pytestmark", ()))


def unpacked(marks: Any) -> list[Any]:
    """What `pytestmark` holds: several marks, or one alone."""
    return [*marks] if isinstance(marks, list | tuple) else [marks]


class _Marks:
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Mark(name)


class Fixture:
    """A function that gives a fixture's value."""

    def __init__(self, function: Any, name: Any, params: Any, autouse: bool, scope: Any, ids: Any = None) -> None:
        self.function, self.name, self.params, self.autouse = function, name or function.__name__, params, autouse
        self.scope, self.ids = scope if isinstance(scope, str) else "function", ids

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        bound = self.function.__get__(instance)
        return Fixture(bound, self.name, self.params, self.autouse, self.scope, self.ids)


def _fixture(
    function: Any = None,
    *,
    scope: str = "function",
    params: Any = None,
    autouse: bool = False,
    ids: Any = None,
    name: Any = None,
) -> Any:
    if function is None:
        return lambda f: Fixture(f, name, params, autouse, scope, ids)
    return Fixture(function, name, params, autouse, scope, ids)


def _skip(reason: str = "", **_: Any) -> None:
    raise Skipped(str(reason))


def _fail(reason: str = "", **_: Any) -> None:
    raise Failed(str(reason))


def _import_or_skip(name: str, *_: Any, **__: Any) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise Skipped(f"no module {name}") from None


def pytest_module(run_all: Callable[[], int], own: Callable[[Any], Any]) -> types.ModuleType:
    """What `import pytest` gives to tests. `own`: gives for a module what their `import` gives."""
    module = matchers.own_module(types.ModuleType("pytest"))
    offers = {
        "raises": raising.raises, "RaisesExc": raising.RaisesExc, "RaisesGroup": raising.RaisesGroup, "approx": approx, "mark": _Marks(), "fixture": _fixture, "skip": _skip, "fail": _fail, "xfail": _skip,
        "importorskip": lambda *args, **kwargs: own(_import_or_skip(*args, **kwargs)), "main": lambda *args, **kwargs: run_all(), "warns": warning_filters.warns, "deprecated_call": warning_filters.deprecated_call,
        "param": lambda *values, marks=(), id=None: Parameters(values, marks, id), "exit": _skip,
    }  # fmt: skip
    module.__dict__.update({**offers, **pytest_fixtures.TYPES, "ExceptionInfo": Raised, "Metafunc": Metafunc})
    module.__dict__["__getattr__"] = _lacks
    return module


def _lacks(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    raise Unsupported(f"pytest.{name}")


def _holds(mark: Any, space: Any) -> bool:
    """Whether the condition of `skipif` or `xfail` holds; a text is an expression."""
    conditions = [*mark.args, *([mark.kwargs["condition"]] if "condition" in mark.kwargs else [])]
    modules = {"os": os, "sys": sys, "platform": importlib.import_module("platform")}
    return any(eval(c, {**modules, **space}) if isinstance(c, str) else c for c in conditions)  # noqa: S307 - the tests' own


def is_skipped(function: Any, marks: Any = (), space: Any = types.MappingProxyType({})) -> bool:
    """Whether a mark or unittest's decorator says that the test is not to be run. `marks`: of what the test is in, too."""
    if getattr(function, "__unittest_skip__", False):
        return True
    for mark in (*marks_of(function), *marks):
        name = getattr(mark, "name", "")
        if name == "skip" or (name == "skipif" and _holds(mark, space)):
            return True
        if name == "xfail" and mark.kwargs.get("run") is False:
            return True
    return False


class Expected:
    """That a test is expected to fail: with which exceptions, and whether it must."""

    def __init__(self, raises: Any = (), strict: bool = False) -> None:
        self.raises, self.strict = raises, strict


def expected_to_fail(marks: Any, space: Any) -> Expected | None:
    """What an `xfail` among the marks says whose condition holds."""
    for mark in marks:
        if getattr(mark, "name", "") == "xfail":
            conditional = mark.args or "condition" in mark.kwargs
            if not conditional or _holds(mark, space):
                return Expected(mark.kwargs.get("raises") or (), bool(mark.kwargs.get("strict")))
    return None
