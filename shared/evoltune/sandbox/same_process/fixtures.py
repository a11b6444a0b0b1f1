"""The fixtures of one source of tests: who defines them, for how long each value lives, and the `request` that they may ask for.

Invariant: a value is made once for its scope, and what was made is finished in the reverse order, also where a test fails.

    fixtures = Fixtures(space, entry)
    with fixtures.opened({"n": 1}, {}, holder=None) as value: value("box")
"""

import inspect
import types
from collections.abc import Callable
from typing import Any

from evoltune.sandbox.same_process import captured, pytest_api, pytest_fixtures
from evoltune.sandbox.same_process.expectations import Unsupported
from evoltune.sandbox.same_process.pytest_api import Fixture

CANDIDATES = frozenset({"candidate", "solution", "func", "function", "fn", "f", "entry_point", "solve"})
_NO_PARAMETER = object()


def finish(result: Any) -> Any:
    """The result of a call that may have given a coroutine."""
    if not inspect.iscoroutine(result):
        return result
    if not captured.run_coroutine:
        captured.take_asyncio()
    return captured.run_coroutine[0](result)


def parameters(function: Any) -> dict[str, Any]:
    """Name -> default of the parameters that can be given by name."""
    if type(function) is types.FunctionType and not function.__dict__:  # as below, at a tenth of the cost
        code, defaults = function.__code__, function.__defaults__ or ()
        names, given = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], {}
        if defaults:
            given = dict(zip(names[: code.co_argcount][-len(defaults) :], defaults, strict=True))
        given |= function.__kwdefaults__ or {}
        return {name: given.get(name, inspect.Parameter.empty) for name in names}
    try:
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return {}
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: p.default for name, p in signature.parameters.items() if p.kind in kinds}


def required(function: Any) -> list[str]:
    """The parameters without a default."""
    return [name for name, default in parameters(function).items() if default is inspect.Parameter.empty]


