"""Assertions of a test case: each ends as unittest's own does, on generated arguments."""

import unittest
from collections import OrderedDict, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoltune.sandbox.same_process import comparing, expectations, unittest_assertions
from evoltune.sandbox.same_process.unittest_assertions import ASSERTIONS

CASE = unittest.TestCase()
values = st.one_of(
    st.integers(-2, 2), st.booleans(), st.none(), st.sampled_from([0.0, 1.0, 1.04, 1.00000001, 1.0000001, 1.5, "a", "ab", "", "b1", int, str]),
    st.lists(st.integers(0, 2), max_size=3), st.lists(st.integers(0, 2), max_size=3).map(tuple), st.sets(st.integers(0, 2)), st.sets(st.integers(0, 1)).map(frozenset),
    st.dictionaries(st.sampled_from("ab"), st.integers(0, 1)), st.sampled_from([OrderedDict(a=1), deque([1]), {1: 2}.keys()]),
)  # fmt: skip
TWO = [n for n in ASSERTIONS if n not in ("assertRaises", "assertRaisesRegex", "assertEquals", "assertItemsEqual")]
ONE = ("assertTrue", "assertFalse", "assertIsNone", "assertIsNotNone")


def ending(function, *args, **kwargs):
    """None, or the type of the exception."""
    try:
        function(*args, **kwargs)
    except Exception as error:
        return type(error)
    return None


def both(name, *args, **kwargs):
    return ending(ASSERTIONS[name], CASE, *args, **kwargs), ending(getattr(CASE, name), *args, **kwargs)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_assertions_end_as_unittests_do(data):
    for name in TWO:
        first = data.draw(values)
        second = () if name in ONE else (first if data.draw(st.booleans()) else data.draw(values),)
        if name == "assertSequenceEqual" or (name == "assertRegex" and second == ("",)):
            continue  # unittest refuses an empty pattern, and what cannot be indexed
        ours, theirs = both(name, first, *second)
        assert (ours is None) == (theirs is None), (name, first, *second)


