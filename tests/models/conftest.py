"""Small configurations of every model family, and the merged model of the trained adapter."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SMALL: dict[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 176, "num_attention_heads": 4, "vocab_size": 320,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": SMALL,
    "llama-grouped": SMALL | {"model_type": "llama", "num_key_value_heads": 2, "head_dim": 32},
    "qwen2": SMALL | {"num_key_value_heads": 2, "tie_word_embeddings": True},
    "qwen3": SMALL | {"num_key_value_heads": 2, "head_dim": 16},
    "mistral": SMALL | {"num_key_value_heads": 2},
    "starcoder2": SMALL | {"num_key_value_heads": 2},
    "gpt_bigcode": {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 320, "n_positions": 256,
                    "resid_pdrop": 0.0, "attn_pdrop": 0.0, "embd_pdrop": 0.0, "bos_token_id": 1, "eos_token_id": 2},
}  # fmt: skip


@pytest.fixture(scope="session")
def config_of() -> Callable[[str], Any]:
    """The configuration of a small model by its name in CONFIGS."""
    transformers = pytest.importorskip("transformers", reason="needs evoltune[train]")

    def make(name: str) -> Any:
        values = dict(CONFIGS[name])
        return transformers.AutoConfig.for_model(values.pop("model_type", name), **values)

    return make


@pytest.fixture(scope="session")
def model_of(config_of: Callable[[str], Any]) -> Callable[[str, Any], Any]:
    """A small model with random weights, by its name and dtype."""
    transformers = pytest.importorskip("transformers", reason="needs evoltune[train]")

    def make(name: str, dtype: Any) -> Any:
        model = transformers.AutoModelForCausalLM.from_config(config_of(name), attn_implementation="sdpa")
        return model.to(dtype)

    return make


@pytest.fixture(scope="session")
def merged(adapter: Path, made_once) -> tuple[Path, dict[str, Any]]:
    """The merged model of the adapter, and its manifest."""
    from evoltune.models.merge import merge

    out = made_once("merged", lambda folder: merge(adapter, folder, "float32"))
    return out, json.loads((out / "manifest.json").read_text())
