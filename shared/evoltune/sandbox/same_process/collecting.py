"""Finds the tests that a runner would run, and runs each: pytest's functions and classes, unittest's cases, `check(candidate)`.

Invariant: what a test raises reaches the caller; a test that is skipped raises Skipped.

    for test in collected(space, own, entry): test.run()
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from evoltune.sandbox.same_process import captured, pytest_api, warning_filters
from evoltune.sandbox.same_process.expectations import Failed, Skipped, Unsupported
from evoltune.sandbox.same_process.fixtures import Fixtures, finish, required
from evoltune.sandbox.same_process.names import CANDIDATES, TAKES_ENTRY, TestModule
from evoltune.sandbox.same_process.parametrizing import Case, grouped
from evoltune.sandbox.same_process.pytest_api import Fixture


class Test:
    """One test and how it is run. Its name tells which assertions it must reach; "": it need not reach any. `shared`: the
    parameters that it shares with others."""

    def __init__(self, name: str, run: Callable[[], None], shared: Sequence[Any] = ()) -> None:
        self.name, self.run, self.shared = name, run, shared


def collected(space: dict[str, Any], own: list[str], entry: Any) -> Iterator[Test]:
    """The tests among the names that the tests' source defines, in the order of definition. `entry`: gives the function under
    test, or raises."""
    fixtures = Fixtures(space, entry)
    found = Collector(space, fixtures)
    tests = [*found.tests(own)]
    if not tests:
        return
    for name in ("setUpModule", "setup_module"):
        if name in own and callable(space.get(name)):
            yield Test("", _with_optional(space[name], TestModule(space)))
    yield from tests
    yield Test("", fixtures.close)
    for name in ("tearDownModule", "teardown_module"):
        if name in own and callable(space.get(name)):
            yield Test("", _with_optional(space[name], TestModule(space)))
    if "unittest" in captured.modules:
        yield Test("", captured.modules["unittest"].doModuleCleanups)


def _with_optional(function: Any, argument: Any) -> Callable[[], None]:
    """A call with an argument where the function takes one."""

    def call() -> None:
        finish(function() if not required(function) else function(argument))

    return call


class Collector:
    """Collects from one namespace."""

    def __init__(self, space: dict[str, Any], fixtures: Fixtures) -> None:
        self.space, self.fixtures = space, fixtures
        self.marks = pytest_api.unpacked(space.get("pytestmark", ()))

    def tests(self, own: list[str]) -> Iterator[Test]:
        load = self.space.get("load_tests") if "load_tests" in own and "unittest" in captured.modules else None
        if callable(load):
            yield from self._loaded(load, own)
        functions: list[Test] = []
        for name in own:
            value = self.space.get(name)
            if isinstance(value, type):
                yield from grouped(functions)
                functions = []
                if issubclass(value, captured.of_unittest("TestCase")):
                    if load is None:
                        yield from self.cases(name, value)
                elif name.startswith("Test") and "__init__" not in value.__dict__:
                    yield from self.in_class(name, value)
            elif (
                callable(value) and not isinstance(value, Fixture) and (name.startswith("test") or name in TAKES_ENTRY)
            ):
                before, after = self.space.get("setup_function"), self.space.get("teardown_function")
                for test in self.function(name, value):
                    functions.append(Test(test.name, _surrounded(test.run, before, after, value), test.shared))
        yield from grouped(functions)

    def _round(self, holder: Any) -> list[Any]:
        """The marks of the class of a test, and of the module."""
        return [*pytest_api.marks_of(type(holder)), *self.marks]

    # ---- pytest

    def function(self, name: str, function: Any, holder: Any = None, prefix: str = "") -> Iterator[Test]:
        marks = [*pytest_api.marks_of(function), *self._round(holder)]
        if pytest_api.is_skipped(function, marks, self.space):
            return
        names = required(function)
        used = [str(name) for mark in marks if mark.name == "usefixtures" for name in mark.args]
        cases = self.fixtures.cases(function, marks, [*used, *names], holder)
        fixed = {name for case in cases for name in case.given}
        open_names = [name for name in names if name not in fixed]
        if len(open_names) == 1 and not fixed and not self.fixtures.knows(open_names[0], holder):
            if name in TAKES_ENTRY or open_names[0] in CANDIDATES:
                yield Test(prefix + name, lambda: finish(function(self.fixtures.entry())))
                return
            if not name.startswith("test"):
                return
        elif open_names and not name.startswith("test"):
            return
        for case in cases:
            if pytest_api.is_skipped(None, case.marks, self.space):
                continue
            case.marks += marks
            run = self._run_with(function, case, open_names, used, holder)
            failing = pytest_api.expected_to_fail(case.marks, self.space)
            test = "" if failing else prefix + name
            yield Test(test, _expecting(run, failing, name) if failing else run, case.shared)

    def _run_with(
        self, function: Any, case: Case, names: list[str], used: list[str], holder: Any
    ) -> Callable[[], None]:
        def run() -> None:
            with warning_filters.filtered(case.marks), self.fixtures.opened(case, holder, function) as value:
                for name in used:
                    value(name)
                arguments = {name: value(name) for name in names}
                finish(function(**{**case.given, **arguments}))

        return run

    def in_class(self, name: str, kind: Any) -> Iterator[Test]:
        """pytest's test classes."""
        if pytest_api.is_skipped(kind, self.marks, self.space):
            return
        methods = [m for m in _in_order(kind) if m.startswith("test") and callable(getattr(kind, m))]
        if callable(setup := getattr(kind, "setup_class", None)):
            yield Test("", _with_optional(setup, kind))
        tests: list[Test] = []
        for method in methods:
            instance = kind()
            before, after = getattr(instance, "setup_method", None), getattr(instance, "teardown_method", None)
            bound = getattr(instance, method)
            for test in self.function(method, bound, instance, f"{name}."):
                tests.append(Test(test.name, _surrounded(test.run, before, after, bound), test.shared))
        yield from grouped(tests)
        for inner in _in_order(kind):
            value = getattr(kind, inner)
            if inner.startswith("Test") and isinstance(value, type) and "__init__" not in value.__dict__:
                yield from self.in_class(f"{name}.{inner}", value)
        yield Test("", self.fixtures.of_class.close)
        if callable(teardown := getattr(kind, "teardown_class", None)):
            yield Test("", _with_optional(teardown, kind))

    # ---- unittest

    def cases(self, name: str, kind: Any) -> Iterator[Test]:
        """unittest's cases."""
        if pytest_api.is_skipped(kind, self.marks, self.space):
            return
        methods = sorted(m for m in dir(kind) if m.startswith("test") and callable(getattr(kind, m)))
        if methods:
            yield Test("", kind.setUpClass)
        for method in methods:
            yield from self._case(name, kind, method, lambda m=method: kind(m))  # type: ignore[misc]
        if methods:
            yield from _class_ended(kind)

    def _case(self, name: str, kind: Any, method: str, make: Callable[[], Any]) -> Iterator[Test]:
        """One method of a class of cases."""
        function = getattr(kind, method)
        if pytest_api.is_skipped(function, (), self.space):
            return
        fails = any(getattr(owner, "__unittest_expecting_failure__", False) for owner in (kind, function))
        expects = fails and not _runs_itself(kind)  # else its own run says what it expected
        yield Test("" if fails else f"{name}.{method}", self._run_case(make, method, expects))

    def _loaded(self, load: Any, own: list[str]) -> Iterator[Test]:
        """The cases of the suite that `load_tests` makes of those that a loader finds."""
        unittest: Any = captured.modules["unittest"]
        loader = unittest.TestLoader()
        kinds = [self.space[n] for n in own if isinstance(self.space.get(n), type)]
        kinds = [kind for kind in kinds if issubclass(kind, unittest.TestCase)]
        suite = unittest.TestSuite(map(loader.loadTestsFromTestCase, kinds))
        waiting, before = [load(loader, suite, None)], None
        while waiting:
            test = waiting.pop(0)
            if not isinstance(test, unittest.TestCase):
                waiting = [*test, *waiting]
                continue
            kind = type(test)
            if kind.__module__.startswith("unittest") and kind is not unittest.FunctionTestCase:
                raise Unsupported(f"load_tests with {kind.__name__}")
            if pytest_api.is_skipped(kind, (), self.space):
                continue
            if kind is not before:
                yield from _class_ended(before)
                before = kind
                yield Test("", kind.setUpClass)
            yield from self._case(kind.__name__, kind, test._testMethodName, lambda case=test: case)  # type: ignore[misc]
        yield from _class_ended(before)

    def _run_case(self, make: Callable[[], Any], method: str, expects_failure: bool) -> Callable[[], None]:
        def run() -> None:
            case = make()
            function = getattr(case, method)
            marks = [*pytest_api.marks_of(function), *self._round(case)]
            used = [str(name) for mark in marks if mark.name == "usefixtures" for name in mark.args]
            with warning_filters.filtered(marks), self.fixtures.opened(Case({}, {}, marks), case, function) as value:
                for name in used:
                    value(name)
                if _runs_itself(type(case)):
                    _run_itself(case)
                elif hasattr(case, "asyncSetUp"):
                    finish(_async_case(case, method))
                else:
                    _sync_case(case, method)

        return _expecting(run, pytest_api.Expected(strict=True), method) if expects_failure else run


