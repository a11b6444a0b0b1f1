"""The size of a model without its weights: its layers and the number of its parameters. Imports no torch.

    shape_of("bigcode/starcoder").parameters   # 15,517,456,384

Invariant: for every family `parameters` equals the count of the real model (a test builds each on the meta device).
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from evoltune.errors import RecipeError, nearest
from evoltune.run.paths import user_path

FAMILIES = ("gpt_bigcode", "llama", "mistral", "qwen2", "qwen3", "starcoder2")
CONFIGS = Path(__file__).with_name("base_configs.yaml")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A decoder-only transformer; sizes are numbers of elements."""

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
    """The MLP has gate, up and down projections (llama), not only two (gpt_bigcode, starcoder2)."""
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
        """Parameters of LoRA adapters of rank r on all linear layers of the blocks, on the named ones, or on those whose full
        name a regular expression matches."""
        if targets == "all-linear":
            chosen = list(self.linears)
        elif isinstance(targets, str):
            chosen = self._matched(targets)
        else:
            chosen = [self._named(name) for name in targets]
        return self.layers * sum(r * (i + o) for i, o in chosen)

    @property
    def layer_names(self) -> frozenset[str]:
        """The last names of all modules, as of `embed_tokens` and `lm_head`."""
        own = "transformer wte wpe drop h ln_1 attn resid_dropout ln_2 act dropout ln_f"
        if self.family != "gpt_bigcode":
            own = "model embed_tokens layers self_attn input_layernorm post_attention_layernorm norm rotary_emb "
            own += "act" if self.family == "starcoder2" else "act_fn"
            own += " q_norm k_norm" if self.qk_norm else ""
        return frozenset({"lm_head", "mlp", *own.split(), *(name.rpartition(".")[2] for name in self._linear_names())})

    def check_whole(self, names: Iterable[str]) -> None:
        """Raises RecipeError for a module that is to be trained whole and is not there; paths are left to the trainer."""
        for name in names:
            if "." not in name and name not in self.layer_names:
                raise RecipeError(
                    f"train.lora_modules_to_save: {name!r} is no layer of {self.family}: {nearest(name, self.layer_names)}"
                )

    def _matched(self, pattern: str) -> list[tuple[int, int]]:
        blocks = ("model.layers.0.self_attn", "model.layers.0.mlp", "transformer.h.0.attn", "transformer.h.0.mlp")
        chosen = [
            size
            for name, size in self._linear_names().items()
            if any(re.fullmatch(pattern, f"{block}.{name}") for block in blocks)
        ]
        if not chosen:
            raise RecipeError(
                f"train.lora_target_modules: {pattern!r} matches no linear layer of {self.family}: its layers are "
                f"{', '.join(self._linear_names())}"
            )
        return chosen

    def _linear_names(self) -> dict[str, tuple[int, int]]:
        names = {
            "gpt_bigcode": ("c_attn", "c_proj", "c_fc", "mlp.c_proj"),
            "starcoder2": ("q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj"),
        }.get(self.family, ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"))
        return dict(zip(names, self.linears, strict=True))

    def _named(self, name: str) -> tuple[int, int]:
        known = self._linear_names()
        if name not in known:
            raise RecipeError(
                f"train.lora_target_modules: {name!r} is not a linear layer of {self.family}: {nearest(name, known)}"
            )
        return known[name]


def shape_of(name: str) -> Shape:
    """The shape of a local folder with a config.json, or of a base that shipped recipes name (base_configs.yaml)."""
    config = user_path(name) / "config.json"
    if config.is_file():
        return from_config(json.loads(config.read_text(encoding="utf-8")), where=str(config))
    known = known_configs()
    if name in known:
        return from_config(known[name])
    raise RecipeError(
        f"train.model_name_or_path: the shape of {name!r} is not known: {nearest(name, known)}; "
        "or give a folder that holds its config.json"
    )


@cache
def known_configs() -> dict[str, dict[str, Any]]:
    """The size-giving keys of each known base's config.json, by hub id."""
    configs: dict[str, dict[str, Any]] = yaml.safe_load(CONFIGS.read_text(encoding="utf-8"))
    return configs


def from_config(config: Mapping[str, Any], where: str = "config.json") -> Shape:
    """The shape that a config.json of Transformers describes. Raises RecipeError for other model types than FAMILIES."""
    family = str(config.get("model_type", ""))
    if family not in FAMILIES:
        raise RecipeError(f"{where}: model_type {family!r} cannot be computed: allowed: {', '.join(FAMILIES)}")
    if family == "gpt_bigcode":
        return Shape(
            family=family,
            hidden=config["n_embd"],
            layers=config["n_layer"],
            ffn=config.get("n_inner") or 4 * config["n_embd"],
            heads=config["n_head"],
            kv_heads=1 if config.get("multi_query", True) else config["n_head"],
            vocab=config["vocab_size"],
            positions=config["n_positions"],
            tied=config.get("tie_word_embeddings", True),
            all_bias=True,
            gated=False,
            norm_bias=True,
        )
    starcoder2 = family == "starcoder2"
    return Shape(
        family=family,
        hidden=config["hidden_size"],
        layers=config["num_hidden_layers"],
        ffn=config["intermediate_size"],
        heads=config["num_attention_heads"],
        kv_heads=config.get("num_key_value_heads") or config["num_attention_heads"],
        vocab=config["vocab_size"],
        head_dim=config.get("head_dim") or 0,
        tied=config.get("tie_word_embeddings", starcoder2),
        qkv_bias=family == "qwen2" or bool(config.get("attention_bias")),
        all_bias=starcoder2 and config.get("use_bias", True),
        gated=not starcoder2,
        norm_bias=starcoder2,
        qk_norm=family == "qwen3",
    )
