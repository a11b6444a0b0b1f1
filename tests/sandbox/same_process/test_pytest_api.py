"""What `import pytest` gives to tests, against pytest itself."""

import math
import warnings
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoltune.sandbox.same_process import comparing, expectations, fixtures, pytest_api

OURS = pytest_api.pytest_module(lambda: 7, lambda module: module)
numbers = st.one_of(
    st.sampled_from([0, 1, -1, 100, 1.0, 1.000001, 1.0000011, 100.0001, 100.0002, 99.99, 1e-12, 1e-13, 2e-12, 0.1 + 0.2, 0.3, 1e6, 1e6 + 1, 1e6 + 1.1]),
    st.sampled_from([math.inf, -math.inf, math.nan, 1j, 1 + 1e-7j, 1 + 1e-5j, True, False, Decimal("0.3"), Decimal("0.3000001"), Decimal("0.31")]),
)  # fmt: skip
leaves = st.one_of(numbers, st.none(), st.sampled_from(["a", "b", ""]))
expected = st.one_of(
    leaves, st.lists(numbers, max_size=2), st.lists(leaves, max_size=2).map(tuple), st.dictionaries(st.sampled_from("ab"), leaves, max_size=2)
)  # fmt: skip
tolerances = st.fixed_dictionaries(
    {}, optional={"rel": st.sampled_from([1e-6, 1e-4, 0.01, 0]), "abs": st.sampled_from([1e-12, 1e-4, 0.5, 0, 1]), "nan_ok": st.booleans()}
)  # fmt: skip


def agrees(got, wanted, more):
    """(ours, pytest's); None where the question is refused."""
    return nearness(lambda: comparing.compare("==", got, OURS.approx(wanted, **more))), nearness(
        lambda: got == pytest.approx(wanted, **more)
    )


def nearness(asked):
    try:
        return bool(asked())
    except TypeError:
        return None


@settings(max_examples=300, deadline=None)
@given(expected, expected, tolerances, st.booleans())
def test_approximate_equality_is_pytests(got, wanted, more, alike):
    got = wanted if alike else got
    if isinstance(got, dict | str) and isinstance(wanted, list | tuple):
        return  # pytest takes their keys and letters as a sequence
    ours, theirs = agrees(got, wanted, more)
    assert theirs is None or ours == theirs


NEAR = [
    (0.1 + 0.2, 0.3), (1.000001, 1), (1.0000011, 1), (100.0001, 100), (100.0002, 100), (1e-12, 0), (1.1e-12, 0), ([0.1 + 0.2, 1], [0.3, 1]), ([0.3], [0.3, 1]),
    ((0.1 + 0.2,), (0.3,)), ({"a": 0.1 + 0.2}, {"a": 0.3}), ({"a": 0.3}, {"b": 0.3}), ({"a": 0.3, "b": 1}, {"a": 0.3}), ({"a": 0.4}, {"a": 0.3}), ("a", "a"), ("a", "b"), (None, None),
    (math.inf, math.inf), (-math.inf, math.inf), (1, math.inf), (math.inf, 1), (math.nan, math.nan), (1, math.nan), (1 + 1e-7j, 1), (1 + 1e-5j, 1), (1, 1 + 1e-7j), (1 + 1j, 1j),
    (True, True), (1, True), (2, True), (0.5, "a"), ("a", 0.5), (None, 0.5), (0.5, None), (2, 2), (2, 3), (-1.0000001, -1), (-1.1, -1), ([1], 1), (1, [1]),
]  # fmt: skip


@pytest.mark.parametrize(
    "more", [{}, {"abs": 0.5}, {"rel": 0.01}, {"rel": 0.01, "abs": 0.5}, {"nan_ok": True}, {"abs": 0}, {"rel": 0}]
)
def test_known_pairs_are_near_where_pytest_says_so(more):
    for got, wanted in NEAR:
        ours, theirs = agrees(got, wanted, more)
        assert theirs is None or ours == theirs, (got, wanted)


