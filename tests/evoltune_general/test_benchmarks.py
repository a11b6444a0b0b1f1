"""Readers of the open-domain suites."""

import json

import pytest

from evoltune.errors import DataError
from evoltune.evaluate.suites import later_turns
from evoltune_general.benchmarks import BENCHMARKS


def rows(path, *found):
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return path


def test_the_wizardlm_test_set_is_read_with_skill_and_difficulty(tmp_path):
    path = rows(tmp_path / "w.jsonl", {"idx": 3, "Skill": "Art", "Difficulty": 7, "Instruction": "Describe a fugue."})
    (task,) = BENCHMARKS["wizardlm"].load(path)
    assert (task.name, task.instruction) == ("wizardlm/3", "Describe a fugue.")
    assert task.fields == {"skill": "Art", "difficulty": 7}


def test_vicuna_questions_come_as_text_or_as_turns(tmp_path):
    path = rows(
        tmp_path / "v.jsonl",
        {"question_id": 1, "text": "How?", "category": "generic"},
        {"question_id": 2, "turns": ["Why?", "And then?"], "category": "math", "reference": ["So.", "Then."]},
    )
    one, two = BENCHMARKS["vicuna"].load(path)
    assert (one.instruction, one.fields["skill"], one.name) == ("How?", "generic", "vicuna/1")
    assert (two.instruction, two.fields["later_turns"]) == ("Why?", ["And then?"])
    assert "reference_answers" not in one.fields and two.fields["reference_answers"] == ["So.", "Then."]
    assert later_turns(one) == [] and later_turns(two) == ["And then?"]
    assert [task.name for task in BENCHMARKS["mt-bench"].load(path)] == ["mt-bench/1", "mt-bench/2"]


@pytest.mark.parametrize(
    ("suite", "row", "said"),
    [
        ("wizardlm", {"idx": 1, "Skill": "Art", "Difficulty": 11, "Instruction": "x"}, "must be 1 to 10"),
        ("wizardlm", {"idx": 1, "Difficulty": 1, "Instruction": "x"}, "no field 'Skill'"),
        ("vicuna", {"question_id": 1, "turns": [], "category": "x"}, "must be a list of texts"),
        (
            "mt-bench",
            {"question_id": 1, "turns": ["a"], "category": "x", "reference": "b"},
            "'reference'.*list of texts",
        ),
        ("lima", {"conversations": "x"}, "must be a list of texts"),
    ],
)
def test_a_damaged_row_names_its_place(tmp_path, suite, row, said):
    with pytest.raises(DataError, match=said):
        list(BENCHMARKS[suite].load(rows(tmp_path / "bad.jsonl", row)))
