"""Loading: embedding rows of new tokens, pad tokens."""

from __future__ import annotations

import pytest

from evoltune.models.load import LIGER, Kernels, choose_kernels
from evoltune.recipe import Train

torch = pytest.importorskip("torch")


def test_new_tokens_get_the_average_row_and_are_trained_whole_under_lora(tiny_base):
    from transformers import AutoModelForCausalLM

    from evoltune.models.load import grow_embeddings, load_tokenizer, prepare_tokenizer
    from evoltune.train.sft.model import add_lora

    tokenizer = load_tokenizer(str(tiny_base))
    stop, added = prepare_tokenizer(tokenizer, "lima")
    assert added == ["<|eot|>"] and stop.id == len(tokenizer) - 1
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    before = model.get_input_embeddings().weight.detach().clone()
    assert grow_embeddings(model, len(tokenizer)) == 1
    assert torch.allclose(model.get_input_embeddings().weight[-1], before.mean(0), atol=1e-6)
    adapted = add_lora(model, Train(finetuning_type="lora"), embeddings=True)
    trained = {n.split(".")[-4] for n, p in adapted.named_parameters() if p.requires_grad and "modules_to_save" in n}
    assert {"embed_tokens", "lm_head"} == trained


def test_the_output_layer_sees_contiguous_rows_and_says_the_same(tiny_base):
    from transformers import AutoModelForCausalLM

    from evoltune.models.load import with_contiguous_rows

    model = AutoModelForCausalLM.from_pretrained(tiny_base).eval()
    ids, seen = torch.tensor([[5, 6, 7], [8, 9, 10]]), []
    with torch.inference_mode():
        before = model(input_ids=ids, logits_to_keep=1).logits
    head = with_contiguous_rows(model).get_output_embeddings()
    head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].is_contiguous()))
    with torch.inference_mode():
        assert torch.equal(model(input_ids=ids, logits_to_keep=1).logits, before)
        model.generate(ids, max_new_tokens=2, min_new_tokens=2)
    assert seen == [True] * 3


def test_a_pad_token_that_equals_the_stop_token_is_replaced_where_the_vocabulary_allows(tiny_tokenizer):
    import copy

    from evoltune.models.load import prepare_tokenizer

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.pad_token = "<|im_end|>"
    stop, _ = prepare_tokenizer(tokenizer, "chat")
    assert stop.token == "<|im_end|>" and tokenizer.pad_token == "<pad>"


def test_without_a_gpu_only_the_recipe_decides():
    packed = Train(packing=True, max_length=2048)
    assert choose_kernels(packed, "bf16", gpu=False, installed=lambda _: True) == Kernels(None, liger=False)
    chosen = Train(attn_implementation="eager")
    assert choose_kernels(chosen, "fp32", gpu=False) == Kernels("eager", liger=False)


@pytest.mark.parametrize(
    ("length", "precision", "attention"), [(512, "bf16", "eager"), (513, "bf16", None), (512, "fp32", None)]
)
def test_on_a_cpu_short_rows_in_bf16_take_plain_attention(length: int, precision: str, attention: str | None):
    assert choose_kernels(Train(max_length=length), precision, gpu=False).attention == attention


@pytest.mark.parametrize(
    ("train", "precision", "attention"),
    [
        (Train(packing=True), "bf16", "flash_attention_2"),
        (Train(packing=True), "fp32", None),  # flash-attention has no fp32
        (Train(packing=False), "bf16", None),
        (Train(packing=True, attn_implementation="sdpa"), "bf16", "sdpa"),
    ],
)
def test_on_a_gpu_what_is_installed_is_taken(train: Train, precision: str, attention: str | None):
    assert choose_kernels(train, precision, gpu=True, installed=lambda _: True) == Kernels(attention, liger=True)


def test_what_is_missing_is_named_with_the_command():
    found = choose_kernels(Train(packing=True), "bf16", gpu=True, installed=lambda _: False)
    assert (found.attention, found.liger) == (None, False)
    assert [line.partition(" ")[0] for line in found.missing] == ["flash-attn", "liger-kernel"]
    assert all("pip install" in line for line in found.missing)


def test_liger_can_be_left_out_and_is_then_not_missed():
    off = Train(use_liger_kernel=False)
    assert not choose_kernels(off, "bf16", gpu=True, installed=lambda _: True).liger
    assert choose_kernels(off, "bf16", gpu=True, installed=lambda _: False).missing == ()


def test_the_loss_stays_ours():
    assert not LIGER["cross_entropy"]
    assert not LIGER["fused_linear_cross_entropy"]


def test_a_new_token_in_a_padded_table_gets_the_average_of_the_rows_that_are_used(tiny_base):
    from transformers import AutoModelForCausalLM

    from evoltune.models.load import grow_embeddings

    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    rows = model.get_input_embeddings().weight
    used = len(rows) - 20
    mean, spare = rows[:used].detach().mean(0), rows[used + 1 :].detach().clone()
    assert grow_embeddings(model, used + 1, [used]) == 0
    assert torch.allclose(model.get_input_embeddings().weight[used], mean, atol=1e-6)
    assert torch.equal(model.get_input_embeddings().weight[used + 1 :], spare)


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"temperature": 0.9, "top_p": 0.6}, True),
        ({"early_stopping": "sometimes"}, False),
        ({"do_sample": True, "top_k": 5}, True),
    ],
)
def test_an_invalid_generation_config_of_a_base_is_repaired_so_that_it_can_be_saved(
    tiny_base, tmp_path, settings, kept
):
    from transformers import AutoModelForCausalLM, GenerationConfig

    from evoltune.models.load import repair_generation_config

    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    for name, value in settings.items():
        setattr(model.generation_config, name, value)
    repair_generation_config(model)
    model.generation_config.save_pretrained(tmp_path)
    found = GenerationConfig.from_pretrained(tmp_path)
    assert found.eos_token_id == 1
    assert all((getattr(found, name) == value) == kept for name, value in settings.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("model.layers.1.mlp.up_proj.weight"), "1 weights of LlamaForCausalLM are not in its files (model.layers.1.mlp"),
        (lambda weights: weights.update({f"vision.{k}": weights.pop(k) for k in list(weights)}), "and would be random"),
    ],
)  # fmt: skip
def test_a_base_whose_files_lack_weights_is_refused_instead_of_drawn_at_random(tiny_base, tmp_path, change, message):
    import shutil

    from safetensors.torch import load_file, save_file

    from evoltune.errors import TrainingError
    from evoltune.models.load import load_model

    folder = tmp_path / "base"
    shutil.copytree(tiny_base, folder)
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingError) as raised:
        load_model(str(folder), Train(finetuning_type="full"), "fp32")
    assert message in str(raised.value)
    (folder / "model.safetensors").write_bytes((tiny_base / "model.safetensors").read_bytes()[:-99])
    with pytest.raises(TrainingError, match="does not load"):
        load_model(str(folder), Train(finetuning_type="full"), "fp32")
    shutil.copy(tiny_base / "model.safetensors", folder)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"intermediate_size": ', '"intermediate_size": 1'))
    with pytest.raises(TrainingError, match="its weights have other sizes than its config"):
        load_model(str(folder), Train(finetuning_type="full"), "fp32")
