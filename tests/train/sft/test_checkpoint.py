"""A saved model is read back and compared with the one in memory."""

from __future__ import annotations

import pytest

from evoltune.errors import TrainingError
from evoltune.recipe import Train

pytest.importorskip("torch")


@pytest.fixture
def saved(tiny_base, tmp_path):
    from transformers import AutoModelForCausalLM

    from evoltune.train.sft.model import add_lora

    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    adapted = add_lora(model, Train(finetuning_type="lora"))
    adapted.save_pretrained(tmp_path)
    return adapted, tmp_path


def test_an_adapter_reads_back_as_it_is_in_memory(saved):
    from evoltune.train.sft.checkpoint import compare_saved

    model, folder = saved
    assert compare_saved(model, folder, 0) == sum(p.requires_grad for p in model.parameters()) == 28


@pytest.mark.parametrize(
    ("fault", "expected"),
    [("empty", "has shape"), ("value", "differs"), ("missing", "is missing"), ("cut", "cannot be read back")],
)
def test_a_wrong_adapter_fails_the_save(saved, fault, expected):
    import torch
    from safetensors.torch import load_file, save_file

    from evoltune.train.sft.checkpoint import compare_saved

    model, folder = saved
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    first = next(iter(tensors))
    if fault == "empty":  # what ZeRO-3 saves where the partitions are not gathered
        tensors = {name: torch.empty(0) for name in tensors}
    elif fault == "value":
        tensors[first] = tensors[first] + 1
    elif fault == "missing":
        del tensors[first]
    save_file(tensors, path)
    if fault == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TrainingError, match=f"the save is wrong: .*{expected}"):
        compare_saved(model, folder, 0)


def test_an_adapter_with_trained_embeddings_saves_them_once(tiny_base, tmp_path):
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    from evoltune.models.load import grow_embeddings
    from evoltune.train.sft.checkpoint import compare_saved
    from evoltune.train.sft.model import add_lora

    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    grow_embeddings(model, model.config.vocab_size + 1)
    adapted = add_lora(model, Train(finetuning_type="lora"), embeddings=True)
    adapted.save_pretrained(tmp_path)
    assert compare_saved(adapted, tmp_path, 0) == 30
    whole = [name for name in load_file(tmp_path / "adapter_model.safetensors") if "lora" not in name]
    assert sorted(whole) == ["base_model.model.lm_head.weight", "base_model.model.model.embed_tokens.weight"]
