"""Super-NaturalInstructions in the layout in which it is published, with tasks of our own."""

import json
from pathlib import Path

import pytest

from evoltune.cli import main
from evoltune.errors import DataError
from evoltune.rows.dumps import read_dump
from evoltune.rows.readers import BadRow

EXAMPLE = {
    "input": "The lamp is red.",
    "output": "The lamp's colour is red.",
    "explanation": "Same meaning, other words.",
}


def task(folder: Path, name: str, category: str, instances: list[tuple[str, list[str]]], **more: object) -> None:
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    (folder / "tasks" / f"{name}.json").write_text(json.dumps({
        "Contributors": ["A. Writer"], "Source": ["own"], "URL": ["https://example.com"], "Categories": [category], "Reasoning": [],
        "Definition": [f"Work on the text as {name} asks."], "Input_language": ["English"], "Output_language": ["English"],
        "Instruction_language": ["English"], "Domains": ["Miscellaneous"],
        "Positive Examples": [EXAMPLE, EXAMPLE], "Negative Examples": [EXAMPLE],
        "Instances": [{"id": f"{name}-{i}", "input": asked, "output": said} for i, (asked, said) in enumerate(instances)],
        "Instance License": ["CC BY 4.0"], **more,
    }))  # fmt: skip


def said(number: int) -> tuple[str, list[str]]:
    return f"Boat {number} left at dawn.", ["ok", f"At dawn the boat with number {number} left the harbour."]


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "natural-instructions"
    task(folder, "task001_own_paraphrasing", "Paraphrasing", [said(n) for n in range(9)])
    task(
        folder,
        "task002_own_summarization",
        "Summarization",
        [said(n) for n in range(20, 29)],
        Definition="As one text.",
    )
    task(
        folder,
        "task003_own_sentiment",
        "Sentiment Analysis",
        [("Fine boat.", ["Positive"]), ("Bad boat.", ["Negative"])],
    )
    task(folder, "task004_own_french", "Paraphrasing", [said(1)], Output_language=["French"])
    task(folder, "task005_own_title_generation", "Title Generation", [("A boat left.", ["Boat Leaves"])])
    task(folder, "task006_own_paraphrasing", "Paraphrasing", [said(n) for n in range(40, 45)])
    splits = folder / "splits" / "default"
    splits.mkdir(parents=True)
    (splits / "train_tasks.txt").write_text("".join(f"task00{n}_own_{kind}\n" for n, kind in (
        (1, "paraphrasing"), (2, "summarization"), (3, "sentiment"), (4, "french"), (5, "title_generation"), (7, "missing"),
    )))  # fmt: skip
    return folder


def test_each_english_training_task_of_writing_gives_one_example_in_the_style_of_an_answer(checkout):
    bad: list[BadRow] = []
    rows = {row["id"]: row for row in read_dump(f"natural-instructions:{checkout}", bad)}
    assert set(rows) == {"task001_own_paraphrasing", "task002_own_summarization", "task005_own_title_generation"}
    first = rows["task001_own_paraphrasing"]
    asked, _, text = first["instruction"].partition("\n\n")
    assert asked == "Work on the text as task001_own_paraphrasing asks." and text.startswith("Boat ")
    number = text.split()[1]
    assert first["output"] == f"At dawn the boat with number {number} left the harbour."
    assert (first["source"], first["skill"], first["licence"]) == ("natural-instructions", "Paraphrasing", "CC-BY-4.0")
    assert rows["task002_own_summarization"]["instruction"].startswith("As one text.\n\n")
    assert [b.where for b in bad] == ["task007_own_missing.json"] and "No such file" in bad[0].reason


def test_the_folder_of_tasks_alone_is_read_whole_and_drawn_alike(checkout, tmp_path):
    listed = {row["id"]: row for row in read_dump(f"natural-instructions:{checkout}/tasks", [])}
    (checkout / "splits" / "default" / "train_tasks.txt").unlink()
    all_tasks = {row["id"]: row for row in read_dump(f"natural-instructions:{checkout}", [])}
    assert set(all_tasks) == {*listed, "task006_own_paraphrasing"} and all_tasks.items() >= listed.items()


def test_a_broken_task_file_is_counted_and_an_empty_folder_refused(checkout, tmp_path):
    (checkout / "tasks" / "task001_own_paraphrasing.json").write_text('{"Definition": ')
    (checkout / "tasks" / "task002_own_summarization.json").write_text('{"Definition": ["x"]}')
    bad: list[BadRow] = []
    assert len(list(read_dump(f"natural-instructions:{checkout}", bad))) == 1
    assert [b.where for b in bad][:2] == ["task001_own_paraphrasing.json", "task002_own_summarization.json"]
    assert "lacks the key 'Categories'" in bad[1].reason
    with pytest.raises(DataError, match="give a checkout"):
        list(read_dump(f"natural-instructions:{tmp_path}/nowhere"))


def test_selection_by_limas_rules_keeps_short_sentences_of_this_source_and_counts_what_it_refuses(
    checkout, tmp_path, capsys
):
    out = tmp_path / "chosen.jsonl"
    command = [
        "data",
        "select",
        f"natural-instructions:{checkout}",
        "--quota",
        "natural-instructions=50",
        "--out",
        str(out),
    ]
    assert main(command) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["source"] for row in rows] == ["natural-instructions"] * 2
    assert {row["skill"] for row in rows} == {"Paraphrasing", "Summarization"}
    assert "1 fewer than 5 words" in capsys.readouterr().err
