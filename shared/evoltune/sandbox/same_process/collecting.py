"""Finds the tests that a runner would run, and runs each: pytest's functions and classes, unittest's cases, `check(candidate)`.

Invariant: what a test raises reaches the caller; a test that is skipped raises Skipped.

    for test in collected(space, entry, done): test.run()
"""

import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

from evoltune.sandbox.same_process import captured, pytest_api, pytest_fixtures
from evoltune.sandbox.same_process.pytest_api import Fixture

TAKES_ENTRY = frozenset(
    {
        "check",
        "check_solution",
        "test",
        "test_solution",
        "check_function",
        "check_candidate",
        "test_candidate",
        "test_check",
    }
)
"""Functions that are called with the function under test."""
_CANDIDATES = frozenset({"candidate", "solution", "func", "function", "fn", "f", "entry_point", "solve"})


class Test:
    """One test and how it is run. Its name tells which assertions it must reach; "": it need not reach any."""

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self.name, self.run = name, run


def finish(result: Any) -> Any:
    """The result of a call that may have given a coroutine."""
    if not inspect.iscoroutine(result):
        return result
    if not captured.run_coroutine:
        captured.take_asyncio()
    return captured.run_coroutine[0](result)


def collected(space: dict[str, Any], own: list[str], entry: Any) -> Iterator[Test]:
    """The tests among the names that the tests' source defines, in the order of definition. `entry`: gives the function under
    test, or raises."""
    for name in own:
        value = space.get(name)
        if isinstance(value, type):
            if issubclass(value, captured.of_unittest("TestCase")):
                yield from _cases(name, value)
            elif name.startswith("Test") and "__init__" not in value.__dict__:
                yield from _class(name, value, space, entry)
        elif callable(value) and not isinstance(value, Fixture) and (name.startswith("test") or name in TAKES_ENTRY):
            yield from _function(name, value, space, entry)


def _parameters(function: Any) -> dict[str, Any]:
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


def _function(
    name: str, function: Any, space: dict[str, Any], entry: Any, holder: Any = None, prefix: str = ""
) -> Iterator[Test]:
    if pytest_api.is_skipped(function):
        return
    required = [p for p, default in _parameters(function).items() if default is inspect.Parameter.empty]
    sets = pytest_api.parameter_sets(function)
    fixed = {p for given in sets for p in given}
    open_names = [p for p in required if p not in fixed]
    fixtures = _Fixtures(space, holder, entry)
    if len(open_names) == 1 and not fixed and not fixtures.knows(open_names[0]):
        if name in TAKES_ENTRY or open_names[0] in _CANDIDATES:
            yield Test(prefix + name, lambda: finish(function(entry())))
            return
        if not name.startswith("test"):
            return
    elif open_names and not name.startswith("test"):
        return
    for variant in fixtures.variants(open_names):
        for given in sets:
            yield Test(prefix + name, _run_with(fixtures, function, given, open_names, variant))


def _run_with(fixtures: Any, function: Any, given: Any, names: list[str], variant: Any) -> Callable[[], None]:
    def run() -> None:
        with fixtures.opened(variant) as values:
            for fixture in fixtures.automatic():
                values(fixture)
            arguments = {name: values(name) for name in names}
            finish(function(**{**given, **arguments}))

    return run


class _Fixtures:
    """The fixtures that a test can ask for."""

    def __init__(self, space: dict[str, Any], holder: Any, entry: Any) -> None:
        self.holder, self.entry = holder, entry
        self.found: dict[str, Any] = {}
        for source in (space, {n: getattr(holder, n, None) for n in dir(holder)} if holder is not None else {}):
            for value in list(source.values()):
                if isinstance(value, Fixture):
                    self.found[value.name] = value

    def knows(self, name: str) -> bool:
        return name in self.found or name in pytest_fixtures.BUILT_IN or name == "request"

    def automatic(self) -> list[str]:
        return [name for name, fixture in self.found.items() if fixture.autouse]

    def variants(self, names: list[str]) -> list[dict[str, Any]]:
        """One for each parameter of a parametrized fixture among those needed."""
        variants: list[dict[str, Any]] = [{}]
        for name in names:
            fixture = self.found.get(name)
            if fixture is not None and fixture.params is not None:
                values = [v.values[0] if isinstance(v, pytest_api.Parameters) else v for v in fixture.params]
                variants = [{**given, name: value} for value in values for given in variants]
        return variants

    def opened(self, variant: dict[str, Any]) -> Any:
        return _Opened(self, variant)


