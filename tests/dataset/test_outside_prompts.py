"""Prompts from outside a run pass the check that its training rows pass."""

import json

import pytest

from evoltune.cli import main
from evoltune.dataset.outside_prompts import outside_prompts
from evoltune.errors import DataError, RecipeError
from evoltune.recipe import load_recipe
from evoltune.run.run import Run

TEXT = ["curate.overlap=false"]
"""By text alone: the domain's own functions would start workers."""


@pytest.fixture(scope="module")
def held_out():
    """A problem of the suite that smoke/math reports."""
    return next(iter(Run(recipe=load_recipe("smoke/math"), folder="").suites.values())).tasks[5]


@pytest.fixture
def rows(tmp_path, held_out):
    path = tmp_path / "rows.jsonl"
    turns = [("user", held_out.instruction), ("assistant", "I see."), ("user", "And twice as much?")]
    found = [
        {"question": "What is 2 + 3?", "answer": "5"},
        {"question": "Who are you?"},
        {"question": f"Careful: {held_out.instruction}", "answer": held_out.reference},
        {"messages": [{"role": role, "content": text} for role, text in turns], "reference": "8"},
        {"messages": [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hi."},
                      {"role": "user", "content": "What is 7 + 1?"}], "reference": "8"},
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


def test_what_gives_away_a_suite_in_any_turn_is_left_out_and_counted(rows, tmp_path, capsys):
    prompts, counts = outside_prompts(str(rows), Run(recipe=load_recipe("smoke/math", TEXT), folder=tmp_path))
    assert [p.messages[-1]["content"] for p in prompts] == ["What is 2 + 3?", "What is 7 + 1?"]
    reason = "contaminated: gradeschool-heldout by 13-gram"
    assert counts == {"in": 5, "kept": 2, reason: 2, "neither reference nor tests": 1}
    told = capsys.readouterr().err
    assert "2 of 5 prompts" in told and f"2 {reason} (rows.jsonl:3, rows.jsonl:4)" in told and "(rows.jsonl:2)" in told


def test_without_suites_the_line_says_that_nothing_was_checked(rows, tmp_path, capsys):
    work = Run(recipe=load_recipe("smoke/math", [*TEXT, "eval.suites=[]"]), folder=tmp_path)
    assert len(outside_prompts(str(rows), work)[0]) == 4
    assert "checked against nothing" in capsys.readouterr().err


def test_rows_that_are_all_of_a_suite_are_an_error(tmp_path, held_out):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"question": held_out.instruction, "answer": held_out.reference}))
    with pytest.raises(DataError, match=r"0 of 1 prompts .*contaminated.*give other rows"):
        outside_prompts(str(path), Run(recipe=load_recipe("smoke/math", TEXT), folder=tmp_path))


def test_the_stage_and_the_trainers_for_many_gpus_get_the_clean_ones(rows, tmp_path):
    pytest.importorskip("trl", reason="TRL is not installed (pip install evoltune[rl]): the stage was not run")
    from evoltune.train.rl.stage import reinforce

    run = tmp_path / "run"
    with pytest.raises(RecipeError, match="no finished checkpoint"):
        reinforce(Run(recipe=load_recipe("smoke/math", [*TEXT, f"rl.prompts={rows}"]), folder=run))
    given = ["--rows", str(rows), "--model", "org/m", "--out", str(run), "--trainer", "verl", "--print-launch"]
    assert main(["rl", "smoke/math", *given, *TEXT]) == 0
    for written in (run / "prompts.jsonl", run / "rl-verl" / "train.jsonl"):
        asked = [json.loads(line)["prompt"][-1]["content"] for line in written.read_text().splitlines()]
        assert asked == ["What is 2 + 3?", "What is 7 + 1?"]
    noted = json.loads((run / "prompts.json").read_text())
    assert noted["source"] == str(rows) and (noted["in"], noted["kept"]) == (5, 2)
