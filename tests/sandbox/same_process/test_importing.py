"""What the tests of a job import, taken before the program runs."""

import importlib
import json
import math
import os
import sys
import types
import unittest
import unittest.mock

import pytest

from evoltune.sandbox.same_process import captured, matchers
from evoltune.sandbox.same_process.importing import Imports, TestsMissing


@pytest.fixture
def take(monkeypatch):
    """take(names, **more): the modules that are watched where tests import these names."""
    monkeypatch.setattr(captured, "modules", {})
    imports = Imports(lambda: 0, lambda: None, print)

    imports.names = ["candidate"]

    def taken(names, libraries=(), unittest=False):
        return imports, imports.take(names, libraries, unittest, False)

    return taken


def test_what_the_tests_import_is_taken_once_but_neither_pytest_nor_the_program(take):
    imports, found = take(["math", "candidate.f", "pytest", "math", "no_such_module"])
    assert found == [math] and imports.missing == {"no_such_module"}


def test_unittest_comes_with_its_cases(take):
    _, found = take([], unittest=True)
    assert found == [sys.modules["unittest"], sys.modules["unittest.case"]]


def test_numpy_comes_with_what_its_assertions_are_made_of(take):
    pytest.importorskip("numpy.testing")
    helpers = sys.modules["numpy.testing._private.utils"]
    assert helpers not in take(["math"])[1]
    assert helpers in take(["numpy"])[1]


class Broken(Exception):
    pass


@pytest.fixture
def imports(monkeypatch):
    """The `import` of tests of a program that defines f and g, with what is needed taken before."""
    monkeypatch.setattr(captured, "modules", {})
    program = types.ModuleType("candidate")
    program.__dict__.update(f=len, g=abs)
    monkeypatch.setitem(sys.modules, "candidate", program)

    def broken(what):
        raise Broken(what)

    made = Imports(lambda: 7, lambda: "cases were run", broken)
    made.names, made.program = ["candidate", "solution"], program.__dict__
    made.take(["json", "os.path", "no_such_module", "unittest.mock", "importlib"], [], True, False)
    return made


def test_the_program_is_what_any_of_its_names_imports(imports):
    program = sys.modules["candidate"]
    for name, wanted in (("solution", ()), ("candidate", ("f",)), ("solution.part", ("f",)), ("solution", ("*",))):
        assert imports(name, fromlist=wanted) is program


def test_names_that_a_missing_module_lacks_too_are_the_tests_error(imports):
    program = sys.modules["candidate"]
    for wanted in (("f",), ("f", "g"), ("*",)):
        assert imports("no_such_module", fromlist=wanted) is program
    for wanted in ((), None, ("f", "h"), ("h",)):
        with pytest.raises(TestsMissing, match="no_such_module"):
            imports("no_such_module", fromlist=wanted)
    with pytest.raises(ModuleNotFoundError):
        imports("missing_too", fromlist=("f",))


def test_modules_are_the_interpreters_and_a_changed_one_is_reported(imports, monkeypatch):
    assert imports("json") is json and imports("os.path", fromlist=("join",)) is os.path and imports("os.path") is os
    assert imports("math") is math, "also one that was not foreseen"
    space = {"__name__": "json.x", "__package__": "json"}
    assert imports("decoder", space, None, ("JSONDecoder",), 1) is json.decoder
    for name in ("json", "os"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, types.ModuleType(name))
            with pytest.raises(Broken, match=f"the module {name} to be another"):
                imports("os.path" if name == "os" else name)


def test_pytest_is_ours(imports):
    module = imports("pytest")
    assert module is not pytest and module.main([]) == 7
    assert module.importorskip("json") is json and module.importorskip("unittest").main() == "cases were run"


def test_unittest_runs_the_cases_of_the_tests_and_matches_by_their_own_any(imports):
    own, mock = imports("unittest", fromlist=("main",)), imports("unittest.mock", fromlist=("ANY",))
    assert own.main(verbosity=2) == "cases were run" and own.TestCase is unittest.TestCase
    assert mock.ANY is matchers.ANY and mock.patch is unittest.mock.patch and own.mock is mock
    assert imports("unittest.mock") is own, "without `from` it is the package"
    assert imports("unittest.case", fromlist=("TestCase",)) is unittest.case
    assert imports.own(unittest) is own and imports.own(unittest.mock) is mock
    assert imports.own(json) is json and imports.own(None) is None


def test_import_module_gives_what_import_gives(imports):
    ours = imports("importlib")
    assert ours is not importlib and ours is imports("importlib") and ours.reload is importlib.reload
    assert ours.import_module("solution") is sys.modules["candidate"]
    assert ours.import_module("json.decoder") is json.decoder
    assert ours.import_module(".mock", "unittest").ANY is matchers.ANY
    assert imports("importlib.util", fromlist=("find_spec",)) is importlib.util
    assert imports("importlib.util") is ours


def test_unittest_is_plain_where_tests_do_not_mock(monkeypatch):
    monkeypatch.setattr(captured, "modules", {})
    made = Imports(lambda: 7, lambda: "run", print)
    made.take(["unittest"], [], True, False)
    assert made("unittest") is unittest and made("unittest", fromlist=("TestCase",)) is unittest
    assert made("unittest", fromlist=("TestCase", "main")).main() == "run"


def test_libraries_that_the_program_imports_are_loaded_before_it(take, monkeypatch):
    loaded = []
    monkeypatch.setattr("evoltune.sandbox.same_process.importing.importlib.import_module", loaded.append)
    take([], libraries=["sympy", "numpy"])
    assert loaded == ["sympy", "numpy"]


def test_asyncio_is_taken_where_tests_are_coroutines(monkeypatch):
    monkeypatch.setattr(captured, "modules", {})
    monkeypatch.setattr(captured, "run_coroutine", [])
    Imports(lambda: 0, lambda: None, print).take([], [], False, True)
    assert captured.run_coroutine == [sys.modules["asyncio"].run] and "unittest" not in captured.modules
