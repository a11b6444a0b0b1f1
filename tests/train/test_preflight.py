"""What this machine lacks for a training is said before anything is paid for."""

from __future__ import annotations

import pytest

from evoltune.cluster.ray_engine import check_address
from evoltune.errors import EngineError, RecipeError
from evoltune.recipe import load_recipe
from evoltune.run.run import Run
from evoltune.train.preflight import check_layers, check_machine, check_optimizer, check_setup

NEEDS_GPU = ["train.finetuning_type=qlora", "train.precision=fp16", "train.attn_implementation=flash_attention_2"]


@pytest.mark.parametrize("override", NEEDS_GPU)
def test_what_needs_a_gpu_is_refused_where_there_is_none(override: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("smoke/math", [override])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    key, _, value = override.partition("=")
    with pytest.raises(RecipeError, match=f"{key}: {value}: needs a GPU, and this machine has none: use"):
        check_machine(recipe)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    check_machine(recipe)


def test_what_other_nodes_train_is_left_to_them(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    how = ["compute.launcher=slurm", "train.precision=fp16"]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RecipeError, match=r"compute\.launcher: slurm: no sbatch on this machine"):
        check_machine(load_recipe("smoke/math", how))
    (tmp_path / "sbatch").write_text("#!/bin/sh\n")
    (tmp_path / "sbatch").chmod(0o755)
    check_machine(load_recipe("smoke/math", how))


def test_a_logger_that_is_not_installed_is_named(tmp_path) -> None:
    with pytest.raises(RecipeError, match=r"train\.report_to: 'flyte' is not installed: pip install flytekit"):
        check_setup(load_recipe("smoke/math", ["train.report_to=[flyte]"]), tmp_path)
    check_setup(load_recipe("smoke/math", ["train.report_to=[none]"]), tmp_path)


def test_more_ranks_than_devices_that_they_may_see_are_refused(tmp_path) -> None:
    seen = ["compute.env={CUDA_VISIBLE_DEVICES: '0,1'}"]
    with pytest.raises(
        RecipeError, match=r"CUDA_VISIBLE_DEVICES: '0,1' shows 2 devices, and compute\.gpus_per_node is 4"
    ):
        check_setup(load_recipe("smoke/math", [*seen, "compute.gpus_per_node=4"]), tmp_path)
    check_setup(load_recipe("smoke/math", [*seen, "compute.gpus_per_node=2"]), tmp_path)


def test_a_layer_that_the_base_has_not_is_named_before_anything_starts(tmp_path) -> None:
    told = r"train\.lora_modules_to_save: 'embed_token' is no layer of qwen2: did you mean 'embed_tokens'"
    lora = ["train.model_name_or_path=Qwen/Qwen2.5-Coder-1.5B", "train.finetuning_type=lora"]
    recipe = load_recipe("smoke/math", [*lora, "train.lora_modules_to_save=[lm_head, embed_token]"])
    with pytest.raises(RecipeError, match=told):
        check_layers(recipe)
    check_layers(load_recipe("smoke/math", [*lora, "train.lora_modules_to_save=[lm_head, layers.0.mlp]"]))
    check_layers(load_recipe("smoke/math", ["train.model_name_or_path=org/unknown", "train.lora_modules_to_save=[x]"]))


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["min_learning_rate=1e-6", "lr_scheduler_type=constant"], "min_learning_rate: 1e-06: has no effect"),
        (["min_learning_rate=1e-3", "learning_rate=1e-4"], "min_learning_rate: 0.001 is above train.learning_rate 0.0001"),
        (["warmup_steps=5", "warmup_ratio=0.1"], "warmup_ratio: 0.1: has no effect beside train.warmup_steps 5"),
        (["lora_dropout=1"], "lora_dropout: 1: below 1"), (["adam_beta2=1"], "adam_beta2: 1: below 1"),
    ],
)  # fmt: skip
def test_a_schedule_of_which_a_part_has_no_effect_is_refused(overrides: list[str], told: str) -> None:
    train = load_recipe("smoke/math", [f"train.{override}" for override in overrides]).train
    with pytest.raises(RecipeError, match=f"train.{told}"):
        check_optimizer(train)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_ray_cluster_that_does_not_answer_is_named_before_anything_starts(address: str, tmp_path) -> None:
    recipe = load_recipe("smoke/math", ["compute.engine=ray", f"compute.ray_address={address}"])
    with pytest.raises(EngineError, match=f"compute.ray_address: no Ray cluster answers at {address}"):
        Run(recipe=recipe, folder=tmp_path).check_here(("verify",))


def test_a_ray_address_without_a_port_is_refused() -> None:
    with pytest.raises(EngineError, match="'head': must be auto, local, HOST:PORT or ray://HOST:PORT"):
        check_address("head")
    check_address("auto")
