"""Prompts for trainers of RL: every form keeps what an answer is verified by, and a run gives only tasks of its dataset."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import evoltune
from evoltune.cli import main
from evoltune.dataset.rl_prompts import PROMPT_FORMS, VerifiablePrompt, export_prompts, prompts_of_rows
from evoltune.domain import load_domain
from evoltune.errors import DataError
from evoltune.rows.readers import read_rows
from evoltune.train.rl.trainer_rewards import columns_of

ROWS = (
    {"question": "2+3?", "answer": "2+3=<<2+3=5>>5\n#### 5"},
    {"messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Half of 9?"}], "reference": 4.5},
    {"problem": "Root of 2 x^2 = 8, x > 0?", "solution": "So $x=\\boxed{2}$."},
)  # fmt: skip
RIGHT = ("The answer is 5", "4.5", "\\boxed{2}")


def truths(form: str, row: dict) -> dict:
    """The columns that a trainer hands to the reward."""
    return {
        "trl": lambda: {name: value for name, value in row.items() if name != "prompt"},
        "verl": lambda: columns_of(row["reward_model"]["ground_truth"], "reference"),
        "openrlhf": lambda: {k: v for k, v in columns_of(row["label"], "reference").items() if k != "domain"},
        "open-instruct": lambda: {"ground_truth": row["ground_truth"]},
        "verifiers": lambda: columns_of(row["info"], "reference"),
        "nemo-gym": lambda: {"reference": row["reference"]},
    }[form]()  # fmt: skip


@pytest.fixture(scope="module")
def reward():
    with evoltune.reward("math", workers=1) as reward:
        yield reward


@pytest.fixture
def rows(tmp_path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.mark.parametrize("form", sorted(PROMPT_FORMS))
def test_every_form_judges_answers_as_the_row_itself_does(form, rows, tmp_path, reward, monkeypatch):
    out = tmp_path / "out.jsonl"
    assert main(["data", "export", str(rows), "--domain", "math", "--form", form, "--out", str(out)]) == 0
    read = list(read_rows(out))
    for row, right in zip(read, RIGHT, strict=True):
        columns = {name: [value] * 2 for name, value in truths(form, row).items()}
        assert reward([right, "The answer is 77"], **columns) == [1.0, 0.0]
    asked = [next(v for k, v in row.items() if k in ("prompt", "messages", "responses_create_params")) for row in read]
    turns = [value["input"] if isinstance(value, dict) else value for value in asked]
    assert [turn["role"] for turn in turns[1]] == ["system", "user"] and turns[0][-1]["content"] == "2+3?"


@pytest.mark.parametrize("form", sorted(PROMPT_FORMS))
def test_the_datasets_library_loads_every_form_with_all_that_verifies(form, tmp_path):
    datasets = pytest.importorskip("datasets")
    tests = ("assert f(1) == 2", {"inputs": ["1", 2], "outputs": [["3"], None]}, ["assert f(1) == 2"], "[1]")
    columns = [{"tests": value, "entry_point": "f"} for value in tests]
    columns += [{"reference": value} for value in ("a", 4.5, 7)]
    asked = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Write f."})
    prompts = [
        VerifiablePrompt(id=str(i), domain="code", messages=asked[i % 2 :], columns=held)
        for i, held in enumerate(columns)
    ]
    out = tmp_path / "o.jsonl"
    assert export_prompts(prompts, out, form) == len(prompts)
    rows = datasets.load_dataset("json", data_files=str(out), split="train", cache_dir=str(tmp_path / "cache"))
    for row, held in zip(rows, columns, strict=True):
        if form == "open-instruct":  # one column for either, without the name of the function
            held, found = {"ground_truth": next(iter(held.values()))}, row
        else:
            found = {**row, **truths("trl" if form == "nemo-gym" else form, row)}
        for name, value in held.items():
            assert found[name] in (value, json.dumps(value))


def test_rows_that_nothing_can_verify_are_counted_and_left_out(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "Why?"}\n{"question": "2+3?", "reference": "5"}\n')
    left_out: list[str] = []
    assert (
        len(list(prompts_of_rows(str(path), load_domain("math"), left_out))) == 1
        and "rows.jsonl:1: neither" in left_out[0]
    )
    with pytest.raises(DataError, match="neither reference nor tests"):
        list(prompts_of_rows(str(path), load_domain("math")))
    assert (
        main(["data", "export", str(path), "--domain", "math", "--form", "trl", "--out", str(tmp_path / "o.jsonl")])
        == 0
    )
    assert "1 left out" in capsys.readouterr().err


def test_an_export_without_any_reference_writes_nothing(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "Why?"}\n')
    assert (
        main(["data", "export", str(path), "--domain", "math", "--form", "verl", "--out", str(tmp_path / "o.jsonl")])
        == 2
    )
    assert not (tmp_path / "o.jsonl").exists() and "nothing is written" in capsys.readouterr().err
    assert main(["data", "export", str(path), "--form", "verl", "--out", str(tmp_path / "o.jsonl")]) == 2
    assert "give --domain" in capsys.readouterr().err


values = st.one_of(st.text(max_size=20), st.lists(st.text(max_size=9), max_size=3), st.integers())


@given(columns=st.dictionaries(st.sampled_from(["reference", "tests", "entry_point", "stdin"]), values, min_size=1))
def test_columns_survive_as_text(columns):
    prompt = VerifiablePrompt(id="1", domain="math", messages=(), columns=columns)
    read = columns_of(prompt.truth, "reference")
    assert read == columns or not columns.keys() & {"reference", "tests"}


def test_an_unknown_form_is_named(tmp_path):
    with pytest.raises(DataError, match="did you mean 'verl'"):
        export_prompts([], tmp_path / "o.jsonl", "very")
