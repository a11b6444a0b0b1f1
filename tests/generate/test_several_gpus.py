"""One copy of a model on several GPUs, as far as a machine without any can tell: how many copies there are, and which layer lies where."""

from __future__ import annotations

import pytest

from evoltune.errors import RecipeError
from evoltune.generate.completions import generate
from evoltune.generate.job import GenerationSettings, ModelSource, SampleRequest
from evoltune.generate.processes import process_count


@pytest.mark.parametrize(("gpus", "each", "count"), [("0,1,2,3", 1, 4), ("0,1,2,3", 2, 2), ("0,1,2,3,4", 2, 2)])
def test_a_machine_holds_a_copy_for_each_group_of_gpus(gpus, each, count, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    assert process_count(ModelSource(model="m", gpus_each=each)) == count


def test_too_few_gpus_for_one_copy_are_an_error_before_anything_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    settings = GenerationSettings(model="m", weights="w", template="chat")
    asked = [SampleRequest(suite="s", problem="p", sample=0, prompt="Hi")]
    with pytest.raises(RecipeError, match=r"eval.gpus_each: 4: a machine has 2 GPUs"):
        generate(asked, settings, ModelSource(model="m", gpus_each=4), tmp_path / "o.jsonl")


def test_layers_are_shared_out_evenly_and_none_is_cut_or_left_out():
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from evoltune.generate.transformers_worker import places_of

    config = transformers.LlamaConfig(
        vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=8, num_attention_heads=4
    )
    model = transformers.LlamaForCausalLM(config)
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    places = places_of(model, {2: size, 3: size})
    assert {*places.values()} == {2, 3}
    layers = [places[f"model.layers.{n}"] for n in range(8)]
    assert layers == sorted(layers) and 3 <= layers.count(2) <= 5
    assert all(any(name.startswith(part) for part in places) for name, _ in model.named_parameters())
    with pytest.raises(RuntimeError, match=r"eval.gpus_each: 2 GPUs have no room for"):
        places_of(model, {0: size // 4, 1: size // 4})