_RUNNERS = ("unittest", "doctest")
"""Modules whose classes of cases belong to the runners."""


def _runs_itself(kind: Any) -> bool:
    """Whether a class of cases has a `run` of its own."""
    return any(
        "run" in base.__dict__ for base in kind.__mro__ if not base.__module__.startswith((*_RUNNERS, "builtins"))
    )


def _run_itself(case: Any) -> None:
    """Runs a case by its own `run`. Raises the first that it reports."""
    reported: list[BaseException] = []
    result = captured.modules["unittest"].TestResult()
    result.addError = result.addFailure = lambda _, error: reported.append(error[1])
    result.addSubTest = lambda case, part, error: reported.append(error[1]) if error else None
    result.addSkip = lambda _, reason: reported.append(Skipped(reason))
    case.run(result)
    if reported:
        raise reported[0]
    if result.unexpectedSuccesses:
        raise Failed("unexpected success")


def _class_ended(kind: Any) -> Iterator[Test]:
    if kind is not None and not kind.__module__.startswith(_RUNNERS):
        yield Test("", kind.tearDownClass)
        yield Test("", kind.doClassCleanups)


def _in_order(kind: Any) -> list[str]:
    """Names of a class and of those that it inherits from, as they are defined."""
    return list(dict.fromkeys(name for base in reversed(kind.__mro__) for name in base.__dict__))


