"""The functions that rewritten tests hold as constants: what counts an assertion, and what compares."""

import builtins
import operator
import os
import types
from collections.abc import Callable
from typing import Any

from evoltune.sandbox.same_process import (
    captured,
    comparing,
    expectations,
    matchers,
    monitor,
    plain_values,
    rewriting,
    unittest_assertions,
)

_getpid, _exit = os.getpid, os._exit
_OF_VALUES = frozenset({"numpy", "operator", "_operator"})
"""Modules whose functions compare or compute with what they are given."""
_COMPARES = ("assert", "array_eq", "equal", "not_equal", "isclose", "allclose", "isin")
"""How names of numpy's functions begin that compare objects by their own methods."""
_ELEMENTWISE = frozenset(
    "subtract add multiply divide true_divide less less_equal greater greater_equal maximum minimum".split()
)
_REMEMBERED = ("_mock_call_args", "_mock_call_args_list", "_mock_mock_calls", "_mock_method_calls")


def _is_library(function: Any) -> bool:
    """Whether a function, or a method, is one of a library's."""
    function = getattr(function, "__func__", function)
    return type(function) is types.FunctionType and monitor.is_library(function.__code__.co_filename)


def _picture_calls(owner: Any) -> None:
    """What a mock remembers of its calls becomes built-in values before they are compared."""
    for name in _REMEMBERED:
        calls = getattr(owner, "__dict__", {}).get(name)
        if isinstance(calls, list):
            calls[:] = [plain_values.pictured(call) for call in list.__iter__(calls)]
        elif calls is not None:
            owner.__dict__[name] = plain_values.pictured(calls)


class Judge:
    """What the functions need of the run.

    Args:
        verify: raises where the program has changed something by which the tests judge.
        module: gives for a module that tests took from `sys.modules` what `import` gives.
    """

    def __init__(
        self, state: monitor.State, verify: Callable[[], None], lookup: Callable[[str], Any], unittest_main: Callable[[], Any],
        module: Callable[[Any], Any],
    ) -> None:  # fmt: skip
        self.state, self.verify, self.lookup, self.unittest_main = state, verify, lookup, unittest_main
        self.module = module
        self.met = 0
        """Expectations of exceptions that were met when an assertion last asked."""


