"""LLaMA-Factory's dataset_info.json: a name becomes an address, and rows are never read from other columns than it maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evoltune.cli import main
from evoltune.errors import DataError, RecipeError
from evoltune.recipe import load_recipe
from evoltune.rows.dataset_info import INFO, named_dataset, refuse_unfit

ALPACA = {"instruction": "Add 2 and 3.", "input": "", "output": "5"}
FLIPPED = {"instruction": "A note of the annotator.", "question": "Add 2 and 3.", "answer": "5", "output": "unchecked"}
TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
PLAIN_TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}


def written(folder: Path, spec: dict[str, Any], *rows: dict[str, Any]) -> Path:
    (folder / "data").mkdir()
    (folder / "data" / INFO).write_text(json.dumps({"mine": spec}))
    (folder / "data" / "rows.json").write_text(json.dumps(rows))
    (folder / "in.yaml").write_text("model_name_or_path: o/b\nstage: sft\ndataset: mine\ntemplate: alpaca\n")
    return folder / "data" / "rows.json"


@pytest.mark.parametrize(
    ("spec", "row"),
    [
        ({}, ALPACA),
        ({"columns": {"prompt": "instruction", "query": "input", "response": "output"}}, {**ALPACA, "input": "As a word."}),
        ({"columns": {"prompt": "question", "response": "answer", "system": "system", "history": "history"}},
         {"question": "And 4?", "answer": "4", "system": "Be brief.", "history": [["2?", "2"]]}),
        ({"formatting": "sharegpt"}, {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}),
        ({"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": PLAIN_TAGS}, {"messages": TALK}),
    ],
)  # fmt: skip
def test_a_mapping_that_is_read_here_by_names_gives_the_file(tmp_path: Path, spec: dict[str, Any], row: dict[str, Any]):
    file = written(tmp_path, {"file_name": "rows.json", **spec}, row)
    assert named_dataset("mine", "data", tmp_path / "in.yaml") == (str(file), [])
    refuse_unfit(file)


@pytest.mark.parametrize(
    ("spec", "row"),
    [
        ({"columns": {"prompt": "question", "response": "answer"}}, FLIPPED),
        ({"columns": {"prompt": "instruction", "response": "output"}}, {**ALPACA, "input": "Not for training."}),
        ({"columns": {"prompt": "q", "response": "a"}}, {"q": "Add.", "a": "5"}),
        ({"formatting": "sharegpt", "columns": {"messages": "dialog"}, "tags": PLAIN_TAGS}, {"dialog": TALK, "messages": TALK[:1]}),
        ({"formatting": "sharegpt", "tags": {**PLAIN_TAGS, "user_tag": "assistant", "assistant_tag": "user"}},
         {"conversations": TALK[::-1]}),
    ],
)  # fmt: skip
def test_a_mapping_to_other_columns_is_refused_by_import_and_by_training(
    tmp_path: Path, spec: dict[str, Any], row: dict[str, Any]
):
    file = written(tmp_path, {"file_name": "rows.json", **spec}, row)
    with pytest.raises(RecipeError, match=r"mine: maps .*found by their names"):
        named_dataset("mine", "data", tmp_path / "in.yaml")
    for ref in (file, file.parent):
        with pytest.raises(DataError, match=rf"rows\.json: {INFO} beside it maps"):
            refuse_unfit(ref)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"file_name": "rows.json", "ranking": True, "columns": {"prompt": "p", "chosen": "c", "rejected": "r"}}, "ranking: preference"),
        ({"file_name": "rows.json", "columns": {"prompt": "instruction", "response": "output", "kto_tag": "good"}}, "kto_tag: marks"),
        ({"ms_hub_url": "o/n"}, "no file_name and no hf_hub_url"), ({"script_url": "mine.py"}, "script_url: rows that"),
        ({"hf_hub_url": "o/n", "columns": {"prompt": "chosen", "response": "reply"}}, "maps prompt: chosen, response: reply"),
    ],
)  # fmt: skip
def test_other_data_and_unknown_columns_of_a_hub_dataset_are_refused(tmp_path: Path, spec: dict[str, Any], why: str):
    written(tmp_path, spec, ALPACA)
    with pytest.raises(RecipeError, match=why):
        named_dataset("mine", "data", tmp_path / "in.yaml")


def test_the_importer_writes_the_address_and_says_what_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    spec = {"hf_hub_url": "o/n", "subset": "main", "split": "train[:10%]", "num_samples": 50, "folder": "sub"}
    written(tmp_path, spec, ALPACA)
    monkeypatch.chdir(tmp_path)
    assert main(["recipes", "import", "--from", "llamafactory", "in.yaml", "--out", "out.yaml"]) == 0
    assert load_recipe("out.yaml").train.dataset == "o/n:main:train"
    err = capsys.readouterr().err
    assert all(f"dataset[mine].{key}" in err for key in ("split", "num_samples", "folder"))


def test_a_name_that_is_not_in_the_file_is_refused_and_one_without_a_file_is_lost(tmp_path: Path, capsys):
    written(tmp_path, {"file_name": "rows.json"}, ALPACA)
    with pytest.raises(RecipeError, match="did you mean 'mine'"):
        named_dataset("mein", "data", tmp_path / "in.yaml")
    assert named_dataset("mine", "elsewhere", tmp_path / "in.yaml") is None
    assert named_dataset("o/n", "ONLINE", tmp_path / "in.yaml") == ("o/n", [])
