"""The values that cross between judge and candidate: laws of encode, decode and same."""

import json
import math
from collections import deque, namedtuple
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.sandbox import values, wire
from evoltune.sandbox.values import UnencodableError, decode, encode, same, untag

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.fractions()
    | st.dates()
)
HASHABLE = SCALARS.filter(lambda v: v == v) | st.tuples(st.integers(), st.text())
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(HASHABLE, inner) | st.frozensets(HASHABLE)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_decoding_an_encoded_value_gives_it_back_through_json(value):
    text = json.dumps(encode(value))
    assert same(decode(json.loads(text)), value)
    assert same(wire.parse(text, json.JSONDecoder(object_hook=untag)), value)


@given(VALUES)
def test_the_type_survives(value):
    assert type(decode(json.loads(json.dumps(encode(value))))) is type(value)


@given(VALUES)
def test_same_is_reflexive(value):
    assert same(value, value)


@pytest.mark.parametrize("value", [object(), lambda: 0, iter([]), [object()], {"a": print}])
def test_what_is_no_plain_data_is_refused(value):
    with pytest.raises(UnencodableError):
        encode(value)


@pytest.mark.parametrize(
    "form", [{"x": 1}, {"t": [1], "s": []}, {}, {"D": "nonsense"}, {"s": [[1]]}, {"N": [["not a name"], {"t": [1]}]}]
)
def test_what_is_no_tagged_value_raises_an_ordinary_error(form):
    with pytest.raises((ValueError, TypeError, ArithmeticError)):
        decode(form)


def test_a_lying_subclass_arrives_as_its_base():
    class Liar(int):
        def __eq__(self, other):
            return True

        __hash__ = int.__hash__

    got = decode(encode([Liar(3)]))
    assert type(got[0]) is int and got != [4]


@pytest.mark.parametrize(
    "got, expected, atol, equal",
    [
        (1, 1.0, 0, True),
        (0.1 + 0.2, 0.3, 0, False),
        (0.1 + 0.2, 0.3, 1e-6, True),
        ([1.0], (1.0,), 0, False),
        ({"a": [1.0000001]}, {"a": [1.0]}, 1e-6, True),
        (math.nan, math.nan, 0, True),
        (10**400, 1.0, 1e-6, False),
        ("1", 1, 0, False),
        (True, 1, 0, True),
        ([1, 2], [1, 3], 0, False),
        ((1, [2]), (1, [3]), 0, False),
        ([1], [1, 1], 0, False),
        ({"a": [1]}, {"a": [2]}, 0, False),
        ({"a": 1}, {"b": 1}, 0, False),
        ([{1, 2}], [{1, 3}], 0, False),
        ([1, 1], [1], 0, False),
        ([1.0, 2.0], [1.0], 1e-6, False),
        ({"a": 1, "b": 2}, {"a": 1}, 1e-6, False),
        ({"a": 1}, {"a": 1, "b": 2}, 1e-6, False),
        ({"a": 1}, [("a", 1)], 0, False),
        ([], {}, 0, False),
        (1.0000001, 1, 1e-6, True),
        (1, 1.0000001, 1e-6, True),
        (1.1, 1.0, 1e-6, False),
        (1.5, 1, 1e-6, False),
        (1e9, 1e9 + 0.5, 1e-6, True),
        (1.0, 1.0 + 1e-12, 0, False),
        (math.nan, 1.0, 1e-6, False),
        (1.0, math.nan, 1e-6, False),
        ("1", 1.0, 1e-6, False),
        (None, 0.0, 1e-6, False),
        (1.0, "1", 1e-6, False),
        (1.0, True, 0, True),
        ((1.0, [math.nan]), (1, [math.nan]), 0, True),
    ],
)
def test_same_compares_by_type_of_container_and_value_of_number(got, expected, atol, equal):
    assert same(got, expected, atol) is equal


@pytest.mark.parametrize(
    "numbers",
    [
        [*range(2000)], [0.5] * 1500, [n if n % 3 else n / 7 for n in range(3000)], [2**63, *range(1500)], [-(2**63), *range(1500)],
        [float("inf"), -0.0, *range(1200)], [True, *range(1200)],
    ],
)  # fmt: skip
def test_many_numbers_travel_as_bytes_and_come_back_as_they_were(numbers):
    back = decode(json.loads(json.dumps(encode((numbers, tuple(numbers))))))
    assert repr(back) == repr((numbers, tuple(numbers)))


@pytest.mark.parametrize(
    "packed",
    [
        ["AQ==", "", ""],
        ["AQA=", "AAAAAAAAAAA=", ""],
        ["", "AAA=", ""],
        ["x", "y"],
        ["", "", "", ""],
        ["AA==", "AAAAAAAAAAA=", ""],
        ["AQE=", "AAAAAAAAAAA=", "AAAAAAAAAAA="],
    ],
)
def test_packed_numbers_that_are_none_are_refused(packed):
    with pytest.raises((ValueError, TypeError)):
        decode({"A": packed})


def test_long_lists_of_numbers_travel_as_bytes_and_huge_integers_as_text():
    for numbers in ([*range(2000)], [0.5] * 2000, [1, 0.5] * 1000, [-(2**63), 2**63 - 1] * 600):
        assert [*encode(numbers)] == ["A"] and decode(encode(numbers)) == numbers
    for numbers in (
        [2**63] * 2000,
        [2**63 + 1] * 2000,
        [2**70, *range(1500)],
        [-(2**70), *range(1500)],
        [-(2**63) - 1] * 2000,
        [True] * 2000,
        ["x", 1] * 600,
    ):
        assert encode(numbers) == numbers
    for huge in (10**5000, -(10**5000)):
        assert (
            encode(huge) == {"i": hex(huge)}
            and encode([huge, 1]) == [{"i": hex(huge)}, 1]
            and decode(encode(huge)) == huge
        )