def bound(judge: Judge) -> dict[str, Any]:
    """Mark -> function."""
    state, verify = judge.state, judge.verify

    def check(site: int, value: Any) -> bool:
        _alone(state)
        if not value:
            state.failed += 1
            return False
        verify()
        monitor.count(state, site)
        return True

    def gate(site: int, value: Any) -> Any:
        _alone(state)
        verify()
        monitor.count(state, site)
        return value

    def status(site: int, value: Any) -> Any:
        if value is not None and not (isinstance(value, int) and int.__eq__(value, 0)):
            raise SystemExit(value or 1)  # here, for `exit` and `SystemExit` may be the program's
        return gate(site, value)

    def leave(value: Any = None) -> None:
        raise SystemExit(value)

    def reached(site: int) -> None:
        verify()
        monitor.count(state, site)

    def expected(site: int) -> None:
        if len(expectations.met) == judge.met:
            state.broken = state.broken or "an expected exception to be left out"
            raise PermissionError(state.broken)
        judge.met = len(expectations.met)
        reached(site)

    def function(site: int, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        verify()
        if _is_library(called):
            args, kwargs = (
                tuple(map(plain_values.pictured, args)),
                {k: plain_values.pictured(v) for k, v in kwargs.items()},
            )
        result = called(*args, **kwargs)
        monitor.count(state, site)
        return result

    own = {name: getattr(builtins, name) for name in rewriting.PURE}
    own["isinstance"] = comparing.is_instance
    own |= {name: _of_values(own[name]) for name in ("abs", "round", "pow", "divmod")}
    own["sum"] = _sum
    own |= {f"{name}()": _calling(getattr(builtins, name)) for name in rewriting.CALLING}
    return {
        **own, "check": check, "gate": gate, "status": status, "leave": leave, "reached": reached, "expected": expected, "chain": _chain, "method": _method(judge),
        "function": function, "lookup": judge.lookup, "module": judge.module, "compare": comparing.compare, "compared": comparing.compared,
        "matched": _matched, "operate": comparing.operate, "answer": comparing.answer,
        "operator": operator, "AssertionError": AssertionError, "matching": matchers.matching,
    }  # fmt: skip


def _alone(state: monitor.State) -> None:
    """Ends a process that the program has forked before it hears what a test finds: with many of them, each with another answer,
    it would learn which one holds."""
    if state.pid and _getpid() != state.pid:
        _exit(70)


def _of_values(function: Callable[..., Any]) -> Callable[..., Any]:
    """A built-in function of numbers, which meets the numbers that objects are."""

    def called(*args: Any, **kwargs: Any) -> Any:
        if not all(map(plain_values.is_plain, args)):
            args = tuple(map(plain_values.pictured, args))
        return function(*args, **kwargs)

    return called


def _calling(function: Any) -> Callable[..., Any]:
    """A function that calls its first argument once for each item of the others: an exception of it is not their end."""

    def called(first: Any, /, *items: Any) -> Any:
        return function(first if type(first) in (type, type(None)) else expectations.without_stop(first), *items)

    return called


def _sum(items: Any, /, start: Any = 0) -> Any:
    if plain_values.is_plain(items):
        return sum(items, start)
    return sum((v if plain_values.is_plain(v) else plain_values.pictured(v) for v in items), start)


def _matched(value: Any, only_compares: bool = False) -> Any:
    """The subject of a `match`: constants in its patterns are compared with the built-in value that it is. `only_compares`: its
    patterns name nothing that would be used further."""
    if only_compares and not plain_values.is_plain(value):
        return plain_values.shown(value)
    pictured = plain_values.pictured(value)
    if plain_values.is_opaque(pictured):
        return plain_values.Shown(value)
    return pictured if plain_values.is_plain(pictured) and not isinstance(value, tuple) else value


def _chain(symbols: str, left: Any, *later: Callable[[], Any]) -> Any:
    """`a < b < c`: what is not needed is not evaluated."""
    for symbol, get in zip(symbols.split(), later, strict=True):
        right = get()
        result = comparing.compare(symbol.replace("-", " "), left, right)
        if not result:
            return result
        left = right
    return result


def _method(judge: Judge) -> Callable[..., Any]:
    """Calls of a module's functions, and of a test case's assertions."""

    def call(owner: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        own = unittest_assertions.ASSERTIONS.get(name) if isinstance(owner, captured.of_unittest("TestCase")) else None
        if own and not _overridden(type(owner), name):
            return own(owner, *args, **kwargs)
        if name == "main" and owner is captured.modules.get("unittest"):
            return judge.unittest_main()
        judge.verify()
        if type(owner) is types.ModuleType:
            if owner.__name__ == "itertools" and args and name in ("starmap", "takewhile", "dropwhile", "filterfalse"):
                args = (expectations.without_stop(args[0]), *args[1:])
            if owner.__name__ in ("operator", "_operator") and (symbol := comparing.symbol_of(name)):
                return comparing.compare(symbol, *(reversed(args) if symbol == "in" else args))
            if owner.__name__ in ("operator", "_operator") and name in ("countOf", "indexOf"):
                return comparing.answer([*args[0]], name.removesuffix("Of"), *args[1:])
            if owner.__name__.partition(".")[0] in _OF_VALUES:
                shown = plain_values.shown if name.startswith(_COMPARES) else comparing.real_array
                args = tuple(map(shown, map(comparing.real_array, args)))
                if len(args) > 1 and (name.startswith(_COMPARES) or name in _ELEMENTWISE):
                    comparing.not_empty_beside(args[0], args[1], scalars=name.startswith(_COMPARES))
        elif _is_library(getattr(owner, name, None)):
            args, kwargs = (
                tuple(map(plain_values.pictured, args)),
                {k: plain_values.pictured(v) for k, v in kwargs.items()},
            )
            _picture_calls(owner)
        return getattr(owner, name)(*args, **kwargs)

    def method(site: int, owner: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
        _alone(judge.state)
        result = call(owner, name, args, kwargs)
        if (site and name not in rewriting.CONTEXTS) or (name in rewriting.CALLABLE and len(args) > 1):
            monitor.count(judge.state, site)
        return result

    return method


def _overridden(kind: type, name: str) -> bool:
    """Whether a class of the tests defines the assertion itself."""
    for base in kind.__mro__:
        if base.__module__.startswith("unittest"):
            return False
        if name in base.__dict__:
            return True
    return False
