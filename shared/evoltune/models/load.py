"""Base model and tokenizer for training: dtypes by hardware, stop and pad tokens, LoRA.

Frozen weights are held in bf16 where the hardware has it, trained ones in fp32 under autocast; under DeepSpeed the engine
keeps the fp32 masters. V100-class GPUs, which have no bf16, get fp16.
"""

from __future__ import annotations

import importlib.util
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal

from evoltune.errors import MissingExtraError, TrainingError
from evoltune.models.kernels import kernels
from evoltune.models.template import FORMATS, Stop, stop_of
from evoltune.recipe import Train

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


def prepare_model(base: str, train: Train, precision: Precision, tokenizer: Any, added: list[str]) -> Any:
    """The model to train: loaded in the right dtype, with rows for added tokens, with its adapter."""
    sharded = train.deepspeed != "none"
    model = load_model(base, train, precision, sharded=sharded)
    grown = grow_embeddings(model, len(tokenizer))
    if train.residual_dropout:
        add_residual_dropout(model, train.residual_dropout)
    if train.finetuning_type == "full":
        return model
    return add_lora(model, train, sharded=sharded, embeddings=bool(added or grown))


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
    attention = kernels(train, precision, gpu=torch.cuda.is_available()).attention
    if attention:
        extra["attn_implementation"] = attention
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


def grow_embeddings(model: Any, size: int) -> int:
    """Rows for tokens that the base has none for, each the average of the old rows (as WizardCoder did). Returns how many."""
    import torch

    rows = model.get_input_embeddings().weight
    old = getattr(rows, "ds_shape", rows.shape)[0]
    if size <= old:
        return 0
    model.resize_token_embeddings(size, mean_resizing=False)
    heads = [model.get_input_embeddings(), model.get_output_embeddings()]
    for weight in {id(m.weight): m.weight for m in heads if m is not None}.values():
        with gathered(weight), torch.no_grad():
            if weight.numel():
                weight[old:] = weight[:old].float().mean(0).to(weight.dtype)
    return int(size - old)


def gathered(weight: Any, *, change: bool = True) -> AbstractContextManager[Any]:
    """The whole of a parameter that ZeRO-3 has cut up; with `change`, what rank 0 writes inside reaches every rank."""
    if not hasattr(weight, "ds_id"):
        return nullcontext()
    import deepspeed

    context: AbstractContextManager[Any] = deepspeed.zero.GatheredParameters(
        [weight], modifier_rank=0 if change else None
    )
    return context


def add_residual_dropout(model: Any, top: float) -> None:
    """LIMA (2305.11206, section 3): dropout on what each block adds to the residual stream, from 0.0 at the bottom layer to
    `top` at the top one, linearly; only while training."""
    from torch.nn import functional

    layers = next(
        (
            m
            for m in model.modules()
            if type(m).__name__ == "ModuleList" and len(m) == model.config.num_hidden_layers
        ),
        None,
    )
    blocks = [_branches(layer) for layer in layers] if layers is not None else []
    if not blocks or any(len(b) != 2 for b in blocks):
        raise TrainingError(
            f"train.residual_dropout: the layers of {type(model).__name__} have no attention and MLP branch that we know: set it to 0"
        )
    for depth, branches in enumerate(blocks):
        rate = top * depth / max(1, len(blocks) - 1)

        def drop(module: Any, inputs: Any, output: Any, rate: float = rate) -> Any:
            first = output[0] if isinstance(output, tuple) else output
            dropped = functional.dropout(first, rate, training=module.training)
            return (dropped, *output[1:]) if isinstance(output, tuple) else dropped

        for branch in branches:
            branch.register_forward_hook(drop)


def _branches(layer: Any) -> list[Any]:
    names = (
        ("self_attn", "attn", "attention", "self_attention"),
        ("mlp", "feed_forward", "block_sparse_moe"),
    )
    found = [next((getattr(layer, n) for n in group if hasattr(layer, n)), None) for group in names]
    return [branch for branch in found if branch is not None]


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


def add_lora(model: Any, train: Train, *, sharded: bool, embeddings: bool = False) -> Any:
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
    whole = list(train.lora_modules_to_save)
    tied = bool(model.config.tie_word_embeddings)
    if embeddings:  # rows of new tokens are trained whole: an adapter cannot reach them
        wanted = [model.get_input_embeddings()] + ([] if tied else [model.get_output_embeddings()])
        whole += [n.rpartition(".")[2] for n, m in model.named_modules() if any(m is w for w in wanted)]
    config = LoraConfig(
        r=train.lora_r,
        lora_alpha=train.lora_alpha,
        lora_dropout=train.lora_dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        modules_to_save=sorted(set(whole)) or None,
        ensure_weight_tying=bool(whole) and tied,
        task_type="CAUSAL_LM",
    )
    try:
        adapted = get_peft_model(model, config, autocast_adapter_dtype=not sharded)
    except ValueError as error:
        raise TrainingError(
            f"train.lora_target_modules: {targets!r}: {str(error).splitlines()[0]}"
        ) from error
    # Left to itself, PEFT saves grown embeddings three times: as trained, as they were, and as a copy that nothing loads.
    adapted.save_pretrained = partial(adapted.save_pretrained, save_embedding_layers=False)
    return adapted
