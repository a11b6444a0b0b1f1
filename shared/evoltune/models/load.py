"""Loads a base model and its tokenizer: dtypes and kernels by hardware, stop and pad tokens, embedding rows, adapters.

Frozen weights are held in bf16 if the hardware has it, trained ones in fp32 under autocast; under DeepSpeed the engine
keeps the fp32 master weights. GPUs of the V100 class, which have no bf16, get fp16. On a GPU those kernels are used
that are installed: flash-attention for packed rows (variable-length attention between position restarts), and Liger's
fused norms, rotary embeddings and MLPs. The loss stays ours (`evoltune.train.sft.loss`), which computes logits only
where there are labels. Imports no torch.
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal, NamedTuple

from evoltune.errors import TrainingError, require
from evoltune.models.locate import locate_model
from evoltune.models.proof import Template
from evoltune.models.template import FORMATS, Stop, stop_of
from evoltune.recipe import Train

Precision = Literal["bf16", "fp16", "fp32"]
_PAD_TOKENS = (
    "<|finetune_right_pad_id|>", "<pad>", "<|pad|>", "[PAD]", "<fim_pad>", "<|endoftext|>", "<unk>",
)  # fmt: skip
_GATED_HINT = "(gated models need HF_TOKEN and an accepted licence)"
LIGER = {
    "rope": True, "rms_norm": True, "swiglu": True, "cross_entropy": False, "fused_linear_cross_entropy": False,
}  # fmt: skip
EAGER_UP_TO = 512
"""Tokens up to which plain attention is faster on a CPU in bf16: PyTorch's fused one takes four times as long forward and
backward for 8 rows of 70 tokens, and as long for 4 rows of 512 (9 heads of 64, one thread)."""


def precision_of(wanted: str) -> Precision:
    """Resolves `train.precision` on this machine.

    `auto` is bf16 where the matrix units have it (GPU: Ampere and later; CPU: AVX512-BF16 or AMX), else fp16 on a GPU and
    fp32 on a CPU.
    """
    import torch

    gpu = torch.cuda.is_available()
    if gpu:
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    if wanted == "auto":
        return "bf16" if has_bf16 else "fp16" if gpu else "fp32"
    if wanted == "bf16" and gpu and not has_bf16:
        raise TrainingError("train.precision: 'bf16': this GPU has no bf16 units: use fp16 or auto")
    if wanted == "fp16" and not gpu:
        raise TrainingError("train.precision: 'fp16' needs a GPU: use bf16, fp32 or auto on a CPU")
    return wanted  # type: ignore[return-value]


def torch_dtype(precision: Precision) -> Any:
    import torch

    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]


def load_tokenizer(base: str) -> Any:
    """The tokenizer of a folder or hub id, padding on the right."""
    require("training", "train", "transformers")
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base)
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"train.model_name_or_path: {base!r} has no tokenizer that loads: {str(error).splitlines()[0]} {_GATED_HINT}"
        ) from error
    tokenizer.padding_side = "right"
    return tokenizer


def prepare_tokenizer(tokenizer: Any, template: str) -> tuple[Stop, list[str]]:
    """Adds the template's end-of-turn token, makes the pad token another; returns the stop token and added tokens."""
    added = []
    own = FORMATS[template].end_of_turn if template in FORMATS else ""
    if own and own not in tokenizer.get_vocab():
        tokenizer.add_special_tokens({"additional_special_tokens": [own]})
        added.append(own)
    stop = stop_of(template, tokenizer)
    if tokenizer.pad_token_id in (None, stop.id):
        vocabulary = tokenizer.get_vocab()
        usable = (p for p in _PAD_TOKENS if p in vocabulary and vocabulary[p] != stop.id)
        tokenizer.pad_token = next(usable, tokenizer.eos_token)
    return stop, added


class Kernels(NamedTuple):
    """What the model is loaded and patched with; `missing` has a line for each package that would help."""

    attention: str | None
    liger: bool
    missing: tuple[str, ...] = ()


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def choose_kernels(
    train: Train, precision: str, *, gpu: bool, installed: Callable[[str], bool] = _installed
) -> Kernels:
    """`train.attn_implementation` and `train.use_liger_kernel: false` always win where they are set."""
    attention = train.attn_implementation
    if not gpu:
        if attention is None and precision == "bf16" and train.max_length <= EAGER_UP_TO:
            attention = "eager"
        return Kernels(attention, liger=False)
    missing = []
    if attention is None and train.packing and precision != "fp32":
        if installed("flash_attn"):
            attention = "flash_attention_2"
        else:
            missing.append("flash-attn is not installed: packed rows use sdpa attention (pip install flash-attn)")
    liger = train.use_liger_kernel and installed("liger_kernel")
    if train.use_liger_kernel and not liger:
        missing.append("liger-kernel is not installed: norms and MLPs are not fused (pip install liger-kernel)")
    return Kernels(attention, liger, tuple(missing))


