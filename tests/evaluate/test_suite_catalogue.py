"""The list of suites, and suites side by side."""

from __future__ import annotations

import json

import pytest

from evoltune.evaluate.suite_catalogue import share_tables, suite_rows, suite_shares
from evoltune.evaluate.suites import declared_suites
from evoltune.evaluate.task_fields import number_in, numeric_order


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