def test_exact_numbers_are_compared_with_their_tolerance():
    assert Decimal("0.3000001") == OURS.approx(Decimal("0.3"), abs=Decimal("0.001")) != Decimal("0.31")
    assert (
        Fraction(1, 3) != OURS.approx(0.3)
        and Fraction(1, 3) == OURS.approx(1 / 3)
        and OURS.approx(Fraction(1, 2)) == 0.5
        and repr(OURS.approx([1])) == "approx([1])"
    )


def test_arrays_are_near_by_their_elements():
    numpy = pytest.importorskip("numpy")
    comparing.plain_values.learn_arrays(numpy)
    for got, wanted in (([0.3, 1.0], [0.3, 1]), ([0.3, 1.1], [0.3, 1]), ([0.3], [0.3, 1])):
        for a, b in ((numpy.array(got), wanted), (got, numpy.array(wanted)), (numpy.array(got), numpy.array(wanted))):
            assert comparing.compare("==", a, OURS.approx(b)) == (got == wanted)
    for got, wanted, near in (
        (numpy.float64(0.1) + 0.2, 0.3, True), (numpy.array([0.3, 0.3]), 0.3, True), (numpy.array([0.3, 0.4]), 0.3, False), (numpy.bool_(True), True, True),
        (numpy.array(0.3), 0.3, True), (numpy.int64(1), True, False), (numpy.array([[1, 2]]), numpy.array([[1, 2]]), True),
    ):  # fmt: skip
        ours, theirs = agrees(got, wanted, {})
        assert ours == theirs == near


def test_nothing_of_the_programs_is_near_a_number():
    class Liar(float):
        def __eq__(self, other):
            return True

        def __sub__(self, other):
            return 0.0

        __rsub__ = __sub__
        __hash__ = float.__hash__

    for got in (Liar(9), [Liar(9)], OURS.approx(0.3), [OURS.approx(0.3)]):
        for wanted in (0.3, [0.3], "a", {"a": 1}, True, None):
            assert not comparing.compare("==", got, OURS.approx(wanted))
    with pytest.raises(TypeError, match="unhashable"):
        hash(OURS.approx(1))


PARAMETRIZED = [
    ("a", [1, 2]), ("a", [(1, 2)]), ("a, b", [(1, 2), (3, 4)]), ("a,b", []), (["a", "b"], [(1, 2)]), (("a",), [1, 2]), ("a, b", [[1, 2]]),
]  # fmt: skip


def cases_of(function):
    return fixtures.Fixtures({}, None).cases(function, getattr(function, "pytestmark", ()), [], None)


@pytest.mark.parametrize(("names", "values"), PARAMETRIZED)
def test_each_row_of_parameters_is_a_run(names, values):
    keys = [n.strip() for n in names.split(",")] if isinstance(names, str) else [*names]
    rows = [dict(zip(keys, v if len(keys) > 1 else [v], strict=True)) for v in values]
    for mark in (
        OURS.mark.parametrize(names, values),
        OURS.mark.parametrize(argnames=names, argvalues=values),
        OURS.mark.parametrize(names, argvalues=values),
    ):
        function = mark(lambda **k: None)
        assert [case.given for case in cases_of(function)] == rows


def test_marks_multiply_and_skipped_rows_are_left_out():
    param, mark = OURS.param, OURS.mark

    @mark.parametrize(
        "a",
        [
            1,
            param(2, marks=mark.skip),
            param(3, marks=[mark.slow]),
            param(4, marks=[mark.xfail(reason="x")]),
            param(5, id="five"),
        ],
    )
    @mark.other(1)
    @mark.parametrize("b, c", [(6, 7), param(8, 9)])
    def function(a, b, c):
        pass

    rows = [case.given for case in cases_of(function) if not pytest_api.is_skipped(None, case.marks)]
    assert len(rows) == 8 and {(r["b"], r["c"], r["a"]) for r in rows} == {
        (b, b + 1, a) for b in (6, 8) for a in (1, 3, 4, 5)
    }
    assert set(rows[0]) == {"a", "b", "c"}
    failing = [case for case in cases_of(function) if pytest_api.expected_to_fail(case.marks, {})]
    assert [case.given["a"] for case in failing] == [4, 4]
    assert [case.given for case in cases_of(len)] == [{}]


