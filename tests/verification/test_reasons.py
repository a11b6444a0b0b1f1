"""Why answers did not pass: kinds, examples, and lines that a terminal can show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.verification.reasons import SHOWN, Reasons, explained, kind_of


def verdict(reason, status="fail", **more):
    return {"id": "a", "status": status, "reason": reason, "evidence": {}, **more}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("syntax error on line 3: invalid syntax", "syntax error on line 12: invalid syntax"),
        ("imports 'torch', which the policy does not allow", "imports 'jax', which the policy does not allow"),
        ("more than 1 s of CPU", "more than 2.5 s of CPU"),
        ("failed: assert f(1) == 2 (last call gave 1)", "failed: assert f([]) == []"),
        ("NameError: name 'x' is not defined in: assert f(1)", "NameError: name 'yy' is not defined in: check(f)"),
        ("does not compile: main.c:1:1: unknown type", "does not compile: main.c:7:3: expected ';'"),
        ("first line\nsecond", "first line\nother"),
    ],
)
def test_reasons_that_differ_in_a_number_or_a_name_count_together(one, other):
    assert kind_of(one) == kind_of(other)
    assert kind_of(one) != kind_of("no answer found")


def test_the_answer_stands_beside_its_reference():
    line = explained(verdict("not equal", evidence={"extracted": "5"}), {"answer": "so 5", "reference": 4})
    assert line == "a: not equal (answer '5', reference 4)"
    assert explained(verdict("not equal", sample=2), {"answer": "so 5", "solution": "4"}) == (
        "a #2: not equal (answer ends 'so 5', reference '4')"
    )
    assert (
        explained(verdict("failed: assert f(1) == 2"), {"answer": "x", "tests": "t"}) == "a: failed: assert f(1) == 2"
    )


def test_counts_and_examples_are_listed_by_frequency():
    reasons = Reasons()
    for number in range(3):
        reasons.add(verdict(f"wrong by {number}"))
    reasons.add(verdict("", status="timeout"))
    reasons.add(verdict("", status="pass"))
    assert list(reasons.lines()) == [
        "  3 fail: wrong by N", "      e.g. a: wrong by 0", "  1 timeout: no reason given", "      e.g. a",
    ]  # fmt: skip
    assert reasons.facts()[0] == {"status": "fail", "reason": "wrong by N", "rows": 3, "example": "a: wrong by 0"}
    for number in range(20):
        reasons.add(verdict("abcdefghijklmnopqrstu"[number]))
    assert list(reasons.lines())[-1] == f"  {22 - SHOWN} more reasons"


@given(st.text(), st.text(), st.text() | st.integers() | st.lists(st.text()), st.text() | st.lists(st.text()))
def test_a_line_is_one_line_without_control_characters(reason, answer, reference, row_id):
    found = verdict(reason, evidence={"extracted": answer}) | {"id": row_id}
    line = explained(found, {"answer": answer, "reference": reference})
    assert all(c.isprintable() or c == "\t" for c in line) and len(line) < 3000