@pytest.mark.parametrize(
    "wrap",
    [lambda v: [v], lambda v: (v,), lambda v: {1: v}, lambda v: [(v,)], lambda v: deque([v]), lambda v: [v, "x", {2}]],
)
def test_what_is_nested_too_deep_has_no_plain_form(wrap):
    shallow = deep = {1}
    for _ in range(90):
        shallow = wrap(shallow)
    assert decode(encode(shallow)) == shallow
    for _ in range(350):
        deep = wrap(deep)
    with pytest.raises(UnencodableError, match="nested deeper than 200"):
        encode(deep)


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {1: v}, lambda v: deque([v])])
def test_two_hundred_levels_have_a_plain_form_and_one_more_has_none(wrap):
    value = {1}
    for _ in range(200):
        value = wrap(value)
    assert encode(value) == json.loads(json.dumps(encode(value)))
    with pytest.raises(UnencodableError, match="nested deeper than 200"):
        encode(wrap(value))


def test_a_tuple_with_names_takes_two_levels():
    deep = 1
    for _ in range(100):
        deep = PAIR(deep, 1)
    assert [*encode(deep)] == ["N"]
    for wrapped in (PAIR(deep, 1), PAIR([deep], 1)):
        with pytest.raises(UnencodableError, match="nested deeper than 200"):
            encode(wrapped)


def test_integers_are_numbers_as_long_as_json_may_read_them():
    limit = 2**13_000
    for value in (limit - 1, 1 - limit):
        assert encode(value) == value and encode([value]) == [value]
    for value in (limit, -limit):
        assert encode(value) == {"i": hex(value)} and encode([value, 1]) == [{"i": hex(value)}, 1]
    for size, packed in ((values.PACKED, False), (values.PACKED + 1, True)):
        assert isinstance(encode([1] * size), dict) is packed is isinstance(encode([0.5] * size), dict)


class Named(tuple):
    _fields = ("a", "b")
    __slots__ = ()


def subclass(base, *args):
    return type("Own", (base,), {"__eq__": lambda self, other: True, "__hash__": object.__hash__})(*args)


PAIR = namedtuple("Pair", "a b")
STANDARD = [
    PAIR(1, {2}), deque([1, (2,)]), {1: 2, 3: 4}.keys(), {1: [2]}.values(), {1: 2}.items(), range(1, 9, 3), range(5, 0, -2), bytearray(b"a\xff"), Decimal("1.50"), Decimal("NaN"), Fraction(10**50, 3), 1 - 2j,
    datetime(2020, 2, 29, 23, 59, 58, 7), datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=-3))), date(1, 1, 1), time(1, 2, 3, 4), timedelta(-1, 5, 7), ..., {(1, 2): {"x": frozenset({3})}}, [[]], ((),), {}, set(),
]  # fmt: skip


@pytest.mark.parametrize("value", STANDARD)
def test_values_of_the_standard_library_come_back_with_their_type(value):
    back = decode(json.loads(json.dumps(encode([value, value]))))
    for got in back:
        assert repr(got) == repr(value).replace("Pair(", "NamedTuple(")
        if not isinstance(value, PAIR):
            assert type(got) is type(value)
        else:
            assert (got.a, got.b) == (1, {2}) and got == value


@pytest.mark.parametrize(
    ("base", "args"),
    [(int, (7,)), (float, (2.5,)), (str, ("x",)), (list, ([1],)), (tuple, ((1,),)), (dict, ({1: 2},)), (set, ({1},)), (frozenset, ({1},)), (bytes, (b"x",))],
)  # fmt: skip
def test_a_subclass_counts_as_its_base_unless_exactness_is_asked_for(base, args):
    value = subclass(base, *args)
    got = decode(json.loads(json.dumps(encode({1: value}))))[1]
    assert type(got) is base and got == base(*args)

    def other(found):
        return {"i": hex(id(found))}

    assert encode([value], other) == encode([base(*args)])
    other.exact = True
    assert encode([value], other) == [{"i": hex(id(value))}]


def test_a_tuple_with_names_keeps_them_at_every_depth_and_is_not_nested_for_ever():
    deep = 1
    for _ in range(60):
        deep = Named((deep, 2))
    got = decode(json.loads(json.dumps(encode(deep))))
    for _ in range(60):
        assert (got._fields, got.b) == (("a", "b"), 2)
        got = got.a
    assert got == 1
    for _ in range(300):
        deep = PAIR(deep, 1)
    with pytest.raises(UnencodableError, match="nested deeper"):
        encode(deep)


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: (v, "x"), lambda v: {"a": v}, lambda v: {v}])
def test_huge_numbers_are_the_same_in_every_container(wrap):
    for value in (2**12_999, 2**13_000, -(2**13_000), 10**13_000, -(10**13_000), float("inf"), 1.0):
        assert decode(json.loads(json.dumps(encode(wrap(value))))) == wrap(value)
    assert math.copysign(1, decode(encode([-0.0]))[0]) == -1


def test_a_fraction_of_huge_numbers_comes_back():
    huge = Fraction(3**20_000, 2**20_000)
    assert decode(json.loads(json.dumps(encode([huge])))) == [huge]