def test_marks_say_what_is_skipped():
    mark = OURS.mark
    for decorate, skipped in (
        (mark.skip, True), (mark.skip(reason="x"), True), (mark.xfail, False), (mark.xfail(run=False), True), (mark.skipif("1 > 0", reason="x"), True), (mark.skipif(True, reason="x"), True), (mark.skipif(False, reason="x"), False),
        (mark.skipif(1), True), (mark.slow, False), (mark.parametrize("a", [1]), False), (mark.usefixtures("x"), False),
    ):  # fmt: skip
        for target in (lambda: None, type("T", (), {})):
            assert decorate(target) is target and pytest_api.is_skipped(target) is skipped
    assert not pytest_api.is_skipped(len)
    import unittest

    assert pytest_api.is_skipped(unittest.skip("x")(lambda: None)) and not pytest_api.is_skipped(
        unittest.skipIf(False, "x")(lambda: None)
    )
    with pytest.raises(AttributeError):
        OURS.mark.__wrapped__  # noqa: B018


def test_the_outcomes_are_exceptions():
    for function in (OURS.skip, OURS.exit, OURS.xfail):
        with pytest.raises(expectations.Skipped, match="why"):
            function("why")
    with pytest.raises(expectations.Failed, match="why"):
        OURS.fail("why")
    assert OURS.importorskip("math") is math and OURS.main(["-q"], plugins=[]) == 7
    with pytest.raises(expectations.Skipped, match="no module no_such_module"):
        OURS.importorskip("no_such_module")


@pytest.mark.parametrize("module", [OURS, pytest])
def test_warnings_are_found_as_pytest_finds_them(module):
    failed = (expectations.Failed, pytest.fail.Exception)
    with module.warns(UserWarning, match="car") as found:
        warnings.warn("careful", UserWarning, stacklevel=1)
    assert [str(w.message) for w in found] == ["careful"]
    with module.warns():
        warnings.warn("x", DeprecationWarning, stacklevel=1)
    with module.deprecated_call():
        warnings.warn("x", DeprecationWarning, stacklevel=1)
    with pytest.raises(failed, match="DID NOT WARN"), module.warns(UserWarning):
        pass
    with pytest.raises(failed), warnings.catch_warnings(), module.warns(UserWarning, match="other"):
        warnings.simplefilter("ignore")
        warnings.warn("careful", UserWarning, stacklevel=1)


def test_an_exception_is_not_hidden_by_a_missing_warning():
    with pytest.raises(KeyError), OURS.warns(UserWarning):
        raise KeyError


def test_fixtures_remember_how_they_were_made():
    @OURS.fixture
    def plain():
        return 1

    @OURS.fixture(name="other", params=[1, 2], autouse=True, scope="module")
    def named():
        return 2

    assert (plain.name, plain.params, plain.autouse, plain.scope, plain.function()) == (
        "plain",
        None,
        False,
        "function",
        1,
    )
    assert (named.name, named.params, named.autouse, named.scope) == ("other", [1, 2], True, "module")

    class Holder:
        @OURS.fixture
        def bound(self):
            return self

    holder = Holder()
    assert Holder.bound.function(5) == 5 and holder.bound.function() is holder and holder.bound.name == "bound"


def test_a_fixtures_settings_have_names():
    def box():
        return 4

    for fixture in (OURS.fixture, pytest.fixture):
        assert fixture(box, name="other") is not None and callable(fixture(name="other"))
        for wrong in ((box, "session"), (None, "session")):
            with pytest.raises(TypeError):
                fixture(*wrong)
