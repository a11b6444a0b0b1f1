"""The model that is trained: residual dropout."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")


def test_residual_dropout_grows_from_the_bottom_to_the_top_and_only_while_training(tiny_base):
    from transformers import AutoModelForCausalLM

    from evoltune.train.sft.model import add_residual_dropout

    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    ids = torch.arange(5, 60)[None]
    plain = model.eval()(ids).logits
    add_residual_dropout(model, 0.5)
    assert torch.equal(model(ids).logits, plain)
    zeros = {}
    for depth, layer in enumerate(model.model.layers):
        layer.mlp.register_forward_hook(lambda m, i, o, d=depth: zeros.update({d: (o == 0).float().mean().item()}))
    model.train()(ids)
    assert zeros[0] == 0.0 and 0.4 < zeros[1] < 0.6


@pytest.fixture
def tied(tiny_base, tmp_path):
    """The tiny base with one matrix for embeddings and output layer."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(tiny_base, tie_word_embeddings=True)
    return lambda: AutoModelForCausalLM.from_config(config)


def lora(model, **settings):
    from evoltune.recipe import Train
    from evoltune.train.sft.model import add_lora

    return add_lora(model, Train(finetuning_type="lora", **settings))


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"lora_target_modules": ("q_proj", "v_porj")}, "no layer is named 'v_porj': did you mean 'v_proj'"),
        ({"lora_target_modules": "q_proj,w"}, "no layer is named 'w'"),
        ({"lora_modules_to_save": ("embed",)}, "train.lora_modules_to_save: no layer is named 'embed'"),
        ({"lora_target_modules": ("q_proj", "lm_head")}, "'lm_head': this base uses one matrix"),
        ({"lora_target_modules": ".*(q_proj|embed_tokens)"}, "'embed_tokens': this base uses one matrix"),
        ({"lora_target_modules": "nothing.*"}, "train.lora_target_modules: "),
    ],
)
def test_targets_that_would_be_left_out_or_could_not_be_merged_are_refused(tied, settings, error):
    from evoltune.errors import RecipeError

    with pytest.raises(RecipeError, match=error):
        lora(tied(), **settings)


def test_an_adapter_on_an_output_layer_of_its_own_is_allowed(tiny_base):
    from transformers import AutoModelForCausalLM

    adapted = lora(AutoModelForCausalLM.from_pretrained(tiny_base), lora_target_modules=("lm_head",))
    assert any("lm_head.lora_A" in name for name, _ in adapted.named_parameters())


@pytest.mark.parametrize("names", [("embed_tokens",), ("lm_head",), ("embed_tokens", "lm_head")])
def test_a_tied_matrix_is_saved_whole_under_any_of_its_names_and_merges_into_the_same_function(tied, names, tmp_path):
    from peft import PeftModel

    from evoltune.train.sft.checkpoint import compare_saved

    base = tied()
    weights = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    adapted = lora(base, lora_modules_to_save=names)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter += 0.02
    adapted.save_pretrained(tmp_path)
    assert compare_saved(adapted, tmp_path, 0) > 0
    fresh = tied()
    fresh.load_state_dict(weights)
    ids = torch.arange(5, 40)[None]
    wanted = adapted.eval()(ids).logits
    loaded = PeftModel.from_pretrained(fresh, tmp_path).eval()
    assert torch.allclose(loaded(ids).logits, wanted, atol=1e-5)
    merged = loaded.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    again = type(merged).from_pretrained(tmp_path / "merged").eval()
    assert torch.allclose(again(ids).logits, wanted, atol=1e-4)
