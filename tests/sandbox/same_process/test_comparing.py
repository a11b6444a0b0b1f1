"""Comparisons of tests: plain values and honest objects compare as the interpreter compares them, and liars equal nothing."""

import copy
import datetime
import operator
import pathlib
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from unittest.mock import ANY

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoltune.sandbox.same_process import private

OPERATORS = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "in": lambda a, b: a in b, "not in": lambda a, b: a not in b,
}  # fmt: skip
Point = namedtuple("Point", "x y")


@dataclass(frozen=True)
class Box:
    """An honest class: equal by content, unequal to everything else."""

    content: object


@dataclass(frozen=True, order=True)
class Ranked:
    rank: int


class Metres:
    """An honest class that equals numbers, and is ordered and subtracted like one."""

    def __init__(self, n):
        self.n = n

    def _of(self, other):
        return other.n if isinstance(other, Metres) else other if isinstance(other, int | float) else NotImplemented

    def __eq__(self, other):
        return NotImplemented if self._of(other) is NotImplemented else self.n == self._of(other)

    def __lt__(self, other):
        return NotImplemented if self._of(other) is NotImplemented else self.n < self._of(other)

    def __gt__(self, other):
        return NotImplemented if self._of(other) is NotImplemented else self.n > self._of(other)

    def __sub__(self, other):
        return self.n - self._of(other)

    def __rsub__(self, other):
        return self._of(other) - self.n

    def __hash__(self):
        return hash(self.n)


class Bag:
    def __init__(self, *items):
        self.items = items

    def __contains__(self, item):
        return item in self.items


class Colour(Enum):
    RED = 1
    BLUE = 2


@pytest.fixture
def comparing():
    """A copy of the module, whose registers and random numbers are this test's own."""
    module = private.load("evoltune.sandbox.same_process.comparing")
    module.decoys.draw_anew(bytes(15) + b"1")
    module.plain_values.named_classes |= {Ranked, Metres}
    return module


COMPARING = private.load("evoltune.sandbox.same_process.comparing")
COMPARING.decoys.draw_anew(bytes(15) + b"1")
COMPARING.plain_values.named_classes |= {Ranked, Metres}

atoms = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.0, 1.0, 2.5, float("inf"), float("nan")]), st.sampled_from(["", "a", "b", "ab"]),
    st.sampled_from([b"", b"a", 1j, Decimal(1), Decimal("2.5"), Fraction(1), Fraction(5, 2), range(2), range(0), ..., int, str,
                     datetime.date(2020, 1, 1), datetime.timedelta(1), pathlib.PurePath("a"), Colour.RED, Colour.BLUE]),
)  # fmt: skip
objects = st.one_of(
    atoms,
    st.builds(Box, st.integers(0, 1)),
    st.builds(Ranked, st.integers(0, 2)),
    st.builds(Metres, st.integers(-1, 2)),
)


def containers(inner):
    keys = st.one_of(st.integers(0, 2), st.sampled_from(["a", "b"]), st.builds(Box, st.integers(0, 1)))
    items = st.lists(inner, max_size=3)
    pairs = st.dictionaries(keys, inner, max_size=2)
    hashable = st.lists(keys, max_size=3)
    return st.one_of(
        items, items.map(tuple), items.map(deque), hashable.map(set), hashable.map(frozenset), st.builds(Point, inner, inner),
        pairs, pairs.map(OrderedDict), pairs.map(lambda d: defaultdict(list, d)), hashable.map(Counter), pairs.map(dict.keys),
        st.builds(Box, inner), items.map(lambda v: Bag(*v)),
    )  # fmt: skip


values = st.recursive(objects, containers, max_leaves=5)


def outcome(function, *args):
    """What a call gives; where it raises, the type of the exception."""
    try:
        return bool(function(*args))
    except Exception as error:
        return type(error)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(OPERATORS)), values, values, st.booleans())
def test_honest_values_compare_as_the_interpreter_compares_them(symbol, left, right, alike):
    right = left if alike else right
    assert outcome(COMPARING.compare, symbol, left, right) == outcome(OPERATORS[symbol], left, right)


