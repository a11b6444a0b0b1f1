"""Export of a dataset to JSONL forms and to the hub."""

import json
from pathlib import Path

import pytest

from evoltune.cli import main
from evoltune.dataset.export import FORMS, export_jsonl, push_to_hub
from evoltune.errors import DataError
from evoltune.record import Verdict
from evoltune.rows.readers import read_rows

PASS, FAIL, UNKNOWN = (Verdict(status=s) for s in ("pass", "fail", "unverifiable"))


@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_export_form_reads_back_to_the_same_conversation(record, write, tmp_path, form):
    from evoltune.rows.columns import recognise

    turns = record(1, history=(("system", "Be brief"), ("user", "one"), ("assistant", "two")))
    folder = write(tmp_path / "d", [record(0), turns])
    assert export_jsonl(folder / "train.parquet", tmp_path / "out.jsonl", form) == 2
    read = {r.instruction: r for r in map(recognise, read_rows(tmp_path / "out.jsonl"))}
    assert read["task 0"].output == "a" and read["task 1"].output == "a"
    assert read["task 1"].history == turns.task.history


def test_only_a_finished_dataset_of_ours_is_exported_or_pushed(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"instruction": "a"}\n')
    with pytest.raises(DataError, match="not a dataset written by evoltune"):
        export_jsonl(tmp_path / "x.jsonl", tmp_path / "o.jsonl", "chat")
    with pytest.raises(DataError, match="only a finished dataset is pushed"):
        push_to_hub(tmp_path, "someone/something")


def test_export_writes_a_form_and_refuses_what_is_no_dataset(record, write, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "run" / "dataset", [record(0), record(1)])
    assert main(["data", "export", "run", "--form", "sharegpt", "--out", "x.jsonl"]) == 0
    assert json.loads(Path("x.jsonl").read_text().split("\n")[0])["conversations"][0]["from"] == "human"
    assert main(["data", "export", "run"]) == 2 and main(["data", "export", ".", "--out", "y.jsonl"]) == 2
    assert main(["data", "export", "run", "--out", "y.jsonl", "--public"]) == 2
    assert "no effect without --push" in capsys.readouterr().err
