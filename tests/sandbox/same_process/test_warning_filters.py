"""Filters of warnings: the texts of marks mean what they mean to pytest, and the interpreter's filters come back."""

import warnings
from types import SimpleNamespace

import pytest
from _pytest.config import parse_warning_filter

from evoltune.sandbox.same_process import warning_filters

TEXTS = [
    "ignore", "error", "once", "default", "ignore:old", "ignore:old.*new", "error::DeprecationWarning", "ignore::UserWarning:shop", "always:a b:RuntimeWarning",
    "ignore:::shop.cart", "error: spaced : UserWarning", "module::PendingDeprecationWarning", "ignore::DeprecationWarning:shop:7", "ignore:x::shop:12",
]  # fmt: skip


def marked(*texts, name="filterwarnings"):
    return SimpleNamespace(name=name, args=texts)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_the_filter_that_pytest_makes_of_it(text):
    with warnings.catch_warnings():
        warnings.resetwarnings()
        with warning_filters.filtered([marked(text)]):
            ours = warnings.filters[0]
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.filterwarnings(*parse_warning_filter(text, escape=False))
        theirs = warnings.filters[0]
    assert ours[0] == theirs[0] and ours[2] is theirs[2] and ours[4] == theirs[4]
    for mine, other in ((ours[1], theirs[1]), (ours[3], theirs[3])):
        words = ("", "old", "old and new", "OLD", "a b", "spaced", "x", "shop", "shop.cart", "shopping")
        assert [not mine or bool(mine.match(w)) for w in words] == [not other or bool(other.match(w)) for w in words]


def seen(marks, *issued):
    """What becomes of each warning under these marks: shown, raised, or nothing."""
    found = []
    for text, kind in issued:
        with warnings.catch_warnings(record=True) as shown:
            warnings.simplefilter("ignore")
            before = warnings.filters[:]
            try:
                with warning_filters.filtered(marks):
                    warnings.warn(text, kind, stacklevel=1)
            except kind:
                found.append("raised")
            else:
                found.append("shown" if shown else "")
            assert warnings.filters == before
    return found


def test_the_last_filter_that_fits_counts_and_what_none_fits_is_shown():
    issued = ("old", UserWarning), ("new", UserWarning), ("old", DeprecationWarning)
    assert seen([marked("error", "ignore:old")], *issued) == ["", "raised", ""]
    assert seen([marked("ignore:old", "error")], *issued) == ["raised"] * 3
    assert seen([marked("error::UserWarning"), marked("ignore::UserWarning")], *issued) == ["", "", "shown"]
    assert seen([marked("error", name="other")], *issued) == [""] * 3, "another mark filters nothing"
    assert seen([], *issued) == [""] * 3


def test_categories_are_found_by_their_module_and_pytests_own_are_never_issued():
    with pytest.warns(UserWarning), warning_filters.filtered([marked("error::pytest.PytestWarning")]):
        warnings.warn("x", UserWarning, stacklevel=1)
    with (
        pytest.raises((AttributeError, ModuleNotFoundError)),
        warning_filters.filtered([marked("error::no.such.Kind")]),
    ):
        pass


def test_what_a_function_under_warns_takes_and_gives_is_passed_on():
    def old(a, b, *, c):
        warnings.warn("old", FutureWarning, stacklevel=1)
        return a, b, c

    assert warning_filters.warns(FutureWarning, old, 1, 2, c=3) == (1, 2, 3)
    assert warning_filters.deprecated_call(old, 1, 2, c=3) == (1, 2, 3)
    with pytest.raises(warning_filters.Failed, match="DID NOT WARN"):
        warning_filters.warns(FutureWarning, old, 1, 2, c=3, match="new")
    with pytest.raises(warning_filters.Failed):
        warning_filters.deprecated_call(warnings.warn, "x", UserWarning)
