"""What `import pytest` gives to a program: enough to define tests of its own, which nobody runs.

The tests by which a program is judged get another module (`same_process.pytest_api`), of which a program holds nothing.
Invariant: a program that defines tests beside its functions loads as it does where pytest is installed.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any


class _Info:
    value: Any = None


class _Marks:
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return fixture


class _Approx:
    def __init__(self, expected: Any, rel: Any = 1e-6, abs: Any = 1e-12) -> None:
        self.expected, self.rel, self.abs = expected, rel, abs

    def __eq__(self, other: object) -> bool:
        try:
            return math.isclose(other, self.expected, rel_tol=self.rel, abs_tol=self.abs)  # type: ignore[arg-type]
        except TypeError:
            return bool(other == self.expected)

    __hash__ = None  # type: ignore[assignment]


def fixture(*args: Any, **kwargs: Any) -> Any:
    """A decorator, with arguments or without, that leaves a function or class as it is."""
    if len(args) == 1 and callable(args[0]) and not kwargs:
        return args[0]
    return lambda function: function


@contextlib.contextmanager
def raises(expected: Any, **_: Any) -> Iterator[_Info]:
    """Expects an exception."""
    info = _Info()
    try:
        yield info
    except expected as error:
        info.value = error
    else:
        raise AssertionError(f"DID NOT RAISE {expected!r}")


def param(*values: Any, **_: Any) -> Any:
    """A row of parameters."""
    return values


def skip(reason: str = "", **_: Any) -> None:
    """Ends a test, as `fail` does."""
    raise AssertionError(reason)


def main(*_: Any, **__: Any) -> int:
    """Runs nothing."""
    return 0


mark, approx, fail = _Marks(), _Approx, skip
