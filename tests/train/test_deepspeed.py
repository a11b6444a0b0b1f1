"""DeepSpeed's configuration, generated from the recipe, and stale compile locks."""

from __future__ import annotations

import json
import time

import pytest

from evoltune.errors import RecipeError, TrainingError
from evoltune.recipe import Train, load_recipe
from evoltune.train.deepspeed import deepspeed_config, refuse_stale_locks, zero_name


@pytest.mark.parametrize("name", ["zero1", "zero2", "zero3", "zero3-offload"])
def test_the_json_is_generated_from_the_recipe(name):
    recipe = load_recipe("smoke/math", [f"train.deepspeed={name}", "train.global_batch_size=64"])
    config = deepspeed_config(recipe, "bf16", world=4)
    assert config["zero_optimization"]["stage"] == int(name[4])
    assert config["train_micro_batch_size_per_gpu"] == 8 and config["gradient_accumulation_steps"] == 2
    assert config["bf16"]["enabled"] and not config["fp16"]["enabled"]
    assert ("offload_param" in config["zero_optimization"]) == name.endswith("offload")
    assert json.loads(json.dumps(config)) == config


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("zero2", "zero2"),
        ({"zero_optimization": {"stage": 0}}, "none"),
        ({"zero_optimization": {"stage": 3}}, "zero3"),
        ({"zero_optimization": {"stage": 3, "offload_param": {"device": "cpu"}}}, "zero3-offload"),
    ],
)
def test_a_stage_has_its_recipe_name_in_a_users_json_too(given, name):
    assert zero_name(Train(deepspeed=given)) == name


def test_without_deepspeed_there_is_no_json():
    assert deepspeed_config(load_recipe("smoke/math")) is None


def test_a_users_json_is_compared_with_the_recipe_and_each_conflict_named():
    theirs = {
        "train_micro_batch_size_per_gpu": 4, "bf16": {"enabled": "auto"}, "gradient_clipping": 0.5,
        "zero_optimization": {"stage": 2},
    }  # fmt: skip
    recipe = load_recipe("smoke/math", [f"train.deepspeed={json.dumps(theirs)}"])
    with pytest.raises(RecipeError) as caught:
        deepspeed_config(recipe, "bf16", world=2)
    assert "train_micro_batch_size_per_gpu: 4, the recipe says 8" in str(caught.value)
    assert "gradient_clipping: 0.5, the recipe says 1.0" in str(caught.value)
    assert "bf16" not in str(caught.value)


def test_a_users_json_that_agrees_is_kept_with_its_own_keys():
    theirs = {"zero_optimization": {"stage": 2, "reduce_bucket_size": 5}, "comms_logger": {"enabled": True}}
    config = deepspeed_config(load_recipe("smoke/math", [f"train.deepspeed={json.dumps(theirs)}"]), "bf16", world=2)
    assert config["zero_optimization"]["reduce_bucket_size"] == 5 and config["comms_logger"]["enabled"]
    assert config["train_micro_batch_size_per_gpu"] == 8


def test_a_users_optimizer_section_is_refused():
    theirs = {"zero_optimization": {"stage": 2}, "optimizer": {"type": "AdamW"}}
    with pytest.raises(RecipeError, match="the recipe's own keys"):
        deepspeed_config(load_recipe("smoke/math", [f"train.deepspeed={json.dumps(theirs)}"]))


def test_a_stale_compile_lock_is_named_with_the_command_that_removes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    lock = tmp_path / "py311_cpu" / "deepspeed_shm_comm" / "lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    refuse_stale_locks()
    with pytest.raises(TrainingError, match=r"stale compile lock .*: remove it with `rm "):
        refuse_stale_locks(now=time.time() + 3600)
