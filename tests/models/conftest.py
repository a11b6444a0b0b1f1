"""Small configurations of every model family, and a trained adapter with its merged model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evoltune.recipe import load_recipe

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
def adapter(tiny_base: Path, tiny_rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA checkpoint of three steps."""
    pytest.importorskip("torch")
    from evoltune.train.launch import train

    out = tmp_path_factory.mktemp("adapter") / "checkpoint"
    overrides = [
        f"train.model_name_or_path={tiny_base}", "eval.suites=[]", "train.precision=fp32", "train.max_steps=3",
        "train.warmup_steps=2",
    ]  # fmt: skip
    train(load_recipe("smoke/math", overrides), tiny_rows, out, suites={})
    return out


@pytest.fixture(scope="session")
def merged(adapter: Path) -> tuple[Path, dict[str, Any]]:
    """The merged model of the adapter, and its manifest."""
    from evoltune.models.merge import merge

    out = adapter.with_name("merged")
    return out, merge(adapter, out, "float32")
