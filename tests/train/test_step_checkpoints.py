"""The checkpoints of an unfinished job: the newest undamaged one counts, and the best one is chosen on a dev suite."""

from __future__ import annotations

import json

import pytest

from evoltune.errors import RecipeError
from evoltune.recipe import load_recipe
from evoltune.train.step_checkpoints import check_selection, mark_complete, select_checkpoint

torch = pytest.importorskip("torch")


def test_the_best_answers_choose_the_checkpoint_and_perplexity_is_only_shown(job_in, tmp_path, capsys):
    from safetensors.torch import load_file, save_file

    job = job_in(tmp_path, "train.checkpoint_select=generations", "train.dev_suite=dev", "train.save_steps=2")
    for number in (2, 4):
        folder = job.steps / f"checkpoint-{number}"
        folder.mkdir(parents=True)
        save_file({"w": torch.full((2,), float(number))}, folder / "model.safetensors")
        mark_complete(folder)
    save_file({"w": torch.full((2,), 6.0)}, tmp_path / "model.safetensors")
    (tmp_path / "template.json").write_text("{}")
    (tmp_path / "metrics.jsonl").write_text(
        "".join(json.dumps({"step": n, "loss": 3.0 - n / 4}) + "\n" for n in range(1, 7))
    )

    compared = []

    def score(recipe, model, out, reference):
        assert recipe.eval.suites == ("dev",)
        compared.append((out.name, reference.name))
        return {2: 0.3, 4: 0.7, 6: 0.5}[int(load_file(f"{model}/model.safetensors")["w"][0].item())]

    manifest = select_checkpoint(job, {"steps": 6, "files": {}}, score)
    assert manifest["selected_step"] == 4
    assert load_file(tmp_path / "model.safetensors")["w"][0].item() == 4.0
    table = json.loads((tmp_path / "selection.json").read_text())["table"]
    assert [row["step"] for row in table] == [2, 4, 6]
    assert compared == [("6", "6"), ("2", "6"), ("4", "6")]  # by a judge, all are compared with the last state
    assert table[-1]["train_perplexity"] < table[0]["train_perplexity"]  # and yet step 6 was not chosen
    assert "step 4: 70.0% on dev" in capsys.readouterr().err


def test_among_equal_scores_the_last_state_stays(job_in, tmp_path):
    from safetensors.torch import load_file, save_file

    job = job_in(tmp_path, "train.checkpoint_select=generations", "train.dev_suite=dev", "train.save_steps=2")
    folder = job.steps / "checkpoint-2"
    folder.mkdir(parents=True)
    save_file({"w": torch.full((2,), 2.0)}, folder / "model.safetensors")
    mark_complete(folder)
    save_file({"w": torch.full((2,), 6.0)}, tmp_path / "model.safetensors")
    assert select_checkpoint(job, {"steps": 6, "files": {}}, lambda *args: 0.0)["selected_step"] == 6
    assert load_file(tmp_path / "model.safetensors")["w"][0].item() == 6.0


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["train.save_steps=2"], "needs the name of a dev suite"),
        (["train.save_steps=2", "train.dev_suite=gsm8k", "eval.suites=[gsm8k]"], "a dev set must not be reported"),
        (["train.dev_suite=dev"], "leaves nothing to choose from"),
        (
            ["train.save_steps=2", "train.dev_suite=dev", "train.save_total_limit=1"],
            "train.save_total_limit: 1 keeps one",
        ),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused_at_once(overrides, reason):
    with pytest.raises(RecipeError, match=reason):
        check_selection(load_recipe("smoke/math", ["train.checkpoint_select=generations", *overrides]))


def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path, capsys):
    from evoltune.train.step_checkpoints import latest_step, mark_complete

    for step in (3, 12):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"weights")
        mark_complete(folder)
    assert latest_step(tmp_path).name == "checkpoint-12"
    (tmp_path / "checkpoint-12" / "model.safetensors").write_bytes(b"weightz")
    assert latest_step(tmp_path).name == "checkpoint-3"
    assert "checkpoint-12 is not used: model.safetensors is not what was saved" in capsys.readouterr().err
    (tmp_path / "checkpoint-99").mkdir()
    assert latest_step(tmp_path).name == "checkpoint-3"
