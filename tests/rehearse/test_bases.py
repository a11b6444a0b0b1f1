"""Stand-in bases: the architecture of the real ones, and tokenizers with the traits that decide training."""

from __future__ import annotations

from pathlib import Path

import pytest

from evoltune.errors import DataError
from evoltune.models.shapes import known_configs
from evoltune.rehearse.bases import TRAITS, write_base_repository

pytest.importorskip("torch")
TEXTS = ["Add 2 and 3.\n#### 5", "def f(x):\n    return x + 1\n"] * 20


def test_every_base_that_recipes_name_has_traits_and_an_architecture(tmp_path: Path):
    for name in known_configs():
        assert any(name.startswith(start) for start in TRAITS), name


@pytest.mark.parametrize(
    ("name", "kind", "traits"),
    [
        ("bigcode/starcoder", "GPTBigCodeForCausalLM", {"pad": None, "template": False, "bos": False}),
        ("meta-llama/Llama-2-70b-hf", "LlamaForCausalLM", {"pad": None, "template": False, "bos": True}),
        ("mistralai/Mistral-7B-v0.1", "MistralForCausalLM", {"pad": None, "template": False, "bos": True}),
        ("Qwen/Qwen2.5-1.5B", "Qwen2ForCausalLM", {"pad": "<|endoftext|>", "template": True, "bos": False}),
    ],
)
def test_a_base_loads_with_the_traits_of_the_real_one(name, kind, traits, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = write_base_repository(tmp_path, name, TEXTS)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert type(model).__name__ == kind and model.num_parameters() < 1_000_000
    assert bool(model.config.tie_word_embeddings) == bool(
        known_configs()[name].get("tie_word_embeddings", "bigcode" in name)
    )
    assert tokenizer.pad_token == traits["pad"]
    assert bool(tokenizer.chat_template) == traits["template"]
    ids = tokenizer("Größe: 5 €\n\tx = 1")["input_ids"]
    assert (ids[0] == tokenizer.bos_token_id) == traits["bos"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "Größe: 5 €\n\tx = 1"


def test_a_base_without_a_stand_in_is_named(tmp_path):
    with pytest.raises(DataError, match="no stand-in for 'acme/llm'"):
        write_base_repository(tmp_path, "acme/llm", TEXTS)