class _Scope:
    """Values that live as long as a function, a class or the module."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[Any, Any]] = {}
        self.finalizers: list[tuple[str, Callable[[], Any]]] = []

    def close(self, name: str = "") -> None:
        """Finishes what was made, in the reverse order; with a name, this fixture and what was made after it."""
        error: BaseException | None = None
        while self.finalizers and (not name or any(made == name for made, _ in self.finalizers)):
            made, finalizer = self.finalizers.pop()
            self.values.pop(made, None)
            try:
                finish(finalizer())
            except BaseException as raised:  # noqa: BLE001 - the others are finished too
                error = error or raised
        if not name:
            self.values.clear()
        if error is not None:
            raise error


class Fixtures:
    """The fixtures that tests can ask for."""

    def __init__(self, space: dict[str, Any], entry: Callable[[], Any]) -> None:
        self.space, self.entry = space, entry
        self.module, self.of_class = _Scope(), _Scope()
        self.found = {value.name: value for value in [*space.values()] if isinstance(value, Fixture)}

    def of(self, holder: Any) -> dict[str, Fixture]:
        """By name: those of the module, and of a test class."""
        if holder is None:
            return self.found
        names = [
            n for base in reversed(type(holder).__mro__) for n, v in base.__dict__.items() if isinstance(v, Fixture)
        ]
        return {**self.found, **{value.name: value for value in (getattr(holder, name) for name in names)}}

    def knows(self, name: str, holder: Any) -> bool:
        return name in self.of(holder) or name in pytest_fixtures.BUILT_IN or name == "request"

    def needed(self, names: list[str], holder: Any) -> list[str]:
        """These fixtures, those used everywhere, and what they ask for in turn."""
        found = self.of(holder)
        names = [*(name for name, fixture in found.items() if fixture.autouse), *names]
        for name in names:  # grows meanwhile
            if name in found:
                names += [p for p in required(found[name].function) if p not in names]
        return list(dict.fromkeys(names))

    def variants(self, names: list[str], holder: Any, given: dict[str, Any]) -> list[dict[str, Any]]:
        """Fixture -> parameter: one for each combination of those that have several and are not given."""
        variants: list[dict[str, Any]] = [given]
        found = self.of(holder)
        for name in self.needed(names, holder):
            fixture = found.get(name)
            if fixture is not None and fixture.params is not None and name not in given:
                values = [v.values[0] if isinstance(v, pytest_api.Parameters) else v for v in fixture.params]
                variants = [{**chosen, name: value} for value in values for chosen in variants]
        return variants

    def opened(self, given: dict[str, Any], chosen: dict[str, Any], holder: Any, function: Any = None) -> "Opened":
        """The fixtures of one run. `given`: values of parameters; `chosen`: parameters of fixtures."""
        return Opened(self, given, chosen, holder, function)

    def close(self) -> None:
        """Finishes what lives as long as the module."""
        try:
            self.of_class.close()
        finally:
            self.module.close()


class Opened:
    """The fixtures of one run."""

    def __init__(
        self, fixtures: Fixtures, given: dict[str, Any], chosen: dict[str, Any], holder: Any, function: Any
    ) -> None:
        self.fixtures, self.given, self.chosen, self.holder, self.function = fixtures, given, chosen, holder, function
        self.found, self.own = fixtures.of(holder), _Scope()

    def __enter__(self) -> Callable[[str], Any]:
        for name, fixture in self.found.items():
            if fixture.autouse:
                self.value(name)
        return self.value

    def __exit__(self, *_: object) -> None:
        self.own.close()

    def scope(self, name: str) -> _Scope:
        if name in ("function", ""):
            return self.own
        return self.fixtures.of_class if name == "class" else self.fixtures.module

    def value(self, name: str) -> Any:
        """A fixture's value."""
        if name in self.given:
            return self.given[name]
        if name == "request":
            return Request(self, "", _NO_PARAMETER, self.own)
        fixture = self.found.get(name)
        if fixture is None and name not in pytest_fixtures.BUILT_IN:
            if name in CANDIDATES:
                return self.fixtures.entry()
            raise Unsupported(f"the fixture {name!r}")
        function = fixture.function if fixture else pytest_fixtures.BUILT_IN[name]
        kind = fixture.scope if fixture else "session" if name in pytest_fixtures.OF_SESSION else ""
        scope, chosen = self.scope(kind if isinstance(kind, str) else ""), self.chosen.get(name, _NO_PARAMETER)
        if name in scope.values:
            known, value = scope.values[name]
            if known is chosen:
                return value
            scope.close(name)
        request = Request(self, name, chosen, scope)
        names = required(function)
        value = finish(function(**{p: request if p == "request" else self.value(p) for p in names}))
        if inspect.isgenerator(value):
            generator, value = value, next(value)
            scope.finalizers.append((name, lambda: _end(generator)))
        scope.values[name] = chosen, value
        return value


def _end(generator: Any) -> None:
    for _value in generator:
        raise ValueError("fixture function has more than one 'yield'")


class _Node:
    def __init__(self, function: Any) -> None:
        self.name = self.originalname = getattr(function, "__name__", "")
        self.nodeid = f"test_solution.py::{self.name}"
        self._marks = getattr(function, "pytestmark", ())

    def get_closest_marker(self, name: str, default: Any = None) -> Any:
        return next((mark for mark in reversed(self._marks) if mark.name == name), default)

    def iter_markers(self, name: Any = None) -> Any:
        return (mark for mark in self._marks if name in (None, mark.name))


class Request:
    """What a fixture learns of the test that asks for it."""

    def __init__(self, opened: Opened, name: str, chosen: Any, scope: _Scope) -> None:
        self._opened, self._scope, self.fixturename = opened, scope, name
        if chosen is not _NO_PARAMETER:
            self.param = chosen
        self.function, self.instance = opened.function, opened.holder
        self.cls = None if opened.holder is None else type(opened.holder)
        self.node = _Node(opened.function)
        self.module = types.SimpleNamespace(**{k: v for k, v in opened.fixtures.space.items() if k.isidentifier()})

    def getfixturevalue(self, name: str) -> Any:
        return self._opened.value(name)

    def addfinalizer(self, finalizer: Callable[[], Any]) -> None:
        self._scope.finalizers.append((self.fixturename, finalizer))

    def __getattr__(self, name: str) -> Any:
        if name == "param" or name.startswith("_"):
            raise AttributeError(name)
        raise Unsupported(f"request.{name}")
