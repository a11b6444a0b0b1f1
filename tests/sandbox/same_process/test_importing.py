"""What the tests of a job import, taken before the program runs."""

import math
import sys

import pytest

from evoltune.sandbox.same_process import captured
from evoltune.sandbox.same_process.importing import Imports


@pytest.fixture
def take(monkeypatch):
    """take(names, **more): the modules that are watched where tests import these names."""
    monkeypatch.setattr(captured, "modules", {})
    imports = Imports(lambda: 0, lambda: None, print)

    def taken(names, program="", unittest=False):
        return imports, imports.take(names, {"modules": ["candidate"], "program": program}, unittest, False)

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
