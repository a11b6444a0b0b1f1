"""Base model and tokenizer for training: dtypes by hardware, stop and pad tokens, LoRA.

Frozen weights are held in bf16 where the hardware has it, trained ones in fp32 under autocast; under DeepSpeed the engine
keeps the fp32 masters. V100-class GPUs, which have no bf16, get fp16.
"""

from __future__ import annotations

import importlib.util
from typing import Any, Literal

from evoltune.errors import MissingExtraError, TrainingError
from evoltune.recipe import Train
from evoltune.train.template import FORMATS, Stop, stop_of

Precision = Literal["bf16", "fp16", "fp32"]
_PADS = ("<|finetune_right_pad_id|>", "<pad>", "<|pad|>", "[PAD]", "<fim_pad>", "<|endoftext|>", "<unk>")


def precision_of(wanted: str) -> Precision:
    """`auto`: bf16 where matrix units have it (GPU: Ampere and later; CPU: AVX512-BF16 or AMX), else fp16 on GPU, fp32 on CPU."""
    import torch

    gpu = torch.cuda.is_available()
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False) if gpu else _cpu_has_bf16()
    if wanted == "auto":
        return "bf16" if has_bf16 else "fp16" if gpu else "fp32"
    if wanted == "bf16" and gpu and not has_bf16:
        raise TrainingError("train.precision: 'bf16': this GPU has no bf16 units: use fp16 or auto")
    if wanted == "fp16" and not gpu:
        raise TrainingError("train.precision: 'fp16' needs a GPU: use bf16, fp32 or auto on a CPU")
    return wanted  # type: ignore[return-value]


def _cpu_has_bf16() -> bool:
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def load_tokenizer(base: str, revision: str = "main") -> Any:
    """The base's tokenizer, padding on the right."""
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "train", "training") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(base, revision=revision)
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"train.model_name_or_path: {base!r} has no tokenizer that loads: {str(error).splitlines()[0]} "
            "(gated models need HF_TOKEN and an accepted licence)"
        ) from error
    tokenizer.padding_side = "right"
    return tokenizer


def prepare_tokenizer(tokenizer: Any, template: str) -> tuple[Stop, list[str]]:
    """Adds the template's own end-of-turn token, makes pad differ from stop. Returns the stop token and the tokens added."""
    added = []
    own = FORMATS[template].end_of_turn if template in FORMATS else ""
    if own and own not in tokenizer.get_vocab():
        tokenizer.add_special_tokens({"additional_special_tokens": [own]})
        added.append(own)
    stop = stop_of(template, tokenizer)
    if tokenizer.pad_token_id in (None, stop.id):
        known = tokenizer.get_vocab()
        tokenizer.pad_token = next(
            (p for p in _PADS if p in known and known[p] != stop.id), tokenizer.eos_token
        )
    return stop, added


def load_model(base: str, train: Train, precision: Precision, *, sharded: bool) -> Any:
    """The base model. `sharded`: under DeepSpeed, which casts and keeps fp32 masters itself."""
    import torch
    from transformers import AutoModelForCausalLM

    low = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]
    frozen = train.finetuning_type != "full"
    dtype = low if (frozen and precision != "fp16") or sharded else torch.float32
    extra: dict[str, Any] = (
        {"quantization_config": _four_bit(low)} if train.finetuning_type == "qlora" else {}
    )
    if train.attn_implementation:
        extra["attn_implementation"] = train.attn_implementation
    try:
        model = AutoModelForCausalLM.from_pretrained(
            base, revision=train.model_revision, dtype=dtype, **extra
        )
    except (OSError, ValueError, ImportError) as error:
        raise TrainingError(
            f"train.model_name_or_path: {base!r} does not load: {str(error).splitlines()[0]} "
            "(gated models need HF_TOKEN and an accepted licence)"
        ) from error
    model.config.use_cache = False
    return model


def _four_bit(compute: Any) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    if not torch.cuda.is_available():
        raise TrainingError("train.finetuning_type: 'qlora' needs a GPU (bitsandbytes): use lora on a CPU")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtraError("bitsandbytes", "qlora", "train.finetuning_type: qlora")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


def add_lora(model: Any, train: Train, *, sharded: bool) -> Any:
    """The model with a trainable adapter; everything else frozen.

    Under ZeRO-3 with bf16 the adapter keeps the model's dtype: mixed dtypes cannot be gathered together.
    """
    try:
        from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
    except ImportError as error:
        raise MissingExtraError("peft", "train", f"train.finetuning_type: {train.finetuning_type}") from error
    if train.finetuning_type == "qlora":
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=train.gradient_checkpointing
        )
    targets = train.lora_target_modules
    config = LoraConfig(
        r=train.lora_r,
        lora_alpha=train.lora_alpha,
        lora_dropout=train.lora_dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        modules_to_save=list(train.lora_modules_to_save) or None,
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config, autocast_adapter_dtype=not sharded)
    except ValueError as error:
        raise TrainingError(
            f"train.lora_target_modules: {targets!r}: {str(error).splitlines()[0]}"
        ) from error