def _expecting(run: Callable[[], None], failing: Any, name: str) -> Callable[[], None]:
    """A run that is expected to fail."""

    def expecting() -> None:
        try:
            run()
        except Exception as error:
            if failing.raises and not isinstance(error, failing.raises):
                raise
        else:
            if failing.strict:
                raise Failed(f"{name}: unexpected success")

    return expecting


def _surrounded(run: Any, before: Any, after: Any, function: Any) -> Callable[[], None]:
    if not callable(before) and not callable(after):
        return run  # type: ignore[no-any-return]

    def surrounded() -> None:
        if callable(before):
            _with_optional(before, function)()
        try:
            run()
        finally:
            if callable(after):
                _with_optional(after, function)()

    return surrounded


def _sync_case(case: Any, method: str) -> None:
    try:
        case.setUp()
        try:
            finish(getattr(case, method)())
        finally:
            case.tearDown()
    finally:
        case.doCleanups()


async def _async_case(case: Any, method: str) -> None:
    async def call(function: Any, /, *args: Any, **kwargs: Any) -> None:
        result = function(*args, **kwargs)
        if inspect.isawaitable(result):
            await result

    try:
        await call(case.setUp)
        await case.asyncSetUp()
        try:
            await call(getattr(case, method))
        finally:
            await case.asyncTearDown()
            case.tearDown()
    finally:
        while case._cleanups:
            function, args, kwargs = case._cleanups.pop()
            await call(function, *args, **kwargs)
