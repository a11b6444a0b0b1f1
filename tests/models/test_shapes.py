"""The size of a model equals that of the real one."""

from __future__ import annotations

import pytest

from evoltune.errors import RecipeError
from evoltune.models.shapes import Shape, from_config, shape_of

torch = pytest.importorskip("torch", reason="needs evoltune[train]")
transformers = pytest.importorskip("transformers", reason="needs evoltune[train]")


@pytest.mark.parametrize("name", ["llama", "llama-grouped", "qwen2", "qwen3", "mistral", "starcoder2", "gpt_bigcode"])
def test_parameters_and_names_equal_those_of_the_real_model(name, config_of):
    config = config_of(name)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    shape = from_config(config.to_dict())
    assert shape.parameters == sum(p.numel() for p in model.parameters())
    names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    assert shape.layer_names == {name for name in names if name and not name.isdigit()}


@pytest.mark.parametrize("name", ["llama-grouped", "qwen2", "gpt_bigcode"])
def test_lora_parameters_equal_those_of_peft(name, config_of, model_of):
    peft = pytest.importorskip("peft", reason="needs evoltune[train]")
    model = peft.get_peft_model(model_of(name, torch.float32), peft.LoraConfig(r=8, target_modules="all-linear"))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert from_config(config_of(name).to_dict()).lora_parameters(8) == trained


def test_a_named_target_counts_only_that_layer_and_a_wrong_name_is_refused(config_of):
    shape = from_config(config_of("llama").to_dict())
    assert shape.lora_parameters(8, ("q_proj",)) == 2 * 8 * (64 + 64)
    with pytest.raises(RecipeError, match="did you mean 'q_proj'"):
        shape.lora_parameters(8, ("q_pro",))


def test_an_unknown_base_says_how_to_give_its_shape(config_of, tmp_path):
    with pytest.raises(RecipeError, match=r"config\.json"):
        shape_of("somebody/unknown")
    config_of("llama").save_pretrained(tmp_path)
    assert isinstance(shape_of(str(tmp_path)), Shape)
