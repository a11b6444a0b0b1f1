"""Balanced sets: even over difficulty and skill, the same on every run."""

from __future__ import annotations

from collections import Counter

import pytest

from evoltune.errors import DataError
from evoltune.evaluate.balanced_set import balanced_set


def rows():
    return [{"instruction": f"q{i}", "difficulty": 1 + i % 10, "skill": "abc"[i % 3]} for i in range(300)]


def test_a_built_set_is_balanced_over_difficulty_and_skills_and_repeats():
    found = balanced_set(rows(), 60, seed=3)
    assert set(Counter(row["difficulty"] for row in found).values()) == {6}
    assert set(Counter((row["difficulty"], row["skill"]) for row in found).values()) == {2}
    assert found == balanced_set(rows(), 60, seed=3) != balanced_set(rows(), 60, seed=4)
    assert len({row["instruction"] for row in found}) == 60


def test_a_set_larger_than_the_file_is_refused():
    with pytest.raises(DataError, match="300 rows state a difficulty"):
        balanced_set([*rows(), {"instruction": "no difficulty"}], 301)