def load_model(base: str, train: Train, precision: Precision) -> Any:
    """The base model of a folder, in the dtype and with the attention that training needs. DeepSpeed casts by itself."""
    import torch
    from safetensors import SafetensorError

    low = torch_dtype(precision)
    frozen = train.finetuning_type != "full"
    dtype = low if (frozen and precision != "fp16") or train.deepspeed != "none" else torch.float32
    extra: dict[str, Any] = {}
    if train.finetuning_type == "qlora":
        extra["quantization_config"] = _four_bit(low)
    attention = choose_kernels(train, precision, gpu=torch.cuda.is_available()).attention
    if attention:
        extra["attn_implementation"] = attention
    try:
        model = language_model(base, dtype=dtype, **extra)
    except (OSError, ValueError, ImportError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        if "ignore_mismatched_sizes" in str(error):
            raise TrainingError(
                f"train.model_name_or_path: {base!r} does not load: its weights have other sizes than its config.json says"
            ) from error
        raise TrainingError(
            f"train.model_name_or_path: {base!r} does not load: {str(error).splitlines()[0]} {_GATED_HINT}"
        ) from error
    model.config.use_cache = False
    repair_generation_config(model)
    return model


def language_model(name: str | Path, **options: Any) -> Any:
    """The language model of a folder or hub id. Raises TrainingError where its files lack weights: Transformers would draw them."""
    from transformers import AutoModelForCausalLM

    model, found = AutoModelForCausalLM.from_pretrained(name, output_loading_info=True, **options)
    if lost := sorted(found["missing_keys"]):
        raise TrainingError(
            f"{str(name)!r}: {len(lost)} weights of {type(model).__name__} are not in its files ({', '.join(lost[:3])}) and would be "
            "random: is it a whole language model, and does config.json belong to these weights?"
        )
    return model


def repair_generation_config(model: Any) -> None:
    """Makes the base's generation settings such that they can be saved.

    Several well-known chat models were published with `temperature` and `top_p` but without `do_sample`, which Transformers
    reads and refuses to write. Sampling was meant; what is still invalid is dropped.
    """
    from transformers import GenerationConfig

    config = getattr(model, "generation_config", None)
    if config is None or _is_valid(config):
        return
    config.do_sample = True
    if not _is_valid(config):
        kept = {name: getattr(config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        model.generation_config = GenerationConfig(**kept)
    what = "do_sample: true was added" if model.generation_config is config else "its settings were dropped"
    print(f"  train: the base's generation_config.json is invalid: {what}", file=sys.stderr)


def with_contiguous_rows(model: Any) -> Any:
    """The model, whose output layer copies rows that do not follow each other before it multiplies them.

    Generation keeps the last position of each prompt, a view with gaps. On a CPU PyTorch multiplies such a view by a copy of the
    whole weight for each row: 48 rows and a vocabulary of 49,152 take 12 s in bfloat16 and 3 GB, and 0.03 s once the rows are copied.
    To be called last: a layer that is resized afterwards is another one.
    """
    head = model.get_output_embeddings()
    if head is not None:
        head.register_forward_pre_hook(_contiguous)
    return model


def _contiguous(_: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (inputs[0].contiguous(), *inputs[1:])


def _is_valid(config: Any) -> bool:
    try:
        config.validate(strict=True)
    except ValueError:
        return False
    return True


def _four_bit(compute_dtype: Any) -> Any:
    """QLoRA's quantization (2305.14314): 4-bit NormalFloat with quantized constants."""
    import torch
    from transformers import BitsAndBytesConfig

    if not torch.cuda.is_available():
        raise TrainingError("train.finetuning_type: 'qlora' needs a GPU (bitsandbytes): use lora on a CPU")
    require("train.finetuning_type: qlora", "qlora", "bitsandbytes")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype,
    )


def grow_embeddings(model: Any, size: int, added: Sequence[int] = ()) -> int:
    """Sets the embedding rows of new tokens to the mean of the old ones (as WizardCoder did); returns how many rows were added.

    Args:
        size: Of the tokenizer. Families with padded tables have spare rows, so these may not need to grow.
        added: Ids of tokens that training adds.
    """
    import torch

    rows = model.get_input_embeddings().weight
    old = getattr(rows, "ds_shape", rows.shape)[0]
    new = sorted({*added, *range(old, size)})
    if not new:
        return 0
    if size > old:
        model.resize_token_embeddings(size, mean_resizing=False)
    known = [i for i in range(min(old, size)) if i not in new]
    heads = [model.get_input_embeddings(), model.get_output_embeddings()]
    for weight in {id(m.weight): m.weight for m in heads if m is not None}.values():
        with gathered(weight), torch.no_grad():
            if weight.numel():
                weight[new] = weight[known].float().mean(0).to(weight.dtype)
    return max(0, int(size - old))


def gathered(weight: Any, *, change: bool = True) -> AbstractContextManager[Any]:
    """Inside the block, a parameter that ZeRO-3 has sharded is whole; with `change`, rank 0's writes reach every rank."""
    if not hasattr(weight, "ds_id"):
        return nullcontext()
    import deepspeed

    context: AbstractContextManager[Any] = deepspeed.zero.GatheredParameters(
        [weight], modifier_rank=0 if change else None
    )
    return context


def load_adapted(checkpoint: Path, template: Template, dtype: Any, tokens: int) -> Any:
    """The base that `template` names, with the checkpoint's adapter, for inference.

    `tokens`: size of the checkpoint's tokenizer, since training may have added tokens.
    """
    from peft import PeftModel

    base = language_model(locate_model(template.base.name), revision=template.base.revision, dtype=dtype)
    grow_embeddings(base, tokens)
    repair_generation_config(base)
    return PeftModel.from_pretrained(base, checkpoint).eval()
