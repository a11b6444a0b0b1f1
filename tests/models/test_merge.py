"""A merged model is the same function as base and adapter."""

from __future__ import annotations

import shutil

import pytest

from evoltune.errors import TrainingError

pytest.importorskip("torch")


def test_a_merged_model_is_the_same_function_within_the_stated_bound(merged):
    out, manifest = merged
    assert 0 <= manifest["merge"]["difference"] <= manifest["merge"]["bound"] == 1e-4
    assert {"model.safetensors", "template.json", "README.md"} <= set(manifest["files"])
    assert not (out / "adapter_config.json").exists()


def test_a_merge_does_not_overwrite_a_finished_model(merged, adapter):
    from evoltune.models.merge import merge

    with pytest.raises(TrainingError, match="holds a finished model already"):
        merge(adapter, merged[0], "float32")


def test_a_bad_merge_is_not_published(adapter, tmp_path, monkeypatch):
    from peft.tuners.lora import LoraModel

    from evoltune.models.merge import merge

    right = LoraModel.merge_and_unload

    def wrong(self, *args, **kwargs):
        model = right(self, *args, **kwargs)
        model.get_output_embeddings().weight.data.mul_(1.5)
        return model

    monkeypatch.setattr(LoraModel, "merge_and_unload", wrong)
    with pytest.raises(TrainingError, match="another function than base \\+ adapter"):
        merge(adapter, tmp_path / "out", "float32")
    assert not (tmp_path / "out").exists()


def test_an_adapter_of_zeros_is_refused(adapter, tmp_path):
    from safetensors.torch import load_file, save_file

    from evoltune.models.merge import merge

    copy = tmp_path / "zero"
    shutil.copytree(adapter, copy)
    path = copy / "adapter_model.safetensors"
    save_file({k: v * 0 for k, v in load_file(path).items()}, path)
    with pytest.raises(TrainingError, match="all zeros"):
        merge(copy, tmp_path / "out", "float32")