class _Opened:
    """The fixtures of one run, made when asked for and finished in the reverse order."""

    def __init__(self, fixtures: _Fixtures, variant: dict[str, Any]) -> None:
        self.fixtures, self.variant = fixtures, variant
        self.values: dict[str, Any] = {}
        self.open: list[Any] = []

    def __enter__(self) -> Callable[[str], Any]:
        return self.value

    def __exit__(self, *_: object) -> None:
        while self.open:
            for _value in self.open.pop():
                break

    def value(self, name: str) -> Any:
        if name in self.values:
            return self.values[name]
        if name == "request":
            return _Request(None)
        fixture = self.fixtures.found.get(name)
        if fixture is None and name not in pytest_fixtures.BUILT_IN:
            if name in _CANDIDATES:
                return self.fixtures.entry()
            raise LookupError(f"fixture {name!r} not found")
        function = fixture.function if fixture else pytest_fixtures.BUILT_IN[name]
        names = [p for p, default in _parameters(function).items() if default is inspect.Parameter.empty]
        request = _Request(self.variant.get(name))
        result = finish(function(**{p: request if p == "request" else self.value(p) for p in names}))
        if inspect.isgenerator(result):
            self.open.append(result)
            result = next(result)
        self.values[name] = result
        return result


class _Request:
    def __init__(self, param: Any) -> None:
        self.param = param


def _class(name: str, kind: Any, space: dict[str, Any], entry: Any) -> Iterator[Test]:
    """pytest's test classes."""
    if pytest_api.is_skipped(kind):
        return
    if callable(setup := getattr(kind, "setup_class", None)):
        yield Test("", setup)
    for method in [m for m in dir(kind) if m.startswith("test")]:
        if not callable(getattr(kind, method)):
            continue
        instance = kind()
        before, after = getattr(instance, "setup_method", None), getattr(instance, "teardown_method", None)
        for test in _function(method, getattr(instance, method), space, entry, instance, f"{name}."):
            yield Test(test.name, _surrounded(test.run, before, after))


def _surrounded(run: Any, before: Any, after: Any) -> Callable[[], None]:
    def surrounded() -> None:
        if callable(before):
            before() if not [*_parameters(before)] else before(None)
        try:
            run()
        finally:
            if callable(after):
                after() if not [*_parameters(after)] else after(None)

    return surrounded


def _cases(name: str, kind: Any) -> Iterator[Test]:
    """unittest's cases."""
    if pytest_api.is_skipped(kind):
        return
    methods = sorted(m for m in dir(kind) if m.startswith("test") and callable(getattr(kind, m)))
    if methods:
        yield Test("", kind.setUpClass)
    for method in methods:
        function = getattr(kind, method)
        if not pytest_api.is_skipped(function):
            fails = getattr(function, "__unittest_expecting_failure__", False)
            yield Test("" if fails else f"{name}.{method}", _run_case(kind, method, fails))
    if methods:
        yield Test("", kind.tearDownClass)


def _run_case(kind: Any, method: str, expects_failure: bool) -> Callable[[], None]:
    def run() -> None:
        case = kind(method)
        if hasattr(case, "asyncSetUp"):
            finish(_async_case(case, method))
            return
        try:
            case.setUp()
            try:
                finish(getattr(case, method)())
            except Exception:
                if not expects_failure:
                    raise
            else:
                if expects_failure:
                    raise AssertionError(f"{method}: unexpected success")
            finally:
                case.tearDown()
        finally:
            case.doCleanups()

    return run


async def _async_case(case: Any, method: str) -> None:
    case.setUp()
    await case.asyncSetUp()
    try:
        result = getattr(case, method)()
        if inspect.isawaitable(result):
            await result
    finally:
        await case.asyncTearDown()
        case.tearDown()
