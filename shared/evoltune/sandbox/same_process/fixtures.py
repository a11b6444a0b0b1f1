"""The fixtures of one source of tests: who defines them, for how long each value lives, and the `request` that they may ask for.

Invariant: a value is made once for its scope, and what was made is finished in the reverse order, also where a test fails.

    fixtures = Fixtures(space, entry)
    with fixtures.opened(Case({"n": 1}, {}), holder=None) as value: value("box")
"""

import inspect
import types
from collections.abc import Callable, Sequence
from typing import Any

from evoltune.sandbox.same_process import captured, pytest_fixtures
from evoltune.sandbox.same_process.expectations import Unsupported
from evoltune.sandbox.same_process.names import CANDIDATES, TestModule
from evoltune.sandbox.same_process.parametrizing import WIDE, Case, Metafunc
from evoltune.sandbox.same_process.pytest_api import Fixture

_NO_PARAMETER = object()


def finish(result: Any) -> Any:
    """The result of a call that may have given a coroutine."""
    if not isinstance(result, types.CoroutineType):
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
        self.values: dict[str, tuple[Any, Any, dict[str, Any]]] = {}
        """Name -> (the parameter, the value, the wide values that it is built on)."""
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

    def of(self, holder: Any) -> dict[str, list[Fixture]]:
        """By name: that of the module, and those of a test class, each of which hides the one before it."""
        found = {name: [fixture] for name, fixture in self.found.items()}
        for base in reversed(type(holder).__mro__) if holder is not None else ():
            for value in [v for v in base.__dict__.values() if isinstance(v, Fixture)]:
                found.setdefault(value.name, []).append(value.__get__(holder))
        return found

    def knows(self, name: str, holder: Any) -> bool:
        return name in self.of(holder) or name in pytest_fixtures.BUILT_IN or name == "request"

    def needed(self, names: list[str], holder: Any) -> list[str]:
        """These fixtures, those used everywhere, and what they ask for in turn; those that live longest first."""
        found = self.of(holder)
        names = [*(name for name, fixtures in found.items() if fixtures[-1].autouse), *names]
        for name in names:  # grows meanwhile
            names += [p for p in _asked(name, found.get(name, ())) if p not in names]
        return sorted(dict.fromkeys(names), key=lambda n: _width(found[n][-1].scope if n in found else "function"))

    def cases(self, function: Any, marks: list[Any], names: list[str], holder: Any) -> list[Case]:
        """The runs of a test: for each combination of the parameters that it, its hooks and its fixtures have."""
        found = self.of(holder)
        hooks = (self.space.get("pytest_generate_tests"), getattr(holder, "pytest_generate_tests", None))
        if not marks and not found and not any(map(callable, hooks)):
            return [Case({}, {})]  # nothing has parameters

        def scope_of(name: str) -> str:
            return found[name][-1].scope if name in found else "function"

        metafunc = Metafunc(function, holder, self.needed(names, holder), scope_of)
        for hook in hooks:
            if callable(hook):
                hook(metafunc)
        given = [mark for mark in marks if mark.name == "parametrize"]
        by_marks = {name for mark in given for name in _names_of(mark)}
        for name in metafunc.fixturenames:
            fixture = found[name][-1] if name in found else None
            if fixture is None or fixture.params is None or name in by_marks or metafunc.takes(name):
                continue
            metafunc.parametrize(name, fixture.params, indirect=True, ids=fixture.ids)
        for mark in given:
            metafunc.parametrize(*mark.args, **mark.kwargs)
        return metafunc.cases

    def opened(self, case: Case, holder: Any, function: Any = None) -> "Opened":
        """The fixtures of one run."""
        return Opened(self, case, holder, function)

    def close(self) -> None:
        """Finishes what lives as long as the module."""
        try:
            self.of_class.close()
        finally:
            self.module.close()


def _asked(name: str, fixtures: Sequence[Fixture]) -> list[str]:
    """What a fixture asks for, and the one that it hides where it asks for that."""
    names: list[str] = []
    for fixture in reversed(fixtures):
        names += required(fixture.function)
        if name not in names:
            break
    return names


def _width(scope: str) -> int:
    return WIDE.index(scope) if scope in WIDE else len(WIDE)


