"""What `import pytest` gives to tests: `raises`, `approx`, marks, fixtures. Whether pytest is installed does not matter.

Invariant: an expectation is decided here, whatever the program has done to a module of that name.
"""

import fractions
import itertools
import math
import re
import types
from collections.abc import Callable
from typing import Any

from evoltune.sandbox.same_process import comparing, plain_values
from evoltune.sandbox.same_process.expectations import Failed, Skipped, expect

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
        if type(got) in plain_values.trusted:
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
    return _Approx(expected, rel, abs, nan_ok)


plain_values.trusted.append(_Approx)


class _Mark:
    """`pytest.mark.NAME(...)`: remembers what it was given on the function."""

    def __init__(self, name: str, args: Any = (), kwargs: Any = None) -> None:
        self.name, self.args, self.kwargs = name, args, kwargs or {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and (isinstance(args[0], type) or hasattr(args[0], "__code__")):
            marks = [*getattr(args[0], "pytestmark", []), self]
            args[0].pytestmark = marks
            return args[0]
        return _Mark(self.name, args, kwargs)


class _Marks:
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Mark(name)


class Parameters:
    def __init__(self, values: Any, marks: Any) -> None:
        self.values, self.marks = values, marks if isinstance(marks, list | tuple) else [marks] if marks else []


class Fixture:
    """A function that gives a fixture's value."""

    def __init__(self, function: Any, name: Any, params: Any, autouse: bool, scope: str) -> None:
        self.function, self.name, self.params, self.autouse, self.scope = (
            function,
            name or function.__name__,
            params,
            autouse,
            scope,
        )

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return (
            Fixture(self.function.__get__(instance), self.name, self.params, self.autouse, self.scope)
            if instance
            else self
        )


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
        return lambda f: Fixture(f, name, params, autouse, scope)
    return Fixture(function, name, params, autouse, scope)


def _skip(reason: str = "", **_: Any) -> None:
    raise Skipped(str(reason))


def _fail(reason: str = "", **_: Any) -> None:
    raise Failed(str(reason))


def _import_or_skip(name: str, *_: Any, **__: Any) -> Any:
    try:
        return __import__(name)
    except ImportError:
        raise Skipped(f"no module {name}") from None


def _pytest_raises(expected: Any, *args: Any, match: Any = None, **kwargs: Any) -> Any:
    return expect(expected, match, args, kwargs)


class _Warns:
    def __init__(self, expected: Any, match: Any) -> None:
        self.expected, self.match = expected, match

    def __enter__(self) -> Any:
        import warnings

        self.manager = warnings.catch_warnings(record=True)
        self.found = self.manager.__enter__()
        warnings.simplefilter("always")
        return self.found

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        found = [*(self.found or ())]
        self.manager.__exit__(kind, error, trace)
        fits = (
            issubclass(w.category, self.expected) and (self.match is None or re.search(self.match, str(w.message)))
            for w in found
        )
        if kind is None and not any(fits):
            raise Failed(f"DID NOT WARN {self.expected!r}")


def pytest_module(run_all: Callable[[], int]) -> types.ModuleType:
    """What `import pytest` gives to tests."""
    module = types.ModuleType("pytest")
    offers = {
        "raises": _pytest_raises, "approx": approx, "mark": _Marks(), "fixture": _fixture, "skip": _skip, "fail": _fail, "xfail": _skip,
        "importorskip": _import_or_skip, "main": lambda *args, **kwargs: run_all(), "warns": lambda expected=Warning, match=None: _Warns(expected, match),
        "param": lambda *values, marks=(), id=None: Parameters(values, marks), "exit": _skip, "deprecated_call": lambda: _Warns(DeprecationWarning, None),
    }  # fmt: skip
    module.__dict__.update(offers)
    return module


def parameter_sets(function: Any) -> list[dict[str, Any]]:
    """The arguments of each run of a parametrized test; [{}] where it is not."""
    sets: list[dict[str, Any]] = [{}]
    for mark in getattr(function, "pytestmark", ()):
        if getattr(mark, "name", "") != "parametrize":
            continue
        names, values = (
            (mark.args[0] if mark.args else mark.kwargs["argnames"]),
            (mark.args[1] if len(mark.args) > 1 else mark.kwargs["argvalues"]),
        )
        names = [n.strip() for n in names.split(",")] if isinstance(names, str) else [*names]
        rows = []
        for value in values:
            skipped = isinstance(value, Parameters) and any(
                getattr(m, "name", "") in ("skip", "xfail") for m in value.marks
            )
            value = value.values if isinstance(value, Parameters) else (value,) if len(names) == 1 else value
            if not skipped:
                rows.append(dict(zip(names, value, strict=True)))
        sets = [{**given, **row} for row, given in itertools.product(rows, sets)]
    return sets


def is_skipped(function: Any) -> bool:
    """Whether a mark or unittest's decorator says that the test is not to be run."""
    if getattr(function, "__unittest_skip__", False):
        return True
    for mark in getattr(function, "pytestmark", ()):
        name, args = getattr(mark, "name", ""), getattr(mark, "args", ())
        if name in ("skip", "xfail") or (name == "skipif" and args and args[0]):
            return True
    return False
