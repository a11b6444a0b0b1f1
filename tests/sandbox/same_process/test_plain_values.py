"""What a value is worth beside the built-in values that tests expect, whatever its class says."""

import datetime
import functools
import pathlib
import sys
import types
import weakref
from collections import Counter, OrderedDict, UserDict, UserList, UserString, defaultdict, deque, namedtuple
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from unittest.mock import ANY, Mock, call

import pytest

from evoltune.sandbox.same_process import private

COMPARING = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")
_LIES = "__eq__ __ne__ __lt__ __iter__ __getitem__ __len__ __pos__ __add__ __str__ __int__ __float__ __index__ __contains__ items keys values copy replace isoformat".split()


@pytest.fixture
def plain_values():
    """A copy of the module, with `comparing.equal` as what compares and registers of this test's own."""
    return private.load("evoltune.sandbox.same_process.comparing").plain_values


def liar(kind):
    """A subclass of a built-in type that lies wherever Python code can."""
    return type("Liar", (kind,), {name: lambda self, *args: 99 for name in _LIES if hasattr(kind, name)} | {"__hash__": lambda self: 0})  # fmt: skip


class Whole(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


class Free:
    """A class of the program's with a rule of its own, and no built-in value."""

    def __eq__(self, other):
        return NotImplemented

    __hash__ = None


WEST = datetime.timezone(datetime.timedelta(hours=-3))
VALUES = [
    (int, 7), (int, -(10**30)), (float, 2.5), (complex, 1 - 2j), (str, "text"), (str, ""), (bytes, b"ab"), (bytearray, b"ab"), (Decimal, Decimal("1.50")),
    (list, [1, [2]]), (tuple, (1, (2,))), (deque, deque([1, 2])), (dict, {1: [2], "a": None}), (OrderedDict, OrderedDict([(2, 1), (1, 2)])), (set, {1, 2}), (frozenset, frozenset({1, 2})),
    (Fraction, Fraction(7, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), VALUES)
def test_an_instance_of_a_subclass_is_the_built_in_value_in_it(plain_values, kind, value):
    found = plain_values.pictured(liar(kind)(value))
    assert type(found) is kind and found == value and repr(found) == repr(kind(value))


@pytest.mark.parametrize(
    "value",
    [
        datetime.timedelta(3, 5, 7), datetime.datetime(2020, 2, 29, 23, 58, 57, 6, WEST), datetime.datetime(2020, 1, 2, 3, 4, 5, fold=1), datetime.date(2020, 2, 29), datetime.time(1, 2, 3, 4, WEST), datetime.time(5),
    ],
)  # fmt: skip
def test_a_moment_of_a_subclass_keeps_all_its_fields(plain_values, value):
    kind = type(value)
    names = "days seconds microseconds year month day hour minute second microsecond tzinfo".split()
    made = liar(kind)(**{n: getattr(value, n) for n in names if hasattr(value, n)}, **({"fold": 1} if getattr(value, "fold", 0) else {}))  # fmt: skip
    found = plain_values.pictured(made)
    assert type(found) is kind and found == value and repr(found) == repr(value)


@pytest.mark.parametrize(
    ("kind", "wrap"),
    [
        (list, lambda v: [0, v]), (tuple, lambda v: (v, 0)), (deque, lambda v: deque([v])), (dict, lambda v: {1: v}), (dict, lambda v: {v: 1}), (OrderedDict, lambda v: OrderedDict({1: v})),
        (dict, lambda v: defaultdict(list, {1: v})), (set, lambda v: {v}), (frozenset, lambda v: frozenset({v})), (list, lambda v: UserList([v])), (dict, lambda v: UserDict({1: v})),
        (dict, lambda v: types.MappingProxyType({1: v})), (Counter, lambda v: Counter({v: 2})), (set, lambda v: {v: 1}.keys()),
    ],
)  # fmt: skip
def test_what_containers_hold_is_pictured_at_every_depth(plain_values, kind, wrap):
    for found in (plain_values.pictured(wrap(Whole(7))), plain_values.pictured([wrap(Whole(7))])[0]):
        assert type(found) is kind and found == kind(wrap(7)) and leaves(found) <= {int}


def leaves(value):
    """The types of what a container holds at the end."""
    if isinstance(value, dict):
        return leaves([*value, *value.values()])
    return set().union(*map(leaves, value)) if hasattr(value, "__iter__") else {type(value)}


def test_plain_values_and_strangers_stay_the_same_objects(plain_values):
    deep = [1]
    for _ in range(400):
        deep = [deep]
    for value in (
        [1, 2],
        {"a": (1,)},
        deep,
        Free(),
        object(),
        len,
        int,
        Decimal(1),
        pathlib.PurePath("a"),
        [Decimal(2)],
    ):
        assert plain_values.pictured(value) is value or plain_values.pictured(value) == value
    same = Free()
    assert plain_values.pictured(same) is same


@dataclass
class Held:
    value: object


Only = namedtuple("Only", "value")
# container -> (how it holds a value, how many levels it counts for)
NESTING = {
    "list": (lambda v: [v], 1), "tuple": (lambda v: (v,), 1), "deque": (lambda v: deque([v]), 1), "dict": (lambda v: {1: v}, 1), "OrderedDict": (lambda v: OrderedDict({1: v}), 1), "defaultdict": (lambda v: defaultdict(int, {1: v}), 1),
    "keys": (lambda v: {v: 1}, 1), "set": (lambda v: {v}, 1), "frozenset": (lambda v: frozenset({v}), 1), "Counter": (lambda v: Counter([v]), 1), "keys of a mapping": (lambda v: UserDict({v: 1}), 1), "UserDict": (lambda v: UserDict({1: v}), 1),
    "UserList": (lambda v: UserList([v]), 2), "Set": (lambda v: Items([v]), 1), "SimpleNamespace": (lambda v: types.SimpleNamespace(a=v), 1), "mappingproxy": (lambda v: types.MappingProxyType({1: v}), 2),
    "slice": (lambda v: slice(v, 1), 1), "dataclass": (Held, 1), "named tuple": (Only, 1), "a call": (call, 1), "a call's keywords": (lambda v: call(a=v), 1),
}  # fmt: skip


def nested(wrap, levels, leaf):
    value = leaf
    for _ in range(levels):
        value = wrap(value)
    return value


def in_list(value):
    return [value]


def in_tuple(value):
    return (value,)


@pytest.mark.parametrize("name", NESTING)
def test_each_container_counts_for_its_levels_wherever_it_stands(plain_values, monkeypatch, name):
    monkeypatch.setattr(plain_values, "MAX_DEPTH", 20)
    plain_values.named_classes.add(Held)
    wrap, levels = NESTING[name]
    for outside in (0, 5):
        left = 20 - levels - outside
        assert plain_values.pictured(nested(in_list, outside, wrap(nested(in_tuple, left, Whole(7))))) is not None
        with pytest.raises(RecursionError):
            plain_values.pictured(nested(in_list, outside, wrap(nested(in_tuple, left + 1, Whole(7)))))


@pytest.mark.parametrize("name", ["dict", "OrderedDict", "defaultdict", "deque", "keys", "set", "frozenset", "Counter", "named tuple"])  # fmt: skip
def test_lists_are_plain_at_any_depth_and_other_containers_to_the_limit(plain_values, monkeypatch, name):
    monkeypatch.setattr(plain_values, "MAX_DEPTH", 20)
    wrap, _ = NESTING[name]
    for outside, levels, plain in ((0, 19, True), (0, 20, False), (5, 14, True), (5, 15, False)):
        assert plain_values.is_plain(nested(in_list, outside, wrap(nested(Only, levels, frozenset({1}))))) is plain
    assert plain_values.is_plain([wrap(0), nested(in_list, 5000, 1)])


def test_three_hundred_levels_are_looked_into_whatever_the_interpreters_limit(plain_values):
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    try:
        assert plain_values.pictured(nested(in_list, 300, Whole(7)))
        with pytest.raises(RecursionError):
            plain_values.pictured(nested(in_list, 301, Whole(7)))
    finally:
        sys.setrecursionlimit(before)


def test_classes_that_the_tests_name_stay_and_their_fields_are_pictured(plain_values):
    Point = namedtuple("Point", "x y")

    @dataclass
    class Held:
        first: object
        rest: object = field(default=0)

    plain_values.named_classes |= {Whole, Held}
    seven = Whole(7)
    assert plain_values.pictured(seven) is seven and plain_values.pictured([seven])[0] is seven
    sub = type("Sub", (Whole,), {})(8)
    assert plain_values.pictured(sub) is sub and plain_values.is_named(type(sub)) and not plain_values.is_named(int)
    plain_values.named_classes.discard(Whole)
    plain = Held(1, [2])
    assert plain_values.pictured(plain) is plain
    held = Held(seven, [seven])
    found = plain_values.pictured(held)
    assert type(found) is Held and (type(found.first), type(found.rest[0])) == (int, int) and found.first == 7
    assert held.first is seven and held.rest[0] is seven, "the object itself is left alone"
    point = plain_values.pictured(Point(seven, 1))
    assert tuple in type(point).__mro__ and tuple(map(type, point)) == (int, int) and (point[0], point[1]) == (7, 1)
    free = plain_values.pictured(Held(Free(), 1))
    assert type(free.first) is plain_values.Shown


def test_a_class_is_named_where_tests_use_it_as_one(plain_values):
    class Box: ...

    class small: ...

    class _Own: ...

    program = {"Box": Box, "small": small, "_Own": _Own, "other": small, "f": len, "X": 3, "int": Box, "Hidden": Free}
    plain_values.name_classes(program, {"Box", "_Own", "f", "X", "int", "absent"}, {"small"})
    assert plain_values.named_classes == {Box, _Own}
    plain_values.name_classes(program, {"small"}, {"Hidden"})
    assert plain_values.named_classes == {Box, _Own}, "what is only called may be a function"
    plain_values.name_classes(program, {"small"}, {"small"})
    assert plain_values.named_classes == {Box, _Own, small}


@pytest.mark.parametrize("name", COMPARING)
def test_an_object_whose_own_methods_compare_is_opaque(plain_values, name):
    own = type("Own", (), {name: lambda self, other: True})
    assert plain_values.is_opaque(own()) and plain_values.is_opaque(type("Sub", (own,), {})())
    assert plain_values.is_opaque(type("Whole", (int,), {name: lambda self, other: True})(3))
    plain_values.named_classes.add(own)
    assert not plain_values.is_opaque(own()) and not plain_values.is_opaque(type("Sub", (own,), {})())


def test_an_object_that_compares_by_the_interpreters_or_a_librarys_methods_is_not_opaque(plain_values):
    class Plain: ...

    for value in (
        Plain(),
        3,
        [Free()],
        {1: Free()},
        Counter(),
        int,
        Plain,
        UserDict(),
        pathlib.PurePath("a"),
        Fraction(1),
        object(),
    ):
        assert not plain_values.is_opaque(value), value
    borrowed = type("Borrowed", (list,), {"__eq__": list.__contains__})
    assert plain_values.is_opaque(borrowed()), "a method of the interpreter's under another name"
    assert not plain_values.is_opaque(type("Same", (list,), {"__eq__": list.__eq__})())
    mapping = type("Borrowed", (UserDict,), {"__eq__": UserDict.__contains__})
    assert plain_values.is_opaque(mapping()) and plain_values.has_programs_rule(mapping())
    assert plain_values.is_opaque(type("Part", (), {"__eq__": functools.partial(max)})()), "what is no function at all"
    referent = Plain()
    assert plain_values.is_opaque(weakref.proxy(referent)) and plain_values.is_opaque(weakref.proxy(lambda: 0, len)) is True  # fmt: skip


def test_copies_of_matchers_are_opaque_unless_the_program_has_their_class_from_the_tests(plain_values):
    matchers = private.load("evoltune.sandbox.same_process.comparing")
    own = matchers.is_matcher.__globals__["ANY"]
    values = matchers.plain_values
    stray = type(own)()
    assert values.is_opaque(stray) and not values.is_opaque(own)
    values.exported.add(type(own))
    assert not values.is_opaque(stray)


def test_rules_of_containers_and_of_classes_are_told_by_where_their_code_is(plain_values):
    own = type("Bag", (), {"__contains__": lambda self, item: True})
    assert (
        not plain_values.has_own_rule(own()) and not plain_values.has_own_rule([1]) and not plain_values.has_own_rule(3)
    )
    assert plain_values.has_own_rule(UserDict()) and plain_values.has_own_rule(UserList())
    assert plain_values.has_rule(Free()) and plain_values.has_programs_rule(Free())
    assert plain_values.has_rule(UserList()) and not plain_values.has_programs_rule(UserList())
    for value in (3, [1], object(), own()):
        assert not plain_values.has_rule(value) and not plain_values.has_programs_rule(value)


ARITHMETIC = {
    "-": "sub", "/": "truediv", "+": "add", "*": "mul", "//": "floordiv", "%": "mod", "**": "pow", "@": "matmul", "&": "and", "|": "or", "^": "xor", "<<": "lshift", ">>": "rshift",
}  # fmt: skip


@pytest.mark.parametrize("symbol", ARITHMETIC)
def test_a_class_computes_where_its_own_method_does(plain_values, symbol):
    for prefix in ("", "r", "i"):
        own = type("Own", (), {f"__{prefix}{ARITHMETIC[symbol]}__": lambda self, other: 0})
        for written in (symbol, f"{symbol}="):
            assert plain_values.computes(own(), written)
            assert not plain_values.computes(3, written) and not plain_values.computes(object(), written)
        for other in ARITHMETIC.keys() - {symbol}:
            assert not plain_values.computes(own(), other)
        assert not plain_values.computes(own(), "==")
        plain_values.named_classes.add(own)
        assert not plain_values.computes(own(), symbol)


def test_what_equals_anything_is_found_but_a_matcher_of_the_tests(plain_values):
    class Raising:
        def __eq__(self, other):
            raise KeyError

    taken = private.load("evoltune.sandbox.same_process.comparing")
    own = taken.is_matcher.__globals__["ANY"]
    assert not taken.plain_values.equals_anything(own)
    for value, found in ((ANY, True), (Whole(3), True), (Raising(), False), (Free(), False), (3, False), ([ANY], False), (object(), False)):  # fmt: skip
        assert plain_values.equals_anything(value) is found, value


def test_a_library_is_shown_objects_that_compare_as_tests_do(plain_values):
    class Yes:
        def __eq__(self, other):
            return True

        __hash__ = None

    assert plain_values.shown(3) == 3 and type(plain_values.shown(Whole(3))) is int
    one = Yes()
    for wrap in (lambda v: v, lambda v: [1, v], lambda v: (v, [v]), lambda v: {1: v}, lambda v: {1: [v]}):
        shown = plain_values.shown(wrap(one))
        assert type(shown) is (plain_values.Shown if wrap(1) == 1 else type(wrap(one)))
        assert shown == wrap(one) and shown != wrap(5) and shown != wrap("x")
        free = Free()
        assert plain_values.shown(wrap(free)) == plain_values.shown(wrap(free)) != plain_values.shown(wrap(Free()))
    with pytest.raises(TypeError):
        hash(plain_values.shown(one))


class Pairs(Mapping):
    def __init__(self, **pairs):
        self.pairs = pairs

    def __getitem__(self, key):
        return self.pairs[key]

    def __iter__(self):
        return iter(self.pairs)

    def __len__(self):
        return len(self.pairs)


class Items(Set):
    def __init__(self, items):
        self.all = [*items]

    def __contains__(self, item):
        return item in self.all

    def __iter__(self):
        return iter(self.all)

    def __len__(self):
        return len(self.all)


def test_what_a_library_compares_is_what_it_holds(plain_values):
    seven = Whole(7)
    found = plain_values.pictured(Pairs(a=seven))
    assert type(found) is dict and found == {"a": 7} and type(found["a"]) is int
    found = plain_values.pictured(Items([seven]))
    assert type(found) is set and [*map(type, found)] == [int]
    assert type(plain_values.pictured(UserString("ab"))) is str
    assert type(plain_values.pictured(UserList([seven]))[0]) is int
    path = plain_values.pictured(pathlib.PurePosixPath("a", "b"))
    assert type(path) is pathlib.PurePosixPath and path == pathlib.PurePosixPath("a/b")
    space = plain_values.pictured(types.SimpleNamespace(a=seven, b=Free()))
    assert type(space) is types.SimpleNamespace and type(space.a) is int and type(space.b) is plain_values.Shown
    part = plain_values.pictured(slice(seven, Free(), 3))
    assert (type(part.start), type(part.stop), part.step) == (int, plain_values.Shown, 3)


def test_calls_that_a_mock_remembers_are_pictured(plain_values):
    mock = Mock()
    mock(Whole(7), [Whole(8)], key=Whole(9))
    found = plain_values.pictured(mock.call_args)
    assert type(found) is type(mock.call_args) and found == call(7, [8], key=9) and found != call(7, [8], key=10)
    args, named = found
    assert (type(args[0]), type(args[1][0]), type(named["key"])) == (int, int, int)


def test_members_of_enumerations_are_their_numbers(plain_values):
    class Colour(IntEnum):
        RED = 1

    found = plain_values.pictured([Colour.RED])
    assert type(found[0]) is int and found == [1]
    plain_values.named_classes.add(Colour)
    assert plain_values.pictured(Colour.RED) is Colour.RED


@pytest.fixture
def numpy(plain_values):
    numpy = pytest.importorskip("numpy")
    plain_values.learn_arrays(numpy)
    return numpy


def test_an_array_without_elements_stands_beside_none_that_has_some(plain_values, numpy):
    none, two, scalar, flat = numpy.array([]), numpy.array([1.0, 2.0]), numpy.float64(1), numpy.array(3)
    beside = {
        "an array": (two, True, True), "a list": ([1], True, True), "a tuple": ((1,), True, True), "an empty list": ([], False, False), "an empty tuple": ((), False, False),
        "an int": (1, False, True), "a float": (0.0, False, True), "a complex": (1j, False, True), "a scalar": (scalar, False, True), "an array of no dimension": (flat, False, True),
        "another empty one": (numpy.zeros((0, 3)), False, False), "a text": ("ab", False, False), "None": (None, False, False), "a set": ({1}, False, False), "a bool": (True, False, False),
    }  # fmt: skip
    for name, (other, alone, scalars) in beside.items():
        for pair in ((none, other), (other, none)):
            assert plain_values.is_empty_beside(*pair) is alone, name
            assert plain_values.is_empty_beside(*pair, scalars=True) is scalars, name
        assert (
            not plain_values.is_empty_beside(two, other, scalars=True)
            or name.startswith(("another", "an empty")) is True
        )
    assert not plain_values.is_empty_beside([], [1], scalars=True) and not plain_values.is_empty_beside(two, two)


def test_arrays_of_objects_hold_pictured_ones_and_those_of_the_programs_class_are_numpys(plain_values, numpy):
    array = numpy.array([Whole(7), Free(), 2], dtype=object)
    first, second, third = plain_values.pictured(array)
    assert type(first) is int and first == 7 and type(second) is object and third == 2
    assert type(array[0]) is Whole, "the array itself is left alone"
    for name in (*COMPARING, "__array_ufunc__", "__array_function__"):
        own = type("Own", (numpy.ndarray,), {name: lambda *args, **more: True})
        found = plain_values.pictured(numpy.array([1, 2]).view(own))
        assert type(found) is numpy.ndarray and found.tolist() == [1, 2], name
    number = type("Number", (numpy.float64,), {"__eq__": lambda self, other: True, "__hash__": None})(2.5)
    assert type(plain_values.pictured(number)) is float and plain_values.pictured(number) == 2.5
    assert plain_values.is_plain(numpy.array([1])) and not plain_values.is_plain(array)
    assert plain_values.is_built_in(numpy.int64(3)) and not plain_values.is_built_in(array)


def test_lists_in_a_circle_are_plain_where_all_in_them_is(plain_values):
    circle = [1]
    circle.append((circle, 2))
    for _ in range(2):
        assert plain_values.is_plain(circle)
        circle[0] = "a"
    circle.append(Whole(3))
    assert not plain_values.is_plain(circle)