def _names_of(mark: Any) -> list[str]:
    names = mark.kwargs["argnames"] if "argnames" in mark.kwargs else mark.args[0]
    return [n.strip() for n in names.split(",")] if isinstance(names, str) else [*names]


class Opened:
    """The fixtures of one run."""

    def __init__(self, fixtures: Fixtures, case: Case, holder: Any, function: Any) -> None:
        self.fixtures, self.case, self.holder, self.function = fixtures, case, holder, function
        self.given, self.chosen = case.given, case.indirect
        self.found, self.own = fixtures.of(holder), _Scope()

    def __enter__(self) -> Callable[[str], Any]:
        for name in self.fixtures.needed([], self.holder):
            if name in self.found and self.found[name][-1].autouse:
                self.value(name)
        return self.value

    def __exit__(self, *_: object) -> None:
        self.own.close()

    def scope(self, name: str) -> _Scope:
        if name in ("function", ""):
            return self.own
        return self.fixtures.of_class if name == "class" else self.fixtures.module

    def fixture(self, name: str, hidden: int = 0) -> Fixture | None:
        found = self.found.get(name, [])
        return found[-1 - hidden] if hidden < len(found) else None

    def is_wide(self, name: str, hidden: int) -> bool:
        """Whether a fixture's value outlives the run, so that another run may have it made anew."""
        fixture = self.fixture(name, hidden)
        return fixture is not None and self.scope(fixture.scope) is not self.own

    def value(self, name: str, hidden: int = 0) -> Any:
        """A fixture's value. `hidden`: of the one that is hidden by that many others of its name."""
        if name in self.given:
            return self.given[name]
        if name == "request":
            return Request(self, "", _NO_PARAMETER, self.own)
        fixture = self.fixture(name, hidden)
        if fixture is None and name not in pytest_fixtures.BUILT_IN:
            if name in CANDIDATES:
                return self.fixtures.entry()
            raise Unsupported(f"the fixture {name!r}")
        function = fixture.function if fixture else pytest_fixtures.BUILT_IN[name]
        kind = fixture.scope if fixture else "session" if name in pytest_fixtures.OF_SESSION else ""
        scope, chosen = self.scope(kind), self.chosen.get(name, _NO_PARAMETER)
        made = f"{name} {hidden}" if hidden else name
        asked = {p: hidden + 1 if p == name else 0 for p in required(function)}
        used = {p: self.value(p, h) for p, h in asked.items() if scope is not self.own and self.is_wide(p, h)}
        if made in scope.values:
            known, value, known_used = scope.values[made]
            if known is chosen and all(known_used[p] is used[p] for p in used):
                return value
            scope.close(made)
        request = Request(self, name, chosen, scope)
        arguments = {p: request if p == "request" else self.value(p, h) for p, h in asked.items()}
        value = finish(function(**arguments))
        if inspect.isgenerator(value):
            generator, value = value, next(value)
            scope.finalizers.append((made, lambda: _end(generator)))
        scope.values[made] = chosen, value, used
        return value


def _end(generator: Any) -> None:
    for _value in generator:
        raise ValueError("fixture function has more than one 'yield'")


class _Node:
    def __init__(self, opened: Opened) -> None:
        function, case = opened.function, opened.case
        self.originalname = getattr(function, "__name__", "")
        self.name = f"{self.originalname}[{case.id}]" if case.ids else self.originalname
        held = "" if opened.holder is None else f"{type(opened.holder).__name__}::"
        self.nodeid = f"test_solution.py::{held}{self.name}"
        self.callspec = types.SimpleNamespace(id=case.id, params={**case.given, **case.indirect})
        self._marks = case.marks

    def get_closest_marker(self, name: str, default: Any = None) -> Any:
        return next((mark for mark in self._marks if mark.name == name), default)

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
        self.node = _Node(opened)
        self.module = TestModule(opened.fixtures.space)

    def getfixturevalue(self, name: str) -> Any:
        return self._opened.value(name)

    def addfinalizer(self, finalizer: Callable[[], Any]) -> None:
        self._scope.finalizers.append((self.fixturename, finalizer))

    def __getattr__(self, name: str) -> Any:
        if name == "param" or name.startswith("_"):
            raise AttributeError(name)
        raise Unsupported(f"request.{name}")
