"""Reward models: trained, measured on held-out rows, saved, resumed, scored with."""

import json
import pickle
import subprocess
import sys

import pytest

from evoltune.errors import DataError, RecipeError
from evoltune.rows.files import file_digest
from evoltune.train.reward.held_out import calibration_error, is_held_out, pair_quality, step_quality
from evoltune.train.reward.launch import replace_train, summary, train_reward_model
from evoltune.train.reward.scorer import Scorer

pytest.importorskip("torch")


def test_a_step_model_learns_the_first_error_and_says_how_well(step_model):
    manifest = json.loads((step_model / "manifest.json").read_text())
    held_out = manifest["held_out"]
    assert manifest["kind"] == "steps" and held_out["solutions"] + manifest["data"]["kept"] == 48
    assert held_out["f1"] > 0.8 and held_out["step_accuracy"]["value"] > 0.8 and held_out["calibration_error"] < 0.35
    assert "held-out steps right" in summary(manifest)
    with Scorer(step_model) as scorer:
        good, bad = scorer.solutions(["Task 99?"] * 2, ["step 0: good\nstep 1: good", "step 0: good\nstep 1: BAD"])
        assert min(good) > 0.5 > bad[1] and good[0] == pytest.approx(bad[0], abs=1e-5)
        assert scorer.solutions(["q"], ["  "]) == [[]]


def test_scores_do_not_depend_on_what_is_scored_beside_them(step_model):
    texts = [f"step 0: good\nstep 1: {'so ' * i}BAD" for i in range(7)]
    with Scorer(step_model, batch_size=3) as several, pickle.loads(pickle.dumps(several)) as again:
        together = several.solutions(["q"] * 7, texts)
        alone = [again.solutions(["q"], [text])[0] for text in texts]
    for a, b in zip(together, alone, strict=True):
        assert a == pytest.approx(b, abs=1e-5)


def test_an_instruction_model_ranks_and_stays_between_0_and_1(instruction_model):
    held_out = json.loads((instruction_model / "manifest.json").read_text())["held_out"]
    assert held_out["pair_accuracy"]["value"] > 0.8 and held_out["pairs"] > 4
    with Scorer(instruction_model) as scorer:
        good, bad, same = scorer.instructions(["Work out 77 + 77, please.", "77 XXXX", "77 XXXX"])
    assert 0 < bad < good < 1 and bad == same


def test_other_libraries_read_an_instruction_model_as_a_sequence_classifier(instruction_model):
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(instruction_model, num_labels=1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(instruction_model)

    def logit(text: str) -> float:
        chat = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        return model(input_ids=chat["input_ids"]).logits.item()

    assert logit("Work out 77 + 77, please.") > logit("77 XXXX")


@pytest.mark.slow
def test_an_interrupted_job_ends_in_the_same_weights(reward_recipe, step_rows, tmp_path):
    more = ("train.finetuning_type=lora", "train.lora_r=4", "reward.steps.train={save_steps: 2}")
    whole, part = tmp_path / "whole", tmp_path / "part"
    train_reward_model(reward_recipe(*more), "steps", rows=step_rows, out=whole, start=None)
    job = json.loads((whole / "job.json").read_text())
    # Killed at step 5, after the checkpoint of step 4: a trainer of its own that ends itself there.
    script = (
        "import os, sys; from pathlib import Path\n"
        "from evoltune.train.job import Watchdog, read_job\n"
        "from evoltune.train.sft.callbacks import TrainingMonitor\n"
        "from evoltune.train.reward.trainer import run\n"
        "end = TrainingMonitor.on_step_end\n"
        "def stop(self, args, state, control, **more):\n"
        "    os.kill(os.getpid(), 9) if state.global_step == 5 else end(self, args, state, control, **more)\n"
        "TrainingMonitor.on_step_end = stop\n"
        "job = read_job(Path(sys.argv[1])); run(job, Watchdog(job))\n"
    )
    part.mkdir()
    (part / "job.json").write_text(json.dumps({**job, "out": str(part)}))
    killed = subprocess.run([sys.executable, "-c", script, str(part / "job.json")], capture_output=True)
    assert killed.returncode == -9 and (part / "steps" / "checkpoint-4").is_dir()
    assert not (part / "manifest.json").exists()
    train_reward_model(reward_recipe(*more), "steps", rows=step_rows, out=part, start=None)
    assert file_digest(part / "model.safetensors") == file_digest(whole / "model.safetensors")
    with pytest.raises(RecipeError, match="with other settings"):
        train_reward_model(
            reward_recipe(*more, "train.learning_rate=1e-4"), "steps", rows=step_rows, out=part, start=None
        )


def test_a_model_goes_on_from_the_layers_of_a_fine_tuned_adapter(reward_recipe, trained, step_rows, tmp_path):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from evoltune.train.reward.model import load_model

    start, recipe = trained("lora"), reward_recipe("train.finetuning_type=full")
    base = recipe.train.model_name_or_path
    model = load_model(base, str(start), recipe.train, "fp32", 259)
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), start).merge_and_unload()
    for name, weight in tuned.model.named_parameters():
        assert torch.allclose(model.model.get_parameter(name), weight, atol=1e-6), name
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_settings_of_the_prompt_are_the_checkpoints(reward_recipe):
    recipe = reward_recipe("reward.steps.train={learning_rate: 1e-5}")
    assert replace_train(recipe, recipe.reward.steps, None).train.learning_rate == 1e-5
    for given, message in (("{template: alpaca}", "has the checkpoint's"), ("{learning_rat: 1}", "learning_rat")):
        wrong = reward_recipe(f"reward.steps.train={given}")
        with pytest.raises(RecipeError, match=message):
            replace_train(wrong, wrong.reward.steps, None)
    with pytest.raises(RecipeError, match=r"reward.steps: not in the recipe"):
        from evoltune.recipe import load_recipe
        from evoltune.train.reward.launch import settings_of

        settings_of(load_recipe("smoke/math"), "steps")


def test_a_folder_without_a_finished_model_is_refused(tmp_path):
    with pytest.raises(DataError, match="no finished reward model"):
        Scorer(tmp_path)


def test_a_prompt_stands_on_one_side_and_the_share_is_kept():
    names = [f"task {i}" for i in range(2000)]
    held_out = [name for name in names if is_held_out(name, 0.1)]
    assert 150 < len(held_out) < 250 and held_out == [name for name in held_out if is_held_out(name, 0.2)]
    assert not any(is_held_out(name, 0.0) for name in names) and all(is_held_out(name, 1.0) for name in names)


def test_quality_of_known_scores():
    assert calibration_error([(0.75, 1.0)] * 3 + [(0.75, 0.0)]) == pytest.approx(0.0)
    assert calibration_error([(0.95, 0.0)]) == pytest.approx(0.95)
    found = step_quality([[1.0, 0.0, -100.0], [1.0, 1.0], [-100.0, 1.0]], [[3.0, -3.0, 1.0], [3.0, -1.0], [0.0, 2.0]])
    assert (found["steps"], found["step_accuracy"]["value"]) == (5, 0.8)
    assert (found["wrong"]["value"], found["right"]["value"], found["right"]["n"]) == (1.0, 0.0, 1)
    assert pair_quality([[2.0], [1.0], [0.0], [3.0]])["pair_accuracy"]["value"] == 0.5
