"""Shapes of models: what a plan needs to know of a base without its weights. Imports no torch.

    shape_of("bigcode/starcoder").parameters   # 15,517,456,384

Shapes come from a local `config.json`, else from a table of the bases that the shipped recipes name. Invariant: for every
family `parameters` equals the count of the real model (a test builds each on the meta device).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoltune.errors import RecipeError, nearest


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A decoder-only transformer. Sizes in elements."""

    family: str
    hidden: int
    layers: int
    ffn: int
    heads: int
    kv_heads: int
    vocab: int
    head_dim: int = 0
    positions: int = 0
    """Learned position embeddings (gpt_bigcode); 0: rotary."""
    tied: bool = False
    qkv_bias: bool = False
    all_bias: bool = False
    """Biases on every linear layer (gpt_bigcode, starcoder2)."""
    gated: bool = True
    """Gate, up and down projections (llama) against two (gpt_bigcode, starcoder2)."""
    norm_bias: bool = False
    qk_norm: bool = False

    @property
    def head_size(self) -> int:
        return self.head_dim or self.hidden // self.heads

    @property
    def linears(self) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of the linear layers of one block."""
        attention = self.heads * self.head_size
        kv = self.kv_heads * self.head_size
        d, f = self.hidden, self.ffn
        if self.family == "gpt_bigcode":
            return ((d, attention + 2 * kv), (attention, d), (d, f), (f, d))
        projections = ((d, attention), (d, kv), (d, kv), (attention, d))
        return (*projections, (d, f), (d, f), (f, d)) if self.gated else (*projections, (d, f), (f, d))

    @property
    def block(self) -> int:
        """Parameters of one block."""
        weights = sum(i * o for i, o in self.linears)
        biases = sum(o for _, o in self.linears) if self.all_bias else 0
        if self.qkv_bias and not self.all_bias:
            biases = self.heads * self.head_size + 2 * self.kv_heads * self.head_size
        norms = 2 * self.hidden * (2 if self.norm_bias else 1) + (2 * self.head_size if self.qk_norm else 0)
        return weights + biases + norms

    @property
    def parameters(self) -> int:
        """All parameters; tied embeddings count once."""
        embeddings = self.vocab * self.hidden * (1 if self.tied else 2) + self.positions * self.hidden
        return embeddings + self.layers * self.block + self.hidden * (2 if self.norm_bias else 1)

    def lora_parameters(self, r: int, targets: str | tuple[str, ...] = "all-linear") -> int:
        """Parameters of LoRA adapters of rank r on every linear layer of the blocks, or on the named ones."""
        chosen = self.linears if targets == "all-linear" else [self._named(name) for name in targets]
        return self.layers * sum(r * (i + o) for i, o in chosen)

    def _named(self, name: str) -> tuple[int, int]:
        names = {
            "gpt_bigcode": ("c_attn", "c_proj", "c_fc", "mlp.c_proj"),
            "starcoder2": ("q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj"),
        }.get(self.family, ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"))
        known = dict(zip(names, self.linears, strict=True))
        if name not in known:
            raise RecipeError(
                f"train.lora_target_modules: {name!r} is no linear layer of {self.family}: {nearest(name, known)}"
            )
        return known[name]


def _llama(
    hidden: int, layers: int, ffn: int, heads: int, kv_heads: int, vocab: int = 32000, **more: Any
) -> Shape:
    return Shape(
        family=more.pop("family", "llama"),
        hidden=hidden,
        layers=layers,
        ffn=ffn,
        heads=heads,
        kv_heads=kv_heads,
        vocab=vocab,
        **more,
    )


def _starcoder(hidden: int, layers: int, heads: int) -> Shape:
    return Shape(
        family="gpt_bigcode",
        hidden=hidden,
        layers=layers,
        ffn=4 * hidden,
        heads=heads,
        kv_heads=1,
        vocab=49152,
        positions=8192,
        tied=True,
        all_bias=True,
        gated=False,
        norm_bias=True,
    )


_QWEN: dict[str, Any] = {"family": "qwen2", "qkv_bias": True}
# From each base's published config.json.
TABLE: dict[str, Shape] = {
    "bigcode/starcoder": _starcoder(6144, 40, 48),
    "bigcode/starcoderbase-1b": _starcoder(2048, 24, 16),
    "bigcode/starcoderbase-3b": _starcoder(2816, 36, 22),
    "bigcode/starcoderbase-7b": _starcoder(4096, 42, 32),
    "huggyllama/llama-7b": _llama(4096, 32, 11008, 32, 32),
    "huggyllama/llama-13b": _llama(5120, 40, 13824, 40, 40),
    "huggyllama/llama-30b": _llama(6656, 60, 17920, 52, 52),
    "huggyllama/llama-65b": _llama(8192, 80, 22016, 64, 64),
    "meta-llama/Llama-2-7b-hf": _llama(4096, 32, 11008, 32, 32),
    "meta-llama/Llama-2-13b-hf": _llama(5120, 40, 13824, 40, 40),
    "meta-llama/Llama-2-70b-hf": _llama(8192, 80, 28672, 64, 8),
    "codellama/CodeLlama-7b-Python-hf": _llama(4096, 32, 11008, 32, 32),
    "codellama/CodeLlama-13b-Python-hf": _llama(5120, 40, 13824, 40, 40),
    "codellama/CodeLlama-34b-Python-hf": _llama(8192, 48, 22016, 64, 8),
    "HuggingFaceTB/SmolLM2-135M-Instruct": _llama(576, 30, 1536, 9, 3, 49152, tied=True),
    "Qwen/Qwen2.5-1.5B": _llama(1536, 28, 8960, 12, 2, 151936, tied=True, **_QWEN),
    "Qwen/Qwen2.5-Coder-1.5B": _llama(1536, 28, 8960, 12, 2, 151936, tied=True, **_QWEN),
    "Qwen/Qwen2.5-Math-1.5B": _llama(1536, 28, 8960, 12, 2, 151936, tied=True, **_QWEN),
    "Qwen/Qwen2.5-7B": _llama(3584, 28, 18944, 28, 4, 152064, **_QWEN),
    "Qwen/Qwen2.5-Coder-7B": _llama(3584, 28, 18944, 28, 4, 152064, **_QWEN),
    "Qwen/Qwen2.5-Math-7B": _llama(3584, 28, 18944, 28, 4, 152064, **_QWEN),
}


def shape_of(name: str) -> Shape:
    """The shape of a local folder with a config.json, or of a base in the table.

    Raises RecipeError that lists the known bases and says how to give a config.
    """
    config = Path(name).expanduser() / "config.json"
    if config.is_file():
        return from_config(json.loads(config.read_text(encoding="utf-8")), where=str(config))
    if name in TABLE:
        return TABLE[name]
    raise RecipeError(
        f"train.model_name_or_path: the shape of {name!r} is not known: {nearest(name, TABLE)}; "
        "or give a folder that holds its config.json"
    )


def from_config(raw: Mapping[str, Any], where: str = "config.json") -> Shape:
    """A Shape from Hugging Face's config.json. Raises RecipeError for a family whose arithmetic is not known."""
    family = str(raw.get("model_type", ""))
    if family == "gpt_bigcode":
        return Shape(
            family=family,
            hidden=raw["n_embd"],
            layers=raw["n_layer"],
            ffn=raw.get("n_inner") or 4 * raw["n_embd"],
            heads=raw["n_head"],
            kv_heads=1 if raw.get("multi_query", True) else raw["n_head"],
            vocab=raw["vocab_size"],
            positions=raw["n_positions"],
            tied=raw.get("tie_word_embeddings", True),
            all_bias=True,
            gated=False,
            norm_bias=True,
        )
    if family not in ("llama", "mistral", "qwen2", "qwen3", "starcoder2"):
        known = "gpt_bigcode, llama, mistral, qwen2, qwen3, starcoder2"
        raise RecipeError(
            f"{where}: model_type {family!r} is not one that a plan can compute: allowed: {known}"
        )
    starcoder2 = family == "starcoder2"
    return Shape(
        family=family,
        hidden=raw["hidden_size"],
        layers=raw["num_hidden_layers"],
        ffn=raw["intermediate_size"],
        heads=raw["num_attention_heads"],
        kv_heads=raw.get("num_key_value_heads") or raw["num_attention_heads"],
        vocab=raw["vocab_size"],
        head_dim=raw.get("head_dim") or 0,
        tied=raw.get("tie_word_embeddings", starcoder2),
        qkv_bias=family == "qwen2" or bool(raw.get("attention_bias")),
        all_bias=starcoder2 and raw.get("use_bias", True),
        gated=not starcoder2,
        norm_bias=starcoder2,
        qk_norm=family == "qwen3",
    )
