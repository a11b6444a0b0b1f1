"""Private copies: what a program does to modules and built-ins does not reach them."""

import builtins
import sys
import unittest

import pytest

from evoltune.sandbox.same_process import captured, comparing, private


def test_a_copy_shares_nothing_that_a_program_can_name(monkeypatch):
    copy = private.load("evoltune.sandbox.same_process.unittest_assertions")
    assert copy.comparing is not comparing and copy is not sys.modules.get(copy.__name__)
    assert copy.expect.__module__ == "evoltune.sandbox.same_process.expectations"
    assert copy.equal is copy.comparing.equal and copy.comparing.operator is sys.modules["operator"]
    monkeypatch.setattr(builtins, "abs", lambda x: 0)
    monkeypatch.setattr(comparing, "equal", lambda *a: True)
    with pytest.raises(AssertionError):
        copy._almost_equal(None, 1, 2)
    running = private.load("evoltune.sandbox.same_process.running")
    assert running.bindings.comparing is running.collecting.pytest_api.comparing is not copy.comparing
    assert running.collecting.captured is running.captured and running.Skipped is running.collecting.pytest_api.Skipped


def test_modules_are_kept_with_the_packages_round_them(monkeypatch):
    monkeypatch.setattr(captured, "modules", {})
    monkeypatch.setattr(captured, "run_coroutine", [])
    assert not isinstance(unittest.SkipTest(), captured.of_unittest("SkipTest"))
    import xml.etree.ElementTree as tree

    assert captured.take("xml.etree.ElementTree") is tree
    assert captured.modules == {name: sys.modules[name] for name in ("xml", "xml.etree", "xml.etree.ElementTree")}
    captured.take("unittest")
    assert captured.of_unittest("SkipTest") is unittest.SkipTest
    captured.take_asyncio()
    assert captured.run_coroutine == [sys.modules["asyncio"].run]
    with pytest.raises(ModuleNotFoundError):
        captured.take("no_such_module")
