"""The functions that rewritten tests hold: what they count, and what they make of a program's objects."""

import math
import operator
import types
import unittest

import pytest

from evoltune.sandbox.same_process import private


class Liar:
    """Equals, precedes and holds whatever it is asked about."""

    __hash__ = None

    def __eq__(self, other):
        return True

    def __lt__(self, other):
        return True

    def __contains__(self, other):
        return True


class Whole(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__

    def __abs__(self):
        return 0

    def __round__(self, digits=None):
        return 0

    def __radd__(self, other):
        return 0


@pytest.fixture
def bindings():
    return private.load("evoltune.sandbox.same_process.bindings")


@pytest.fixture
def held(bindings):
    """(the functions by their marks, the state, what `verify` was asked)."""
    state, asked = bindings.monitor.State(), []
    judge = bindings.Judge(
        state,
        lambda: asked.append(1),
        lambda name: f"looked up {name}",
        lambda: "cases were run",
        lambda module: module,
    )
    return bindings.bound(judge), state, asked


def test_an_assertion_that_holds_counts_and_one_that_does_not_is_failed(held):
    own, state, asked = held
    assert own["check"](3, [0]) is True and own["check"](3, 1) is True and state.counts == {3: 2} and len(asked) == 2
    assert own["check"](4, []) is False and (state.failed, state.counts, len(asked)) == (1, {3: 2}, 2)
    assert own["gate"](5, None) is None and own["gate"](5, "x") == "x" and state.counts[5] == 2
    own["reached"](6)
    assert state.counts[6] == 1 and len(asked) == 5


@pytest.mark.parametrize("value", [0, None, False, Whole(0)])
def test_an_exit_without_a_fault_counts(held, value):
    own, state, _ = held
    assert own["status"](2, value) is value and state.counts == {2: 1}


@pytest.mark.parametrize(
    ("value", "code"), [(1, 1), ("wrong", "wrong"), ("", 1), (Whole(2), 2), (0.0, 1), (True, True)]
)
def test_an_exit_with_a_fault_is_raised(held, value, code):
    own, state, _ = held
    with pytest.raises(SystemExit) as info:
        own["status"](2, value)
    assert int.__eq__(info.value.code, code) if isinstance(code, int) else info.value.code == code
    assert state.counts == {}


def test_an_expected_exception_must_have_been_met_since_the_last(held, bindings):
    own, state, _ = held
    bindings.expectations.met.append(None)
    own["expected"](1)
    assert state.counts == {1: 1}
    with pytest.raises(PermissionError, match="expected exception"):
        own["expected"](1)
    assert state.broken == "an expected exception to be left out" and state.counts == {1: 1}


def test_functions_of_the_tests_get_what_is_given_and_those_of_libraries_built_in_values(held):
    own, state, asked = held
    value = Whole(7)
    assert own["function"](1, lambda *args, **named: (args, named), value, key=value) == ((value,), {"key": value})
    import fnmatch
    import textwrap

    class Text(str):
        def __eq__(self, other):
            return True

        __hash__ = str.__hash__

        def splitlines(self, keep=False):
            return ["lie"]

    assert own["function"](1, textwrap.indent, Text("a\nb"), prefix=Text("> ")) == "> a\n> b"
    assert own["function"](2, fnmatch.fnmatch, Text("a.py"), "*.py") is True
    assert state.counts == {1: 2, 2: 1} and len(asked) == 3


def test_built_in_functions_meet_the_numbers_that_objects_are(held):
    own, _, _ = held
    value = Whole(-7)
    assert own["abs"](value) == 7 and own["round"](value, -1) == -10 and own["pow"](value, 2) == 49
    assert own["divmod"](value, 2) == (-4, 1) and own["round"](2.567, ndigits=1) == 2.6
    assert own["sum"]([value, value]) == -14 and own["sum"]([1, 2]) == 3 and own["sum"]([[1], [2]], []) == [1, 2]
    assert own["sum"](iter([value, 1]), start=10) == 4 and own["len"] is len


def test_a_stop_of_the_function_is_not_the_end_of_the_items(held):
    own, _, _ = held

    def stops(*args):
        raise StopIteration

    for call in (lambda: own["map()"](stops, [1, 2]), lambda: own["filter()"](stops, [1])):
        with pytest.raises(RuntimeError, match="StopIteration"):
            list(call())
    assert list(own["map()"](operator.add, [1, 2], [3, 4])) == [4, 6] and list(own["map()"](str, [1])) == ["1"]
    assert list(own["filter()"](None, [0, 1, "", "a"])) == [1, "a"]


def test_a_chain_ends_with_what_decides_it(held):
    own, _, _ = held
    evaluated = []

    def later(value):
        return lambda: evaluated.append(value) or value

    assert own["chain"]("< <", 1, later(2), later(3)) is True and evaluated == [2, 3]
    assert own["chain"]("< <", 1, later(0), later(3)) is False and evaluated == [2, 3, 0]
    assert own["chain"]("in not-in", 1, later([1]), later([[2]])) is True
    assert own["chain"]("==", Liar(), later(3)) is False


def test_functions_of_the_operator_module_compare_as_tests_do(held):
    method = held[0]["method"]
    for name, args in (("eq", (Liar(), 3)), ("eq", (3, Liar())), ("__eq__", (3, Liar())), ("contains", (Liar(), 3))):
        assert not method(0, operator, name, *args)
    for name in ("contains", "__contains__"):
        assert method(0, operator, name, [1, 2], 2) is True and method(0, operator, name, [1, 2], 3) is False
    assert (
        method(0, operator, "ne", Liar(), 3)
        and method(0, operator, "lt", 2, 3)
        and method(0, operator, "add", 2, 3) == 5
    )
    with pytest.raises(TypeError):
        method(0, operator, "lt", Liar(), 3)
    shop = types.ModuleType("shop")
    shop.eq = lambda a, b: "its own"
    assert method(0, shop, "eq", 1, 2) == "its own"


def test_calls_of_assertions_count_and_those_that_open_a_context_do_not(held, bindings):
    own, state, asked = held
    bindings.captured.modules["unittest"] = unittest
    case = unittest.TestCase()
    own["method"](1, case, "assertEqual", 2, 2)
    assert state.counts == {1: 1}
    with pytest.raises(AssertionError):
        own["method"](1, case, "assertEqual", Liar(), 2)
    assert state.counts == {1: 1}
    own["method"](2, case, "assertRaises", ValueError)
    assert state.counts == {1: 1}
    own["method"](2, case, "assertRaises", ValueError, int, "x")
    assert state.counts == {1: 1, 2: 1}
    own["method"](0, case, "id")
    assert state.counts == {1: 1, 2: 1} and asked
    assert own["method"](0, unittest, "main", argv=["x"]) == "cases were run"


def test_an_assertion_that_the_tests_define_themselves_is_theirs(held, bindings):
    method = held[0]["method"]
    bindings.captured.modules["unittest"] = unittest

    class Base(unittest.TestCase):
        def assertEqual(self, a, b):
            return "theirs"

    class Own(Base): ...

    assert method(1, Own(), "assertEqual", 1, 2) == method(1, Base(), "assertEqual", 1, 2) == "theirs"
    assert bindings._overridden(Own, "assertEqual") and not bindings._overridden(Own, "assertIn")


def test_a_stop_of_a_function_given_to_itertools_is_an_error(held):
    import itertools

    def stops(value):
        raise StopIteration

    for name in ("takewhile", "dropwhile", "filterfalse"):
        with pytest.raises(RuntimeError):
            list(held[0]["method"](0, itertools, name, stops, [1]))
    assert list(held[0]["method"](0, itertools, "chain", [1], [2])) == [1, 2]
    assert held[0]["method"](0, math, "gcd", 4, 6) == 2


def test_the_subject_of_a_match_is_the_value_that_it_is(held):
    matched = held[0]["matched"]
    value = matched(Whole(3))
    assert type(value) is int and value == 3 and matched((1, 2)) == (1, 2)
    assert not operator.eq(matched(Liar()), 3) and matched([1]) == [1]
