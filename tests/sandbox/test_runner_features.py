"""Tests that need more of a runner than functions and asserts get its verdict, and `error` where something is not offered.

`benchmarks/test_runners.py` compares the same files with `python -m pytest` and `python -m unittest` themselves.
"""

import pytest
from runner_features import PYTEST, UNITTEST, UNSUPPORTED

from evoltune.verification.checker import open_checker
from evoltune.verification.rows import verify_rows


@pytest.fixture(scope="module")
def rows():
    """(program, tests) -> row, all of them verified at once."""
    features = {**PYTEST, **UNITTEST}.values()
    pairs = [(program, text) for program, tests, old, new in features for text in (tests, tests.replace(old, new))]
    pairs += [(program, tests) for program, tests, _ in UNSUPPORTED.values()]
    with open_checker("code", workers=1, require="L0", cache=False) as checker:
        given = ({"answer": program, "tests": tests, "entry_point": "f"} for program, tests in pairs)
        return dict(zip(pairs, verify_rows(checker, given), strict=True))


@pytest.mark.parametrize("name", [*PYTEST, *UNITTEST])
def test_a_feature_of_a_runner_is_there_and_counts(rows, name):
    program, tests, old, new = {**PYTEST, **UNITTEST}[name]
    assert old in tests
    right, changed = rows[program, tests], rows[program, tests.replace(old, new)]
    assert (right["status"], right["reason"]) == ("pass", "")
    assert changed["status"] == "fail" and "not supported" not in changed["reason"]


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_offered_is_an_error_that_names_it(rows, name):
    program, tests, named = UNSUPPORTED[name]
    assert rows[program, tests]["status"] == "error" and named in rows[program, tests]["reason"]
