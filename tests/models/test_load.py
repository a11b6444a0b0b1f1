"""Loading: embedding rows of new tokens, pad tokens."""

from __future__ import annotations

import pytest

from evoltune.recipe import Train

torch = pytest.importorskip("torch")


def test_new_tokens_get_the_average_row_and_are_trained_whole_under_lora(tiny_base):
    from transformers import AutoModelForCausalLM

    from evoltune.models.load import grow_embeddings, load_tokenizer, prepare_tokenizer
    from evoltune.models.lora import add_lora

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


def test_a_pad_token_that_equals_the_stop_token_is_replaced_where_the_vocabulary_allows(tiny_tokenizer):
    import copy

    from evoltune.models.load import prepare_tokenizer

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.pad_token = "<|im_end|>"
    stop, _ = prepare_tokenizer(tokenizer, "chat")
    assert stop.token == "<|im_end|>" and tokenizer.pad_token == "<pad>"
