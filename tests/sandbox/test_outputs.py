"""When printed text is the expected text: the law of `evoltune.sandbox.outputs`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.sandbox.outputs import same_output

LINES = st.lists(st.text("ab _1.- ", max_size=6), max_size=5)


@given(LINES, st.lists(st.sampled_from(["", " ", "\t"]), max_size=5), st.integers(0, 3))
def test_blanks_at_line_ends_and_around_the_text_are_free(lines, blanks, newlines):
    padded = [line + (blanks[i] if i < len(blanks) else "") for i, line in enumerate(lines)]
    text = "\n".join(lines)
    assert same_output("\r\n".join(padded) + "\n" * newlines, text)
    assert same_output(text, "\n" + text + "\n")


@given(st.text("ab* ", min_size=1, max_size=6), st.integers(1, 4))
def test_leading_blanks_count(text, count):
    if text.strip():
        assert not same_output(" " * count + text, text)


@given(st.integers(-(10**25), 10**25), st.integers(1, 10**6))
def test_whole_numbers_are_exact_at_any_size(number, difference):
    for atol in (0.0, 1e-6, 0.5):
        assert not same_output(str(number + difference), str(number), atol)


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        ("0.3333333333", "0.333333", True),
        ("0.34", "0.333333", False),
        ("nan", "0.333333", False),
        ("inf", "1e400", False),
        ("0.333333 0", "0.333333", False),
        ("YES 0.66666667", "YES 0.6666666667", True),
        ("NO 0.66666667", "YES 0.6666666667", False),
        ("2.0", "2", True),
        ("1000000006.0", "1000000007", False),
        ("1000000006\n0.5", "1000000007\n0.5", False),
        ("9007199254740993", "9007199254740992", False),
        ("1_000_000", "1000000", False),
        ("1_0.5", "10.5", False),
        ("١.٥", "1.5", False),
        ("1.5e3", "1500.0", True),
        ("123456789012.5", "123456789012.6", True),
        ("1e-3", "0.001", True),
        ("0x1p3", "8.0", False),
        ("1.", "1.0", True),
        ("1e99999999", "2.0", False),
    ],
)
def test_the_tolerance_is_between_floats(got, expected, same):
    assert same_output(got, expected, 1e-6) is same
