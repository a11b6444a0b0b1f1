"""Kernels that a job on a GPU takes when they are installed, and names in the log when they are not. Imports no torch.

flash-attention for packed rows (variable-length attention between position restarts); Liger's fused norms, rotations and
MLPs. The loss stays ours (`evoltune.train.sft.loss`): logits only where labels are.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import NamedTuple

from evoltune.recipe import Train

LIGER = {
    "rope": True, "rms_norm": True, "swiglu": True, "cross_entropy": False, "fused_linear_cross_entropy": False,
}  # fmt: skip


class Kernels(NamedTuple):
    """What the model is loaded and patched with; `missing`: one line per package that would help and is not there."""

    attention: str | None
    liger: bool
    missing: tuple[str, ...] = ()


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def kernels(
    train: Train, precision: str, *, gpu: bool, installed: Callable[[str], bool] = _installed
) -> Kernels:
    """`train.attn_implementation` always decides where it is set. Without a GPU nothing else is chosen."""
    if not gpu:
        return Kernels(train.attn_implementation, liger=False)
    missing = []
    attention = train.attn_implementation
    if attention is None and train.packing and precision != "fp32":
        if installed("flash_attn"):
            attention = "flash_attention_2"
        else:
            missing.append(
                "flash-attn is not installed: packed rows attend through sdpa (pip install flash-attn)"
            )
    liger = installed("liger_kernel")
    if not liger:
        missing.append(
            "liger-kernel is not installed: norms and MLPs are not fused (pip install liger-kernel)"
        )
    return Kernels(attention, liger, tuple(missing))
