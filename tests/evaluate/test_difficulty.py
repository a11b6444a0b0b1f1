"""Balanced sets: even over difficulty and skill, the same on every run."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from evoltune.errors import DataError
from evoltune.evaluate.difficulty import balanced_set, number_in, numeric_order
from evoltune.evaluate.suites import declared_suites, share_tables, suite_rows, suite_shares


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


def test_suites_are_listed_and_compared(tmp_path):
    assert [row["suite"] for row in suite_rows()] == list(declared_suites())
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps({"question": f"{i}?", "reference": "1"}) + "\n" for i in range(4)))
    lines = "\n".join(share_tables(suite_shares([f"math:{path}", "math/gradeschool-heldout"])))
    assert "mine (4)" in lines and "100.0%" in lines


def test_skills_and_mean_difficulty_are_counted_as_written(tmp_path):
    path = tmp_path / "WizardLM_testset.jsonl"
    rows = [{"idx": i, "Skill": ["Math", "Code"][i % 2], "Difficulty": 8 + i, "Instruction": "?"} for i in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "wizardlm").mkdir()
    path.rename(tmp_path / "wizardlm" / path.name)
    found = suite_shares(["general/wizardlm"], tmp_path)["wizardlm"]
    assert found["skill"] == {"Math": 2, "Code": 1} and found["mean_difficulty"] == 9.0


@pytest.mark.parametrize(("text", "number"), [("7.5", 7.5), ("Level 3", 3), ("10", 10), ("hard", None)])
def test_a_difficulty_is_one_number(text, number):
    assert number_in(text) == number


def test_levels_sort_by_number_and_not_by_letter():
    assert sorted(["10", "9.5", "2", "unknown"], key=numeric_order) == ["unknown", "2", "9.5", "10"]
