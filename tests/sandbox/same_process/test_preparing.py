"""Tests that are read and compiled before there is a program: plain data, and the same code when they arrive."""

import ast
import json

import pytest

from evoltune.sandbox.same_process import preparing, rewriting

SOURCES = (
    "import unittest, os.path\nfrom json import dumps\nasync def test_a():\n    assert f(1) == 2\n",
    "try:\n    assert f(2)\nexcept AssertionError:\n    raise\nx = 3\n",
)


def test_what_is_prepared_is_json_and_comes_back_as_it_was():
    known = json.loads(json.dumps(preparing.prepared(SOURCES, frozenset())))
    assert known["imports"] == ["unittest", "os.path", "json"]
    assert known["asynchronous"] and known["catches_failures"] and {"f", "x"} <= {*known["names"]}
    first, second = map(preparing.restored, known["parts"])
    assert first.lines == {1: 4} and second.lines == {2: 2}  # numbers go on from part to part
    own = rewriting.marked(ast.parse(SOURCES[1]), frozenset(), 1)
    assert (second.code, second.straight, second.lines, second.once) == (own.code, own.straight, own.lines, own.once)
    assert second.once == {"x"}


@pytest.mark.parametrize("source", ["assert f(1) ==", "x = \0", "return 1", "(" * 300 + ")" * 300])
def test_tests_that_do_not_compile_say_so(source):
    known = preparing.prepared((source,), frozenset())
    assert [*known] == ["error"] and known["error"].startswith("the tests do not compile: ")


def test_a_name_that_means_the_programs_own_stays_a_name():
    (plain,), (kept,) = (
        preparing.prepared(("assert sum([1]) == 1",), keep)["parts"] for keep in (frozenset(), frozenset({"sum"}))
    )
    assert "sum" not in preparing.restored(plain).code.co_names and "sum" in preparing.restored(kept).code.co_names
