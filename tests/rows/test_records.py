"""Seeds and rows as records: a bad seed refuses its whole source."""

import json

import pytest

from evoltune.domain import Domain, load_domain
from evoltune.errors import DataError
from evoltune.recipe import Recipe, Seeds, Source
from evoltune.record import Record, Task, Verdict
from evoltune.rows.readers import BadRow
from evoltune.rows.records import read_records, seed_records, source_records

OWN = [Record(domain="toy", task=Task(instruction=f"own {i}")) for i in range(3)]
TOY = Domain(
    name="toy", seeds=lambda: OWN, operators=(), columns=("entry_point",), verify=lambda *_: Verdict(status="pass")
)


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def seeds(path, limit=0):
    return list(seed_records(Recipe(domain="toy", seeds=Seeds(path=path, limit=limit)), TOY))


def test_without_a_path_the_domains_own_seeds_are_taken_up_to_the_limit():
    assert seeds(None) == OWN and seeds(None, limit=2) == OWN[:2]


def test_a_seed_file_gives_tasks_with_answers_columns_and_provenance(tmp_path):
    row = {
        "instruction": "Do",
        "output": "Done",
        "reference": 4,
        "entry_point": "f",
        "licence": "MIT",
        "category": "sums",
    }
    (record,) = seeds(str(written(tmp_path / "s.jsonl", [row])))
    assert record.task.reference == "4" and record.task.name == "s.jsonl:1"
    assert record.task.fields == {"entry_point": "f", "licence": "MIT", "skill": "sums"}
    assert [(a.text, a.model) for a in record.answers] == [("Done", "seed")]


def test_two_equal_seed_rows_stay_two_records(tmp_path):
    first, second = seeds(str(written(tmp_path / "s.jsonl", [{"instruction": "Do"}] * 2)))
    assert first.id != second.id


def test_a_seed_without_an_instruction_is_refused_with_file_and_line(tmp_path):
    path = written(tmp_path / "s.jsonl", [{"instruction": "Do"}, {"output": "x"}])
    with pytest.raises(DataError, match=r"s\.jsonl:2: no instruction"):
        seeds(str(path))
    bad: list[BadRow] = []
    assert len(list(read_records(str(path), TOY, bad))) == 1 and bad[0].where == f"{path}:2"


def test_a_mixed_source_gives_its_answered_rows_with_licence_and_source(tmp_path):
    rows = [{"instruction": "Do", "output": "Done"}, {"instruction": "Only asked"}, {"foo": 1},
            {"instruction": "Own", "output": "Yes", "licence": "MIT", "source": "site"}]  # fmt: skip
    path = str(written(tmp_path / "s.jsonl", rows))
    bad: list[BadRow] = []
    first, second = source_records(Source(path=path, licence="CC0"), TOY, bad)
    assert first.task.fields == {"licence": "CC0", "source": path}
    assert second.task.fields["licence"] == "MIT" and second.task.fields["source"] == "site"
    assert [(b.where, b.reason.split(":")[0]) for b in bad] == [
        (f"{path}:2", "no answer"),
        (f"{path}:3", "no instruction"),
    ]


def test_a_conversational_prompt_is_mixed_and_marked_answers_are_not(tmp_path):
    asked, answered = [{"role": "user", "content": "Q"}], [{"role": "assistant", "content": "A"}]
    rows = [{"prompt": asked, "completion": answered}, {"prompt": [*asked, *answered, *asked], "completion": answered}]
    bad: list[BadRow] = []
    (found,) = source_records(Source(path=str(written(tmp_path / "s.jsonl", rows))), TOY, bad)
    assert (found.task.instruction, found.answers[0].text) == ("Q", "A")
    assert "answers that are marked as without loss" in bad[0].reason


def test_a_worked_solution_gives_its_task_a_reference_where_the_row_brings_none(tmp_path):
    """As GSM8K and MATH are published: without it nothing could verify them."""
    rows = [
        {"question": "Tom has 3 apples and buys 4.", "answer": "He has 3 + 4 = <<3+4=7>>7.\n#### 7"},
        {"problem": "What is $1+1$?", "solution": "It is $\\boxed{2}$."},
        {"instruction": "What is 2 + 2?", "output": "It is 4 in all, I think"},
        {"instruction": "What is 2 + 2?", "output": "#### 5", "reference": "4"},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    records = list(read_records(str(path), load_domain("math")))
    assert [record.task.reference for record in records] == ["7", "2", None, "4"]
    assert [record.task.reference for record in read_records(str(path), load_domain("general"))] == [
        None,
        None,
        None,
        "4",
    ]


@pytest.mark.parametrize(
    ("answer", "kind"), [("72", r"a number \(72\)"), ('{"value": 72}', "an object"), ("[72]", "a list")]
)
def test_a_seed_whose_answer_is_no_text_is_refused_and_not_taken_for_a_question_alone(tmp_path, answer, kind):
    (tmp_path / "s.jsonl").write_text(f'{{"question": "How many?", "answer": {answer}}}\n')
    with pytest.raises(DataError, match=rf"s\.jsonl:1: column 'answer' holds {kind}, must be text"):
        list(read_records(str(tmp_path / "s.jsonl"), load_domain("math")))
    for rest in ("", ', "answer": null', ', "answer": []', f', "answer": {answer}, "reference": "72"'):
        (tmp_path / "s.jsonl").write_text(f'{{"question": "How many?"{rest}}}\n')
        assert len(list(read_records(str(tmp_path / "s.jsonl"), load_domain("math")))) == 1
