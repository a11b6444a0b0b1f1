"""Tests that are read and compiled before there is a program: the same code when they arrive."""

import ast

import pytest

from evoltune.sandbox.same_process import preparing, rewriting

SOURCES = (
    "import unittest, os.path\nfrom json import dumps\nasync def test_a():\n    assert f(1) == 2\n",
    "try:\n    assert f(2)\nexcept AssertionError:\n    raise\nx = 3\n",
)


def known(sources, keep=frozenset()):
    return preparing.restored(preparing.prepared(sources, keep))


def test_what_is_prepared_comes_back_as_it_was():
    found = known(SOURCES)
    assert found["imports"] == ["unittest", "os.path", "json"] and found["sources"] == SOURCES
    assert found["asynchronous"] and found["catches_failures"] and {"f", "x"} <= found["names"]
    assert found["defined"] == [{"test_a"}, set()]
    first, second = found["parts"]
    assert first.lines == {1: 4} and second.lines == {2: 2}  # numbers go on from part to part
    own = rewriting.marked(ast.parse(SOURCES[1]), frozenset(), 1)
    assert (second.code, second.straight, second.lines, second.once) == (own.code, own.straight, own.lines, own.once)
    assert second.once == {"x"}


@pytest.mark.parametrize("source", ["assert f(1) ==", "x = \0", "return 1", "(" * 300 + ")" * 300])
def test_tests_that_do_not_compile_say_so(source):
    assert known((source,))["error"].startswith("the tests do not compile: ")


def test_a_name_that_means_the_programs_own_stays_a_name():
    (plain,), (kept,) = (known(("assert sum([1]) == 1",), keep)["parts"] for keep in (frozenset(), frozenset({"sum"})))
    assert "sum" not in plain.code.co_names and "sum" in kept.code.co_names
