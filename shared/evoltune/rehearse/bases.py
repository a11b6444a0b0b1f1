"""Base models for a rehearsal: the architecture and configuration of the real one with few and narrow layers, random weights,
and a tokenizer with the same traits (special tokens, chat template or none, BOS or none).

    write_base_repository(Path("hub"), "bigcode/starcoder")     # hub/models/bigcode/starcoder/config.json ...

The tokenizer is trained on the domains' own seeds, so that texts have about as many tokens as under a real one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoltune.errors import DataError, require
from evoltune.models.shapes import known_configs
from evoltune.rehearse.hub import GATED

VOCABULARY = 2_000
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""The published form of ChatML, which the Qwen2.5 bases carry (without their default system text)."""


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What decides how a base's tokenizer behaves in training."""

    bos: str | None
    eos: str
    unk: str | None = None
    pad: str | None = None
    adds_bos: bool = False
    byte_level: bool = True
    special: tuple[str, ...] = ()
    chat_template: str | None = None
    gated: bool = False


STARCODER = Traits(
    bos="<|endoftext|>", eos="<|endoftext|>", unk="<|endoftext|>", gated=True,
    special=("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<filename>", "<gh_stars>"),
)  # fmt: skip
LLAMA = Traits(bos="<s>", eos="</s>", unk="<unk>", adds_bos=True, byte_level=False, special=("<unk>", "<s>", "</s>"))
GATED_LLAMA = Traits(**{**LLAMA.__dict__, "gated": True})
QWEN = Traits(
    bos=None, eos="<|endoftext|>", pad="<|endoftext|>", chat_template=CHATML,
    special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
)  # fmt: skip
TRAITS = {
    "bigcode/": STARCODER, "huggyllama/": LLAMA, "meta-llama/": GATED_LLAMA, "codellama/": LLAMA, "mistralai/": GATED_LLAMA,
    "Qwen/": QWEN,
    "HuggingFaceTB/": Traits(
        bos="<|im_start|>", eos="<|im_end|>", pad="<|im_end|>", unk="<|endoftext|>", chat_template=CHATML,
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    ),
}  # fmt: skip
"""By the start of the hub id."""
NARROW: dict[str, dict[str, Any]] = {
    "gpt_bigcode": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 64},
    "llama": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "intermediate_size": 64,
        "num_attention_heads": 4,
        "head_dim": 8,
    },
    "mistral": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "intermediate_size": 64,
        "num_attention_heads": 4,
        "head_dim": 8,
    },
    "qwen2": {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "num_attention_heads": 4},
}
"""What is made smaller, for each architecture."""


def write_base_repository(hub: Path, name: str, texts: Iterable[str]) -> Path:
    """Writes the repository of a base; returns its folder.

    Raises DataError for a base whose architecture or tokenizer traits are not known here.
    """
    require("a rehearsal's base", "train", "torch", "transformers")
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = known_configs().get(name)
    traits = next((traits for start, traits in TRAITS.items() if name.startswith(start)), None)
    if shape is None or traits is None or shape["model_type"] not in NARROW:
        known = ", ".join(sorted({*TRAITS}))
        raise DataError(
            f"train.model_name_or_path: a rehearsal has no stand-in for {name!r}: known are bases of {known}; give the "
            "folder of a small model, or rehearse with --hub real"
        )
    folder = hub / "models" / name
    tokenizer = tokenizer_of(traits, texts)
    narrow = dict(NARROW[shape["model_type"]])
    if shape.get("num_key_value_heads", 0) not in (0, shape.get("num_attention_heads")):
        narrow["num_key_value_heads"] = 2
    kept = {k: v for k, v in shape.items() if k not in ("model_type", "vocab_size", "num_key_value_heads")}
    special = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = AutoConfig.for_model(shape["model_type"], **{**kept, **narrow, **special, "vocab_size": len(tokenizer)})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if traits.gated:
        (folder / GATED).touch()
    return folder


def tokenizer_of(traits: Traits, texts: Iterable[str]) -> Any:
    """A small BPE tokenizer with these traits, trained on the texts."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = list(traits.special)
    if traits.byte_level:
        core = Tokenizer(models.BPE())
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:  # Llama's: a space is a character of its own, unknown characters are bytes
        core = Tokenizer(models.BPE(unk_token=traits.unk, byte_fallback=True, fuse_unk=True))
        core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        core.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        special += [f"<0x{i:02X}>" for i in range(256)]
        alphabet = []
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=alphabet,
        show_progress=False,
        max_token_length=16,
    )
    core.train_from_iterator(texts, trainer)
    if not traits.byte_level:  # bytes are ordinary tokens; only the first ones are special
        core = _without_special_bytes(core)
    if traits.adds_bos:
        bos = (str(traits.bos), core.token_to_id(str(traits.bos)))
        core.post_processor = processors.TemplateProcessing(
            single=f"{bos[0]} $A", pair=f"{bos[0]} $A {bos[0]} $B", special_tokens=[bos]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=traits.bos, eos_token=traits.eos, unk_token=traits.unk, pad_token=traits.pad,
        chat_template=traits.chat_template, clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def _without_special_bytes(core: Any) -> Any:
    import json

    from tokenizers import Tokenizer

    tree = json.loads(core.to_str())
    tree["added_tokens"] = [t for t in tree["added_tokens"] if not t["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(tree))
