"""What this machine lacks for a training is said before anything is paid for."""

from __future__ import annotations

import pytest

from evoltune.errors import RecipeError
from evoltune.recipe import load_recipe
from evoltune.train.preflight import check_machine, check_setup

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
