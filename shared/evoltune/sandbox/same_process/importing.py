"""What `import` gives in tests, and the modules that they will import, taken before the program runs.

Invariant: a module by which tests judge is the one that was there before the program; what the host lacks is the program's
only where the program has those names.
"""

import builtins
import importlib
import importlib.util
import itertools
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

from evoltune.sandbox.reading import PROGRAM_MODULES
from evoltune.sandbox.same_process import captured, doctests, matchers, pytest_api

JUDGES = {
    "math": "math", "isclose": "math:isclose", "np": "numpy", "numpy": "numpy", "allclose": "numpy:allclose", "array_equal": "numpy:array_equal",
    "assert_allclose": "numpy.testing:assert_allclose", "assert_array_equal": "numpy.testing:assert_array_equal", "unittest": "unittest",
}  # fmt: skip
"""Names by which tests judge that are the libraries' own, whatever the program makes of them."""
PROGRAM = "candidate"
_OF_NUMPY = ("numpy.testing._private.utils", "numpy.core.numeric", "numpy.core.fromnumeric", "numpy.core._methods")


class TestsMissing(ModuleNotFoundError):
    """The tests need a module that this host lacks."""


class Imports:
    """The `import` of one job's tests.

    Args:
        run_pytest, run_unittest: what `pytest.main` and `unittest.main` call.
        broken: raises, and takes down what the program has changed.
    """

    def __init__(
        self, run_pytest: Callable[[], int], run_unittest: Callable[[], Any], broken: Callable[[str], None]
    ) -> None:
        self.run_pytest, self.run_unittest, self.broken = run_pytest, run_unittest, broken
        self.missing: set[str] = set()
        self.names = sorted(PROGRAM_MODULES)
        """Names under which tests import the program."""
        self.program: dict[str, Any] = {}
        self.space: dict[str, Any] = {}
        """The global names of the tests."""
        self.imports_program = False
        """Whether the tests import the program as a module."""
        self.copies: dict[str, types.ModuleType] = {}

    def take(
        self, wanted: list[str], of_program: list[str], unittest: bool, asynchronous: bool
    ) -> list[types.ModuleType]:
        """Imports what the tests will import, and libraries that the program will. Returns the tests' modules."""
        self.imports_program = any(name.partition(".")[0] in self.names for name in wanted)
        found: list[types.ModuleType] = []
        if asynchronous:
            captured.take_asyncio()
        if unittest:
            captured.take("unittest")
        for name in wanted:
            if name.partition(".")[0] in ("pytest", *self.names):
                continue
            try:
                found.append(captured.take(name))
            except ModuleNotFoundError:
                self.missing.add(name)
            except Exception:  # noqa: BLE001 - the tests' own import says so
                continue
        for name in of_program:
            try:
                importlib.import_module(name)
            except Exception:  # noqa: BLE001 - the program says so itself
                continue
        if "unittest" in captured.modules:
            found += [captured.take("unittest"), captured.take("unittest.case")]
        if "numpy" in captured.modules:
            found += [sys.modules[name] for name in _OF_NUMPY if name in sys.modules]
        return list({id(m): m for m in found}.values()) if found else found

    def __call__(self, name: str, space: Any = None, local: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        """`import` in tests."""
        if name == "pytest":
            return pytest_api.pytest_module(self.run_pytest, self.own)
        top = name.partition(".")[0]
        if name in self.missing:
            names = [n for n in fromlist or () if n in self.program]
            if fromlist and (len(names) == len(fromlist) or fromlist == ("*",)):
                return sys.modules[PROGRAM]
            raise TestsMissing(name)
        if top in self.names and name not in captured.modules:
            return sys.modules[PROGRAM]
        for part in _parents(name) if not level else ():
            if part in captured.modules and sys.modules.get(part) is not captured.modules[part]:
                self.broken(f"the module {part} to be another than it was")
        if name == "importlib" or (top == "importlib" and not fromlist):
            builtins.__import__(name, None, None, fromlist, level)
            return self._importlib()
        if name == "doctest" and name in captured.modules:
            return self._doctest()
        if top == "unittest" and ("main" in (fromlist or ()) or "unittest.mock" in captured.modules):
            return self._unittest(name, fromlist)
        # Nothing of the tests: what programs put in the place of the built-in function would read their names.
        package = {key: space[key] for key in ("__name__", "__package__") if key in space} if level and space else None
        return builtins.__import__(name, package, None, fromlist, level)

    def own(self, module: Any) -> Any:
        """For a module out of `sys.modules` what `import` gives: unittest and mock as the tests have them."""
        for name in ("unittest.mock", "unittest"):
            if module is not None and module is captured.modules.get(name):
                return self._unittest(name, ("*",))
        return module

    def _importlib(self) -> types.ModuleType:
        """importlib with an `import_module` that gives what `import` gives."""
        if "importlib" not in self.copies:

            def import_module(name: str, package: str | None = None) -> Any:
                name = importlib.util.resolve_name(name, package) if package else name
                return self(name, fromlist=("*",))

            self.copies["importlib"] = matchers.own_module(types.ModuleType("importlib"))
            self.own_import = {"import_module": import_module}
        self.copies["importlib"].__dict__.update({**vars(importlib), **self.own_import})
        return self.copies["importlib"]

    def _doctest(self) -> types.ModuleType:
        """doctest with a `testmod` that knows the tests' names and the program's."""
        if "doctest" not in self.copies:
            copy = self.copies["doctest"] = matchers.own_module(types.ModuleType("doctest"))
            copy.__dict__.update(
                doctests.module(captured.modules["doctest"], self.program, self.space, self.imports_program)
            )
        return self.copies["doctest"]

    def _unittest(self, name: str, fromlist: Any) -> types.ModuleType:
        """unittest with the tests' own `main`, and `mock` with their own `ANY`."""
        changes: dict[str, dict[str, Any]] = {
            "unittest": {"main": lambda *args, **kwargs: self.run_unittest()},
            "unittest.mock": {"ANY": matchers.ANY},
        }
        if "unittest" not in self.copies:
            for module in changes.keys() & captured.modules.keys():
                copy = self.copies[module] = matchers.own_module(types.ModuleType(module))
                copy.__dict__.update({**vars(captured.modules[module]), **changes[module]})
            if mock := self.copies.get("unittest.mock"):
                self.copies["unittest"].__dict__["mock"] = mock
        wanted = name if fromlist else "unittest"
        return self.copies.get(wanted) or importlib.import_module(wanted)


def _parents(name: str) -> list[str]:
    """A module's name and those of the packages round it."""
    return [*itertools.accumulate(name.split("."), "{}.{}".format)]


def judges_of_program(mentioned: Iterable[str], known: list[types.ModuleType]) -> list[types.ModuleType]:
    """Loaded modules by which tests judge that they leave it to the program to import."""
    names = sorted({JUDGES[name].partition(":")[0] for name in mentioned})
    return [m for n in names if (m := sys.modules.get(n)) and not any(m is one for one in known)]


def is_at_hand(name: str) -> bool:
    """Whether a module is loaded, or is one of the interpreter's own that it loads late."""
    top = name.partition(".")[0]
    return top in sys.modules or top in sys.stdlib_module_names
