"""Which attention and which fused kernels a training job uses. Imports no torch.

On a GPU, those that are installed: flash-attention for packed rows (variable-length attention between position restarts), and
Liger's fused norms, rotary embeddings and MLPs. The loss stays ours (`evoltune.train.sft.loss`), which computes logits only
where there are labels.
"""

import importlib.util
from collections.abc import Callable
from typing import NamedTuple

from evoltune.recipe import Train

LIGER = {
    "rope": True, "rms_norm": True, "swiglu": True, "cross_entropy": False, "fused_linear_cross_entropy": False,
}  # fmt: skip
EAGER_UP_TO = 512
"""Tokens up to which plain attention is faster on a CPU in bf16: PyTorch's fused one takes four times as long forward and
backward for 8 rows of 70 tokens, and as long for 4 rows of 512 (9 heads of 64, one thread)."""


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
    """`train.attn_implementation` always wins where it is set."""
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
    liger = installed("liger_kernel")
    if not liger:
        missing.append("liger-kernel is not installed: norms and MLPs are not fused (pip install liger-kernel)")
    return Kernels(attention, liger, tuple(missing))