KNOWN = [
    ("assertEqual", 1, 1.0), ("assertEqual", 1, 2), ("assertNotEqual", 1, 2), ("assertNotEqual", 1, 1), ("assertIn", 1, [1]), ("assertIn", 3, [1]), ("assertIn", "a", "ab"),
    ("assertNotIn", 1, [1]), ("assertNotIn", 3, [1]), ("assertIs", CASE, CASE), ("assertIs", [], []), ("assertIsNot", [], []), ("assertIsNot", CASE, CASE),
    ("assertIsInstance", 1, int), ("assertIsInstance", 1, (str, int)), ("assertIsInstance", 1, str), ("assertNotIsInstance", 1, str), ("assertNotIsInstance", 1, int),
    ("assertGreater", 2, 1), ("assertGreater", 1, 1), ("assertGreaterEqual", 1, 1), ("assertGreaterEqual", 0, 1), ("assertLess", 1, 2), ("assertLess", 1, 1),
    ("assertLessEqual", 1, 1), ("assertLessEqual", 2, 1), ("assertCountEqual", [1, 2, 2], [2, 1, 2]), ("assertCountEqual", [1, 2], [1, 2, 2]), ("assertCountEqual", [1, 1, 2], [1, 2]),
    ("assertCountEqual", [1, 1, 2], [1, 2, 2]), ("assertCountEqual", [[1], [2]], [[2], [1]]), ("assertCountEqual", [], []), ("assertListEqual", [1], [1]), ("assertListEqual", [1], (1,)),
    ("assertListEqual", (1,), (1,)), ("assertListEqual", [1], [2]), ("assertTupleEqual", (1,), (1,)), ("assertTupleEqual", [1], [1]), ("assertDictEqual", {1: 2}, {1: 2}), ("assertDictEqual", {1: 2}, {}),
    ("assertDictEqual", [], []), ("assertSetEqual", {1}, {1}), ("assertSetEqual", {1}, frozenset({1})), ("assertSetEqual", {1}, {2}), ("assertMultiLineEqual", "a", "a"), ("assertMultiLineEqual", "a", "b"),
    ("assertMultiLineEqual", 1, 1), ("assertSequenceEqual", [1, 2], (1, 2)), ("assertSequenceEqual", [1], [2]), ("assertSequenceEqual", [1], [1, 2]), ("assertRegex", "abc", "b"), ("assertRegex", "abc", "^b"),
    ("assertNotRegex", "abc", "^b"), ("assertNotRegex", "abc", "b"), ("assertTrue", 1), ("assertTrue", 0), ("assertTrue", []), ("assertFalse", 0), ("assertFalse", "x"), ("assertIsNone", None),
    ("assertIsNone", 0), ("assertIsNotNone", 0), ("assertIsNotNone", None), ("assertAlmostEqual", 1.00000001, 1), ("assertAlmostEqual", 1.0000001, 1), ("assertAlmostEqual", "a", "a"),
    ("assertAlmostEqual", "a", "b"), ("assertNotAlmostEqual", 1.0000001, 1), ("assertNotAlmostEqual", 1.00000001, 1), ("assertNotAlmostEqual", 1, 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args"), [(name, args) for name, *args in KNOWN])
def test_known_arguments_and_a_message(name, args):
    ours, theirs = both(name, *args)
    assert ours == theirs
    if ours is AssertionError:
        for more, ending_text in (({}, ""), ({"msg": "why"}, " : why")):
            with pytest.raises(AssertionError) as info:
                ASSERTIONS[name](CASE, *args, **more)
            assert (str(info.value).endswith(ending_text) and "why" in str(info.value)) or not more
            assert any(repr(value)[:200] in str(info.value) for value in args) or name == "assertCountEqual"


@pytest.mark.parametrize("name", ["assertAlmostEqual", "assertNotAlmostEqual"])
@pytest.mark.parametrize(
    "more", [{}, {"places": 1}, {"places": 0}, {"places": 3}, {"delta": 0.1}, {"delta": 0}, {"delta": 0.05}]
)
def test_tolerances_are_unittests(name, more):
    for first, second in (
        (1, 1),
        (1.04, 1),
        (1.05, 1),
        (1.4, 1),
        (1.1, 1),
        (1.0004, 1),
        (1.0006, 1),
        (2, 1),
        (0.9, 1),
        (1.5, 1),
        (-1, 1),
    ):
        ours, theirs = both(name, first, second, **more)
        assert ours == theirs, (first, second)


def test_messages_name_the_tolerance():
    for more, within in (({}, "within 7"), ({"places": 3}, "within 3"), ({"delta": 0.5}, "within 0.5")):
        for name, args in (("assertAlmostEqual", (1, 2)), ("assertNotAlmostEqual", (1, 1))):
            with pytest.raises(AssertionError, match=within):
                ASSERTIONS[name](CASE, *args, **more)


def test_a_typed_sequence_must_be_of_the_type():
    for first, second, kind in (
        ([1], [1], list),
        ([1], (1,), list),
        ((1,), [1], None),
        ((1,), (1,), list),
        ([1], (1,), (list, tuple)),
    ):
        ours = ending(ASSERTIONS["assertSequenceEqual"], CASE, first, second, seq_type=kind)
        assert ours == (
            ending(CASE.assertSequenceEqual, first, second, seq_type=kind) if not isinstance(kind, tuple) else None
        )


def test_equality_that_the_tests_added_decides():
    class Own:
        def __init__(self, n):
            self.n = n

    def equal(first, second, msg=None):
        if abs(first.n - second.n) > 1:
            raise AssertionError(msg)

    case = unittest.TestCase()
    case.addTypeEqualityFunc(Own, equal)
    for second, wanted in ((Own(2), None), (Own(5), AssertionError), (3, AssertionError)):
        assert (
            ending(ASSERTIONS["assertEqual"], case, Own(1), second)
            == ending(case.assertEqual, Own(1), second)
            == wanted
        )
    assert ending(ASSERTIONS["assertEqual"], CASE, Own(1), Own(1)) is AssertionError


def boom(*args, **kwargs):
    raise ValueError("bad value")


def test_expected_exceptions_are_unittests():
    for name, expected in (("assertRaises", ()), ("assertRaisesRegex", ("bad",)), ("assertRaisesRegex", ("^value",))):
        for kind in (ValueError, KeyError, (KeyError, ValueError), Exception):
            ours, theirs = both(name, kind, *expected, boom, 1, key=2)
            assert ours is theirs or (ours is expectations.Failed and theirs is AssertionError)
            for function in (boom, lambda: None):
                endings = []
                for target in (lambda *a, name=name, **k: ASSERTIONS[name](CASE, *a, **k), getattr(CASE, name)):
                    try:
                        with target(kind, *expected, msg="why"):
                            function()
                        endings.append(None)
                    except Exception as error:
                        endings.append(AssertionError if isinstance(error, AssertionError) else type(error))
                assert endings[0] == endings[1], (name, kind)
    given = []
    ASSERTIONS["assertRaises"](CASE, ValueError, lambda **k: given.append(k) or boom(), msg="for the function")
    assert given == [{"msg": "for the function"}]


def test_old_names_mean_the_same():
    assert (
        ASSERTIONS["assertEquals"] is ASSERTIONS["assertEqual"]
        and ASSERTIONS["assertItemsEqual"] is ASSERTIONS["assertCountEqual"]
    )


def test_a_liar_passes_none_of_them():
    class Liar:
        def __eq__(self, other):
            return True

        def __ne__(self, other):
            return False

        def __sub__(self, other):
            return 0

        __rsub__ = __sub__
        __lt__ = __gt__ = __le__ = __ge__ = __contains__ = __eq__
        __hash__ = None

        def __repr__(self):
            raise RuntimeError

    liar = Liar()
    for name in (
        "assertEqual",
        "assertAlmostEqual",
        "assertGreater",
        "assertGreaterEqual",
        "assertLess",
        "assertLessEqual",
        "assertIsInstance",
    ):
        assert ending(ASSERTIONS[name], CASE, liar, int if name == "assertIsInstance" else 5) in (
            AssertionError,
            TypeError,
            comparing._Lie,
        )
        assert ending(ASSERTIONS[name], CASE, 5, liar) in (AssertionError, TypeError, comparing._Lie)
    for name, args in (
        ("assertIn", (5, liar)),
        ("assertIn", (liar, [5])),
        ("assertCountEqual", ([liar], [5])),
        ("assertSequenceEqual", ([liar], [5])),
        ("assertListEqual", ([liar], [5])),
    ):
        assert ending(ASSERTIONS[name], CASE, *args) is AssertionError
    assert (
        unittest_assertions._shorten(liar) == "a Liar"
        and unittest_assertions._shorten("x" * 300) == repr("x" * 300)[:200]
    )
