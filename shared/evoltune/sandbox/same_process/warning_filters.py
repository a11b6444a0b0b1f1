"""Warnings as tests expect, record and filter them: `pytest.warns`, `deprecated_call`, the mark `filterwarnings`.

Invariant: the filters of the interpreter are the same after a test as before it.

    with warns(UserWarning, match="old"): f(1)
    with filtered([mark]): test()        # @pytest.mark.filterwarnings("error")
"""

import builtins
import contextlib
import importlib
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, cast

from evoltune.sandbox.same_process import pytest_fixtures
from evoltune.sandbox.same_process.expectations import Failed

_DEPRECATIONS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)


class _NeverIssued(Warning):
    """In place of pytest's own warnings, which nothing here issues."""


class _Warns:
    def __init__(self, expected: Any, match: Any) -> None:
        self.expected, self.match = expected, match

    def __enter__(self) -> Any:
        self.manager = warnings.catch_warnings(record=True)
        self.found = self.manager.__enter__()
        warnings.simplefilter("always")
        self.record = pytest_fixtures.WarningsRecorder(self.found)
        return self.record

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        found = [*(self.found or ())]
        self.manager.__exit__(kind, error, trace)
        fits = (
            issubclass(w.category, self.expected) and (self.match is None or re.search(self.match, str(w.message)))
            for w in found
        )
        if kind is None and not any(fits):
            raise Failed(f"DID NOT WARN {self.expected!r}")


def warns(expected: Any = Warning, *args: Any, match: Any = None, **kwargs: Any) -> Any:
    """`pytest.warns`: a context, or with a function its result."""
    context = _Warns(expected, match)
    if not args:
        return context
    with context:
        return args[0](*args[1:], **kwargs)


def deprecated_call(*args: Any, match: Any = None, **kwargs: Any) -> Any:
    return warns(_DEPRECATIONS, *args, match=match, **kwargs)


@contextlib.contextmanager
def filtered(marks: Iterable[Any]) -> Iterator[None]:
    """Under the filters of these marks, the nearest first. As in pytest, the last one that fits counts: that of the module."""
    filters = [text for mark in marks if mark.name == "filterwarnings" for text in mark.args]
    if not filters:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for text in filters:
            _add(text)
        yield


def _add(text: str) -> None:
    """`action:message:category:module:line`, as for `python -W`, but message and module are patterns."""
    action, message, category, module, line = [*map(str.strip, text.split(":")), "", "", "", "", ""][:5]
    warnings.filterwarnings(cast(Any, action), message, _category(category), module, int(line or 0))


def _category(name: str) -> Any:
    module, _, kind = name.rpartition(".")
    if module == "pytest":
        return _NeverIssued
    owner = importlib.import_module(module) if module else builtins
    return getattr(owner, kind) if name else Warning