PAIRS = [
    ([Box(1)], [Box(1)]), ([Box(1)], [Box(2)]), ([Box(1)], [Box(1), Box(1)]), ([Box(1)], (Box(1),)), ((Box(1), 2), (Box(1), 2)),
    ({1: Box(1)}, {1: Box(1)}), ({1: Box(1)}, {2: Box(1)}), ({1: Box(1)}, {1: Box(2)}), ({Box(1): 1}, {Box(1): 1}), ({Box(1): 1}, {Box(2): 1}),
    (OrderedDict([(1, Box(1)), (2, Box(2))]), OrderedDict([(2, Box(2)), (1, Box(1))])), ({1: Box(1), 2: 2}, OrderedDict([(2, 2), (1, Box(1))])),
    (OrderedDict([(1, Box(1)), (2, Box(2))]), OrderedDict([(1, Box(1)), (2, Box(2))])), ({Box(1)}, {Box(1)}), ({Box(1)}, {Box(2)}),
    (Counter({Box(1): 1, Box(2): 0}), Counter({Box(1): 1})), (Counter({Box(1): 1}), Counter({Box(1): 2})), (Counter({Box(1): 0}), {Box(1): 0}),
    (defaultdict(int, {1: Box(1)}), {1: Box(1)}), (deque([Box(1)]), deque([Box(1)])), (deque([Box(1)]), [Box(1)]), (Metres(2), 2), (Metres(2), 3),
    (2, Metres(2)), ([Metres(2)], [2]), ([1, [Metres(2)]], [1, [2.0]]), (Point(Box(1), 2), Point(Box(1), 2)), (Point(1, 2), (1, 2)),
    (float("nan"), float("nan")), (Box(1), Box(1)), (Box(1), 1), (frozenset({Box(1)}), {Box(1)}), ({1: 2}.items(), {(1, 2)}),
    (Metres("abc"), 1), (Box([1, 2]), Box([1, 2])), ([], [Box(1)]), ({}, {1: Box(1)}), (b"a", Metres(1)),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_containers_of_honest_objects_are_equal_where_the_interpreter_says_so(comparing, left, right):
    for a, b in ((left, right), (right, left), (left, left)):
        assert bool(comparing.compare("==", a, b)) == (a == b)
        assert bool(comparing.compare("!=", a, b)) == (a != b)
        assert bool(comparing.compare("in", a, [b, 0])) == (a in [b, 0])
        assert bool(comparing.compare("in", a, deque([0, b]))) == (a in deque([0, b]))


def liar(**methods):
    """An instance of a class with these methods."""
    return type("Liar", (), {"__hash__": lambda self: 0, **methods})()


def answering(*answers):
    """A method that gives these answers in turn, the last one for ever; an exception is raised."""
    given = iter(answers)
    last = answers[-1]

    def method(self, other):
        answer = next(given, last)
        if isinstance(answer, type):
            raise answer
        return answer

    return method


LIARS = {
    "everything": lambda: liar(__eq__=lambda s, o: True),
    "everything by an int": lambda: liar(__eq__=lambda s, o: 1),
    "numbers": lambda: liar(__eq__=lambda s, o: isinstance(o, int | float)),
    "small numbers": lambda: liar(__eq__=lambda s, o: type(o) is int and -2000 < o < 2000),
    "texts": lambda: liar(__eq__=lambda s, o: isinstance(o, str)),
    "lists": lambda: liar(__eq__=lambda s, o: isinstance(o, list)),
    "builtins": lambda: liar(
        __eq__=lambda s, o: o is not None and type(o).__module__ == "builtins" and type(o) is not object
    ),
    "then nothing": lambda: liar(__eq__=answering(True, False)),
    "now and then": lambda: liar(__eq__=answering(*[True, False] * 200)),
    "after a while": lambda: liar(__eq__=answering(*[False] * 12, True)),
    "or raises": lambda: liar(__eq__=answering(True, TypeError)),
    "ANY": lambda: ANY,
    "int": lambda: type("I", (int,), {"__eq__": lambda s, o: True, "__hash__": int.__hash__})(7),
    "str": lambda: type("S", (str,), {"__eq__": lambda s, o: True, "__hash__": str.__hash__})("x"),
    "list": lambda: type("L", (list,), {"__eq__": lambda s, o: True})("z"),
    "tuple": lambda: type("T", (tuple,), {"__eq__": lambda s, o: True, "__hash__": tuple.__hash__})("z"),
    "dict": lambda: type("D", (dict,), {"__eq__": lambda s, o: True})(z=1),
}
WANTED = [
    0,
    1,
    5,
    -3,
    10**20,
    2.5,
    "abc",
    "",
    "a" * 40,
    b"abc",
    b"",
    [1, 2],
    [],
    (1,),
    (),
    {"a": 1},
    {},
    {1, 2},
    frozenset({3}),
    True,
    False,
    None,
    1j,
    Decimal(3),
    [[1], "x"],
]


@pytest.mark.parametrize("kind", LIARS)
def test_an_object_that_equals_what_it_is_not_equals_nothing(comparing, kind):
    for wanted in WANTED:
        for left, right in ((LIARS[kind](), wanted), (wanted, LIARS[kind]())):
            assert not comparing.compare("==", left, right), wanted
        for left, right in (
            ([LIARS[kind]()], [wanted]),
            ({1: LIARS[kind]()}, {1: wanted}),
            ((wanted, 1), (LIARS[kind](), 1)),
        ):
            assert not comparing.compare("==", left, right), wanted
        assert not comparing.compare("in", wanted, [LIARS[kind]()])
        assert not comparing.compare("in", LIARS[kind](), [wanted])
        assert comparing.compare("not in", wanted, (LIARS[kind](),))


def test_an_object_that_waits_for_the_last_question_equals_nothing(comparing):
    for wanted in (5, "abc", [1, 2]):
        for questions in range(1, 120):
            waiting = answering(*[False] * questions, True)
            assert not comparing.compare("==", liar(__eq__=waiting), wanted), questions


def test_liars_as_members_and_keys_make_nothing_equal(comparing):
    class Liar(int):
        def __eq__(self, other):
            return True

        def __hash__(self):
            return 3

    liar = Liar(4)
    assert {liar} == {3} and {liar: 1} == {3: 1}, "the interpreter believes it"
    assert not comparing.equal({liar}, {3}) and not comparing.equal({3}, frozenset({liar}))
    assert not comparing.equal({liar: 1}, {3: 1}) and not comparing.equal({3: 1}, {liar: 1})
    assert not comparing.equal({Box(1): liar}, {Box(1): 5}) and not comparing.equal({Box(1): 5}, {Box(1): liar})
    assert not comparing.compare("in", 3, {liar: 1})


def test_that_two_values_do_not_differ_is_believed_only_where_they_are_equal(comparing):
    same = liar(__ne__=lambda s, o: False, __eq__=lambda s, o: True)
    assert comparing.compare("!=", same, 3) and comparing.compare("!=", 3, same)
    assert comparing.compare("!=", Box(1), Box(2)) and not comparing.compare("!=", Box(1), Box(1))


class Rule:
    """An honest container that is no list: what it holds is a rule."""

    def __init__(self, rule):
        self.rule = rule

    def __contains__(self, item):
        return self.rule(item)


@pytest.mark.parametrize(
    ("rule", "held", "other"),
    [
        (lambda n: n % 2 == 0, 4, 5), (lambda n: 0 <= n <= 10, 10, 11), (lambda n: 0 <= n < 10**6, 5, -1), (lambda n: n > 0, 1, 0), (lambda x: x < 2.5, 2.0, 2.5),
        (lambda t: len(t) < 6, "abc", "abcdef"), (str.isalpha, "abc", "ab1"), (lambda t: t.startswith("a"), "ab", "b"), (lambda n: n in (3, 5), 3, 4),
    ],
)  # fmt: skip
def test_a_container_that_is_a_rule_holds_what_it_says(comparing, rule, held, other):
    for _ in range(20):
        assert comparing.compare("in", held, Rule(rule)) is True and comparing.compare("in", other, Rule(rule)) is False


def test_a_container_that_holds_everything_holds_nothing(comparing):
    for always in (True, 1):
        container = liar(__contains__=lambda s, o, answer=always: answer)
        for item in (1, "abc", [1], None, Box(1)):
            assert not comparing.compare("in", item, container) and comparing.compare("not in", item, container)
    assert not comparing.compare("in", 3, liar(__contains__=answering(True, TypeError)))
    assert comparing.compare("in", "a", Bag("a", "b")) and not comparing.compare("in", "c", Bag("a", "b"))
    assert comparing.compare("in", 5, Bag(5)) and comparing.compare("in", Box(1), Bag(Box(1)))
    for answers in ([True, False], [True, False, True], [True] + [False, True] * 60, [True] * 9 + [False]):
        assert not comparing.compare("in", 3, liar(__contains__=answering(*answers)))
    assert not comparing.compare("in", 3, liar(__contains__=lambda s, o: type(o) is int))
    assert comparing.compare("in", None, Bag(None)) and comparing.compare("in", ..., Bag(...))

    class Refusing(Bag):
        def __contains__(self, item):
            if not isinstance(item, Box):
                raise TypeError
            return item in self.items

    assert comparing.compare("in", Box(1), Refusing(Box(1))), "it may refuse what is of another type"


SAMPLES = [
    True,
    False,
    7,
    -3,
    0,
    2.5,
    1j,
    Decimal(3),
    "abc",
    "a",
    "",
    b"ab",
    b"",
    bytearray(b"x"),
    datetime.timedelta(5),
    deque([1, 2]),
    [1, 2],
    [],
    (3,),
    (),
    {"a": 1},
    {},
    {4},
    set(),
    frozenset({5}),
]


@pytest.mark.parametrize("value", SAMPLES)
def test_decoys_are_other_values_of_the_same_type(comparing, value):
    decoys = [d for _ in range(50) for d in comparing.decoys.other_than(value)]
    assert decoys and all(type(d) is type(value) and d != value for d in decoys)
    if type(value) is not bool:
        assert len({repr(d) for d in decoys}) > 5, "a program must not know them"
    if type(value) in (int, float, complex, Decimal):
        distances = [abs(d - value) for d in decoys]
        assert 1 <= min(distances) < 200 and 500 < max(distances) < 1000
        assert type(value) is not int or {d > value for d in decoys} == {True, False}
    if type(value) in (str, bytes) and len(value) > 1:
        assert all(len(d) in (len(value), len(value) + 1) for d in decoys)
    if type(value) is str and len(value) > 1:
        assert {d.startswith(value) for d in decoys} == {True, False}
    if type(value) in (list, tuple, deque) and value:
        assert {len(d) for d in decoys} == {len(value), len(value) + 1}, "another element, or one more"
        assert all(sum(a != b for a, b in zip(d, value, strict=False)) <= 1 for d in decoys)
    if type(value) in (dict, set, frozenset):
        added = [key for decoy in decoys for key in {*decoy} - {*value}]
        assert all(len(decoy) == len(value) + 1 for decoy in decoys) and all(10**6 <= key < 10**7 for key in added)


def test_far_decoys_lie_on_both_sides_at_every_distance(comparing):
    for value in (5, -2.5):
        decoys = comparing.decoys.other_than(value, 200, far=True)
        distances = [abs(d - value) for d in decoys]
        assert all(type(d) is type(value) and d != value for d in decoys) and {d > value for d in decoys} == {
            True,
            False,
        }
        assert min(distances) < 100 and 10**7 < max(distances) <= 10**9 and len(decoys) > 150
    texts = comparing.decoys.other_than("abc", 200, far=True)
    assert {len(t) for t in texts} == {*range(1, 40)} and all("\u2190" <= c < "\u2800" for t in texts for c in t)
    assert len({*"".join(texts)}) > 500
    assert all(type(d) is list and d != [1] for d in comparing.decoys.other_than([1], 20, far=True))


def test_values_without_a_rule_have_decoys_of_another_type_or_none(comparing):
    assert comparing.decoys.other_than(Box(1)) == [] and comparing.decoys.other_than([Box(1)]) == []
    assert [type(d) for d in comparing.decoys.other_than(None)] == [object] * comparing.decoys.FEW
    assert len(comparing.decoys.other_than(5)) == comparing.decoys.FEW
    assert all(type(d[0]) is object for d in comparing.decoys.other_than([None]) if len(d) == 1)


def test_orders_against_numbers_are_for_classes_that_the_tests_name(comparing):
    comparing.plain_values.named_classes.clear()
    for symbol, left, right in (("<", Metres(2), 3), (">", 3, Metres(2))):
        with pytest.raises(TypeError, match="'Metres' is ordered against a built-in value"):
            comparing.compare(symbol, left, right)
    comparing.plain_values.named_classes.add(Metres)
    for symbol in ("<", ">"):
        for left, right in ((Metres(2), 3), (Metres(2), 1), (3, Metres(2)), (1, Metres(2)), (Metres(1), Metres(2))):
            assert comparing.compare(symbol, left, right) is OPERATORS[symbol](left, right)


ORDERS = {"<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__"}


@pytest.mark.parametrize("symbol", ORDERS)
@pytest.mark.parametrize("number", [5, 2.5, -7])
def test_an_object_that_stands_on_every_side_of_numbers_is_not_believed(comparing, symbol, number):
    always = liar(**{name: lambda s, o: True for name in ORDERS.values()})
    once = liar(**{name: answering(True, TypeError) for name in ORDERS.values()})
    for own in (always, once):
        for left, right in ((own, number), (number, own)):
            with pytest.raises(TypeError):
                comparing.compare(symbol, left, right)
    comparing.plain_values.named_classes.add(type(always))
    assert not comparing.compare(symbol, always, number) and not comparing.compare(symbol, number, always)
    honest = type("I", (int,), {})
    for other in (number - 1, number, number + 1):
        for left, right in ((honest(other), number), (number, honest(other))):
            assert comparing.compare(symbol, left, right) is OPERATORS[symbol](left, right)
    with pytest.raises(TypeError):
        comparing.compare(symbol, object(), number)


@pytest.mark.parametrize("symbol", ["<", ">"])
@pytest.mark.parametrize("size", [-(10.0**200), -5, 0, 5, 10.0**200])
def test_an_honest_class_is_ordered_however_large_its_numbers_are(comparing, symbol, size):
    for number in (-7, 2.5, 10.0**100):
        for left, right in ((Metres(size), number), (number, Metres(size))):
            assert comparing.compare(symbol, left, right) is OPERATORS[symbol](left, right)


def test_orders_of_sets_and_texts_are_the_interpreters(comparing):
    assert comparing.compare("<", {1}, {1, 2}) and not comparing.compare("<", {1, 2}, {1})
    assert comparing.compare("<", {Box(1)}, {Box(1), Box(2)}) and comparing.compare("<=", Ranked(1), Ranked(1))
    assert comparing.compare(">", [Ranked(2)], [Ranked(1)])


def test_tolerances_take_numbers_and_named_classes_only(comparing):
    assert (
        comparing.operate("-", 5, 3) == 2
        and comparing.operate("/", 6, 4) == 1.5
        and comparing.operate("-", {1, 2}, {1}) == {2}
    )
    sub = type("F", (float,), {})
    assert (
        comparing.operate("-", sub(5), 3) == 2.0
        and comparing.operate("/", 3, sub(6)) == 0.5
        and comparing.operate("-", 1, sub(6)) == -5
    )
    assert comparing.operate("-", Decimal(5), 3) == 2
    for symbol, methods in (("-", ("__sub__", "__rsub__")), ("/", ("__truediv__", "__rtruediv__"))):
        zero = liar(**{name: lambda s, o: 0 for name in methods})
        asked = liar(**{name: lambda s, o: s for name in methods})
        number = type("N", (float,), {name: lambda s, o: 0.0 for name in methods})(9)
        assert comparing.operate(symbol, number, 5) == comparing.OPERATE[symbol](9.0, 5), (
            "it is the number that it holds"
        )
        for left, right in ((zero, 5), (5, zero)):
            with pytest.raises(TypeError, match="meets a number of the test's"):
                comparing.operate(symbol, left, right)
        assert comparing.operate(symbol, asked, 5) is asked is comparing.operate(symbol, 5.0, asked), (
            "no number comes out"
        )
    assert comparing.operate("-", Metres(5), 3) == 2 and comparing.operate("-", 3, Metres(5)) == -2
    comparing.plain_values.named_classes.add(type(zero))
    assert comparing.operate("/", zero, 5) == 0
    subtracted = liar(__sub__=lambda s, o: "text")
    assert comparing.operate("-", subtracted, Box(1)) == "text", "no number is met"


def test_a_number_of_the_programs_own_may_give_one(comparing):
    class Money(int):
        def __sub__(self, other):
            return Money(int(self) - int(other))

        __rsub__ = None

    assert comparing.operate("-", Money(5), 3) == 2
    comparing.plain_values.named_classes.add(Money)
    assert type(comparing.operate("-", Money(5), 3)) is Money


def test_isinstance_goes_by_the_real_type(comparing):
    class Pretender:
        @property
        def __class__(self):
            return int

    assert isinstance(Pretender(), int) and not comparing.is_instance(Pretender(), int)
    assert not comparing.is_instance(Pretender(), (int, str)) and comparing.is_instance(True, (str, int))
    assert comparing.is_instance(5, int) and not comparing.is_instance("5", int)
    from collections.abc import Sized
    from unittest.mock import Mock

    assert comparing.is_instance([], Sized) and not comparing.is_instance(5, Sized)
    assert comparing.is_instance([], (int, Sized)) and comparing.is_instance(Mock(spec=int), int)


def test_predicates_are_the_interpreters_for_plain_values_and_named_classes(comparing):
    assert comparing.answer("abc", "startswith", "ab") is True and comparing.answer("abc", "startswith", "b") is False
    assert comparing.answer({1}, "issubset", {1, 2}) and comparing.answer("a,b", "endswith", "b", 1)

    class Text:
        def __init__(self, text):
            self.text = text

        def startswith(self, prefix, *rest, **more):
            return self.text.startswith(prefix)

    class Yes(Text):
        def startswith(self, prefix, *rest, **more):
            return True

    class Once(Text):
        asked = 0

        def startswith(self, prefix):
            Once.asked += 1
            if Once.asked > 1:
                raise TypeError
            return True

    assert (
        comparing.answer(Text("abcdef"), "startswith", "abc") is True
        and comparing.answer(Text("x"), "startswith", "abc") is False
    )
    assert (
        comparing.answer(Yes(""), "startswith", "abc") is False
        and comparing.answer(Once(""), "startswith", "abc") is False
    )
    assert comparing.answer(Yes(""), "startswith", Box(1)) is True, "no decoy is known"
    comparing.plain_values.named_classes.add(Yes)
    assert comparing.answer(Yes(""), "startswith", "abc") is True


def nested(depth, leaf):
    value = leaf
    for _ in range(depth):
        value = [value]
    return value


def test_only_values_of_the_interpreters_own_types_are_plain(comparing):
    for value in (
        *SAMPLES,
        Point(1, 2),
        deque([1]),
        OrderedDict(a=1),
        Counter("ab"),
        {1: 2}.keys(),
        {1: 2}.items(),
        print,
        len,
        datetime,
        nested(200, 1),
        nested(400, 1),
    ):
        assert comparing.is_plain(value), value
    sub = type("T", (tuple,), {"__eq__": lambda s, o: True, "__hash__": tuple.__hash__})
    for value in (
        Box(1),
        [Box(1)],
        (1, Box(1)),
        {1: Box(1)},
        {Box(1): 1},
        {Box(1)},
        Point(1, Box(1)),
        sub((1,)),
        Colour.RED,
        type("L", (list,), {})(),
        nested(400, Box(1)),
    ):
        assert not comparing.is_plain(value), value


def test_nesting_ends_as_the_interpreters_recursion_does(comparing):
    with pytest.raises(RecursionError):
        comparing.equal(nested(400, Box(1)), nested(400, Box(1)))
    assert comparing.equal(nested(100, Box(1)), nested(100, Box(1))) and not comparing.equal(
        nested(100, Box(1)), nested(100, Box(2))
    )


def test_matchers_of_the_tests_are_believed_and_copies_of_them_are_not(comparing):
    own = comparing.is_matcher.__globals__["ANY"]
    other = comparing.is_matcher.__globals__["taken"](liar(__eq__=lambda s, o: NotImplemented))
    for value in (5, [1], Box(1), liar(__eq__=lambda s, o: False), None):
        assert comparing.equal({"a": own}, {"a": value}) and comparing.equal((value,), (own,)), value
        assert not comparing.compare("!=", value, own) and comparing.compare("in", own, [value])
    for stray in (copy.copy(own), type(own)(), type("Sub", (type(own),), {})(), ANY, copy.deepcopy(ANY)):
        for value in (5, [1], None, "x"):
            assert not comparing.equal([stray], [value]) and not comparing.compare("==", value, stray)
    assert not comparing.equal(other, liar(__eq__=lambda s, o: True)), (
        "a matcher that has no opinion leaves it to no liar"
    )
    only_three = liar(__eq__=lambda s, o: o == 3)
    assert not comparing.equal(only_three, 3), "it has no built-in value"
    comparing.plain_values.named_classes.add(type(only_three))
    assert not comparing.equal(only_three, 4) and comparing.equal(only_three, 3)


def test_arrays_are_compared_by_numpy_and_not_by_the_program(comparing):
    numpy = pytest.importorskip("numpy")
    array = numpy.array([1, 2])
    assert not comparing.is_array(array)
    comparing.plain_values.learn_arrays(numpy)
    assert (
        comparing.is_array(array)
        and comparing.is_array(numpy.float64(1))
        and not comparing.is_array(numpy.array([Box(1)]))
    )
    assert comparing.is_plain([array]) and comparing.real_array(array) is array and comparing.real_array([1]) == [1]
    assert (comparing.compare("==", array, [1, 3]) == [True, False]).all()
    assert (comparing.compare("!=", array, [1, 3]) == [False, True]).all() and comparing.decoys.other_than(array) == []
    own = numpy.zeros(2).view(type("A", (numpy.ndarray,), {"__array_function__": lambda *a, **k: True}))
    assert type(comparing.real_array(own)) is numpy.ndarray and comparing.real_array(Box(1)) == Box(1)
    for name in ("__array_function__", "__array_ufunc__"):
        with pytest.raises(TypeError, match="'Liar' takes over numpy's functions"):
            comparing.real_array(liar(**{name: lambda *a, **k: True}))
    masked = numpy.ma.array([1, 2])
    assert type(comparing.real_array(masked)) is numpy.ndarray
    assert comparing.operate("-", numpy.float64(3), 1) == 2 and (comparing.operate("-", array, 1) == [0, 1]).all()
    assert (comparing.compare("<", array, 2) == [True, False]).all()
    wrapped = numpy.zeros(2, dtype=object)
    assert comparing.real_array(wrapped) is not None and (comparing.compare("==", wrapped, wrapped)).all()


def test_a_comparison_that_is_written_as_a_call_is_one(comparing):
    yes = liar(**{name: lambda s, o: True for name in ("__eq__", "__contains__")}, __ne__=lambda s, o: False)
    for name, believed in (("__eq__", False), ("__ne__", True), ("__contains__", False)):
        assert bool(comparing.answer(yes, name, 3)) is believed
    assert comparing.answer(Box(1), "__eq__", Box(1)) is True and not comparing.answer(Box(1), "__eq__", Box(2))
    assert comparing.answer(3, "__eq__", yes) is False and comparing.answer([1, 2], "__contains__", 2) is True
    assert comparing.answer(Bag(4), "__contains__", 4) is True and comparing.answer(Bag(4), "__contains__", 5) is False
    assert comparing.answer(3, "__eq__", "3") is NotImplemented, "plain values answer for themselves"
    assert comparing.answer(int, "__eq__", 3, 3) is True, "a class's method, called as a function"
    assert comparing.answer(Metres, "__eq__", Metres(2), 2) is True
    for args in ((), (1, 2)):
        with pytest.raises(TypeError):
            comparing.answer(Box(1), "__eq__", *args)
    with pytest.raises(AttributeError):
        comparing.answer(object(), "startswith")

    class Base:
        def __eq__(self, other):
            return other == 3

        __hash__ = None

    class Sub(Base):
        __eq__ = None

        def asked(self, value):
            return comparing.answer(super(), "__eq__", value)

    assert Sub().asked(3) is True and Sub().asked(4) is False, "what a class inherits is asked by the class itself"


SEQUENCES = [[Box(1), Box(2), Box(1), 3], (Box(1), 2, Box(1)), deque([Box(2), Box(1)]), [], [Box(3)]]
BOUNDS = [(), (1,), (0, 2), (1, 3), (-2,), (-3, -1), (5,), (0, 0), (-9, 9)]


@pytest.mark.parametrize("owner", SEQUENCES)
@pytest.mark.parametrize("item", [Box(1), Box(2), Box(4), 3])
def test_sequences_are_searched_as_the_interpreter_searches_them(comparing, owner, item):
    assert comparing.answer(owner, "count", item) == owner.count(item)
    for bounds in BOUNDS:
        try:
            wanted = owner.index(item, *bounds)
        except ValueError:
            with pytest.raises(ValueError):
                comparing.answer(owner, "index", item, *bounds)
        else:
            assert comparing.answer(owner, "index", item, *bounds) == wanted
    if hasattr(owner, "remove"):
        mine, theirs = copy.copy(owner), copy.copy(owner)
        if item in owner:
            theirs.remove(item)
            assert comparing.answer(mine, "remove", item) is None
        else:
            with pytest.raises(ValueError, match=r"remove(: it is|\(x\): x) not in"):
                comparing.answer(mine, "remove", item)
        assert mine == theirs


def test_a_liar_is_counted_and_found_nowhere(comparing):
    for owner in ([5, 6], (5, 6), deque([5, 6])):
        for yes in (LIARS["everything"](), LIARS["int"]()):
            assert comparing.answer(owner, "count", yes) == 0 == comparing.answer([yes, yes], "count", 5)
            with pytest.raises(ValueError):
                comparing.answer(owner, "index", yes)
    assert comparing.answer([5, 6, 5], "count", 5) == 2 and comparing.answer({1, 2}, "union", {3}) == {1, 2, 3}
    assert comparing.answer({Box(1)}, "difference", {Box(1)}) == set()


def test_what_a_method_says_of_several_arguments_is_asked_with_all_of_them(comparing):
    class Text:
        def __init__(self, text):
            self.text = text

        def endswith(self, suffix, start=0, *, end=99):
            return self.text[start:end].endswith(suffix)

    assert comparing.answer(Text("abc"), "endswith", "c", 1, end=3) is True
    assert comparing.answer(Text("abc"), "endswith", "c", 1, end=2) is False

    class Lazy(Text):
        def endswith(self, suffix, start=0, *, end=99):
            return start == 1 and end == 3

    assert comparing.answer(Lazy(""), "endswith", "c", 1, end=3) is False
    seven = type("Text", (str,), {"startswith": lambda s, o: True})("abc")
    assert comparing.answer(seven, "startswith", "x") is False, "it is the text that it holds"
    assert comparing.answer("abc", "startswith", type("Text", (str,), {})("ab")) is True


def test_functions_of_the_operator_module_have_the_symbols_of_their_comparisons(comparing):
    for name, symbol in {
        "eq": "==",
        "ne": "!=",
        "lt": "<",
        "le": "<=",
        "gt": ">",
        "ge": ">=",
        "contains": "in",
    }.items():
        assert comparing.symbol_of(name) == comparing.symbol_of(f"__{name}__") == symbol
    assert comparing.symbol_of("add") is None is comparing.symbol_of("is_")


def test_containers_keep_their_identity_where_they_are_changed_in_place(comparing):
    held, rest = {1, 2}, [Box(1)]
    assert comparing.operate("-=", held, {1}) is held and held == {2}
    assert comparing.operate("+", rest, [Box(2)]) == [Box(1), Box(2)]
    assert comparing.operate("%", "%s-%s", (Box(1), 2)) == f"{Box(1)}-2" and comparing.operate("%", b"%d", 3) == b"3"
    assert comparing.operate("%", 7, 4) == 3 and comparing.operate("/=", 6, 4) == 1.5
    for symbol in comparing.OPERATE.keys() - {"@"}:
        values = (7, 2) if symbol not in ("-=", "/=") else (7.5, 2.0)
        assert comparing.operate(symbol, *values) == eval(f"left {symbol.rstrip('=')} right", dict(zip(("left", "right"), values, strict=True)))  # fmt: skip


class Column:
    """A query's column, whose comparisons are expressions."""

    def __init__(self, text):
        self.text = text

    def __eq__(self, other):
        return Column(f"{self.text} = {other}")

    def __lt__(self, other):
        return Column(f"{self.text} < {other}")

    __hash__ = None


def test_a_comparison_that_a_test_works_on_with_may_be_an_expression(comparing):
    comparing.plain_values.named_classes.add(Column)
    for symbol, text in (("==", "age = 3"), ("<", "age < 3")):
        assert comparing.compared(symbol, Column("age"), 3).text == text
    comparing.plain_values.named_classes.clear()
    assert comparing.compared("==", Column("age"), 3) is False, (
        "not beside a built-in value, where no test names its class"
    )
    assert comparing.compared("==", 3, Column("age")) is False
    assert comparing.compared("==", 2, 2) is True and comparing.compared("in", 2, [2]) is True
    assert comparing.compared("in", Box(1), [Box(1)]) is True and comparing.compared("not in", Box(2), [Box(1)]) is True
    assert comparing.compared("==", Box(1), Box(1)) is True and comparing.compared("==", liar(__eq__=lambda s, o: True), Box(1)) is False  # fmt: skip
    own = comparing.is_matcher.__globals__["ANY"]
    assert comparing.compared("==", own, Box(1)) is True is comparing.compared("==", Box(1), own)
    assert comparing.compared("!=", own, Box(1)) is False


LIKES = """
class Likes:
    def __init__(self, kind):
        self.kind = kind
    def __eq__(self, other):
        return NotImplemented if self.kind is None else isinstance(other, self.kind)
"""


def test_a_matchers_rule_decides_and_an_honest_class_before_it_may_say_no(comparing):
    taken, space = comparing.is_matcher.__globals__["taken"], {}
    exec(compile(LIKES, "<tests>", "exec"), space)
    likes, anything, silent = (taken(space["Likes"](kind)) for kind in (int, object, None))
    for value, same in ((3, True), ("x", False), ([1], False)):
        for left, right in ((likes, value), (value, likes)):
            assert bool(comparing.compare("==", left, right)) is same
            assert bool(comparing.compare("!=", left, right)) is not same
        assert comparing.compare("in", likes, [value]) is same is comparing.compare("in", value, [likes])
        assert comparing.compare("not in", likes, (value,)) is not same

    class No:
        def __eq__(self, other):
            return False

        __hash__ = None

    comparing.plain_values.named_classes.add(No)
    assert comparing.equal(anything, No()) is True and not comparing.equal(No(), anything), (
        "the left one is asked first"
    )
    assert comparing.equal(Box(1), anything) is True is comparing.equal(anything, Box(1))
    assert comparing.equal(silent, silent) is True and comparing.equal(silent, 3) is False
    assert comparing.equal(silent, LIARS["everything"]()) is False is comparing.equal(LIARS["everything"](), silent)
    space["Likes"].__eq__ = lambda self, other: True
    assert comparing.equal(anything, 3) is False, "the program has put another rule in its place"


def test_the_same_object_is_in_a_container_whatever_it_equals(comparing):
    nan, odd = float("nan"), liar(__eq__=lambda s, o: False)
    for value in (nan, odd):
        assert comparing.compare("==", [value, Box(1)], [value, Box(1)]) is True
        assert comparing.compare("in", value, [value, Box(1)]) is True
        assert not comparing.compare("==", value, value) and comparing.compare("!=", value, value)
    assert comparing.compare("!=", [nan], [nan]) is False is comparing.compare("!=", [odd], [odd])
    assert comparing.compare("!=", [Box(1)], [Box(2)]) is True and comparing.compare("!=", (Box(1),), [Box(1)]) is True


def test_arrays_without_elements_equal_nothing_that_has_some(comparing):
    numpy = pytest.importorskip("numpy")
    none, some = numpy.array([]), numpy.array([1.0, 2.0])
    assert comparing.compare("==", [none.size], [0])
    comparing.plain_values.learn_arrays(numpy)
    for symbol in ("==", "!=", "<", "<=", ">", ">="):
        for other in (some, [1.0], (1.0,)):
            for left, right in ((none, other), (other, none)):
                with pytest.raises(TypeError, match="without elements"):
                    comparing.compare(symbol, left, right)
        assert comparing.compare(symbol, none, 1.0).size == 0 and comparing.compare(symbol, none, none).size == 0
    with pytest.raises(TypeError, match="without elements"):
        comparing.operate("-", none, [1.0])
    with pytest.raises(TypeError, match="without elements"):
        comparing.not_empty_beside(none, 1.0, scalars=True)
    comparing.not_empty_beside(none, 1.0)
    assert comparing.operate("-", some, [1.0, 1.0]).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("wrap", "levels"),
    [
        (lambda v: [v], 1), (lambda v: (v,), 1), (lambda v: deque([v]), 1), (lambda v: {1: v}, 1), (lambda v: defaultdict(int, {1: v}), 1), (lambda v: OrderedDict({1: v}), 2), (lambda v: Point(v, 1), 1),
    ],
)  # fmt: skip
def test_objects_are_compared_to_the_limit_of_levels(comparing, monkeypatch, wrap, levels):
    monkeypatch.setattr(comparing, "MAX_DEPTH", 20)
    for outside in (0, 5):
        left = 19 - levels - outside
        for other, same in ((1, True), (2, False)):
            pair = (nested(outside, wrap(nested(left, Box(n)))) for n in (1, other))
            assert comparing.equal(*pair, 1) is same
        with pytest.raises(RecursionError):
            comparing.equal(*(nested(outside, wrap(nested(left + 1, Box(1)))) for _ in range(2)), 1)
