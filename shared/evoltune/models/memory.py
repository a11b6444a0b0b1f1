"""Bytes of one training rank: parameters, gradients, optimizer states, activations. Pure arithmetic; imports no torch.

    memory_of(shape_of("bigcode/starcoder"), train, precision="bf16", world=8, micro=1, tokens=2048).total

States follow ZeRO (1910.02054, section 3) with the dtypes that train/model.py chooses; activations count what autograd
saves in the block implementations of Transformers with fused attention. Invariant: parameter, gradient and optimizer bytes
equal those of a real run exactly; activations are within 15% of what saved-tensor hooks count (tests hold both).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evoltune.models.shapes import Shape
from evoltune.recipe import Train
from evoltune.train.sft.loss import chunk_of

Zero = Literal["none", "zero1", "zero2", "zero3", "zero3-offload"]
ZEROS: tuple[Zero, ...] = ("none", "zero1", "zero2", "zero3", "zero3-offload")
NF4_BYTES = 0.516  # per weight: 4 bits, and constants quantised twice (2305.14314, section 3)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on one device, except `host` (bytes on a node's host memory) and `checkpoint` (bytes on disk)."""

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    gathered: int
    """ZeRO-3: the largest block and the head, gathered while they are used."""
    host: int
    checkpoint: int

    @property
    def total(self) -> int:
        return (
            self.parameters + self.gradients + self.optimizer + self.activations + self.logits + self.gathered
        )


def memory_of(
    shape: Shape,
    train: Train,
    *,
    precision: Literal["bf16", "fp16", "fp32"],
    world: int,
    micro: int,
    tokens: int,
    zero: Zero = "none",
    label_share: float = 1.0,
    local_ranks: int = 8,
) -> Memory:
    """Bytes for a micro-batch of `micro` rows of `tokens` tokens, of which `label_share` carry loss, over `world` ranks."""
    low = 4 if precision == "fp32" else 2
    frozen = shape.parameters if train.finetuning_type != "full" else 0
    trained = shape.lora_parameters(train.lora_r, train.lora_target_modules) if frozen else shape.parameters
    sharded = zero != "none"
    weight = low if sharded else 4
    base = _frozen_bytes(shape, train, low if precision != "fp16" or sharded else 4) if frozen else 0
    parameters, gradients = base + trained * weight, trained * weight
    optimizer = trained * (12 if sharded else 8)  # fp32 Adam moments; DeepSpeed adds its fp32 master copy
    host = 0
    if zero in ("zero1", "zero2", "zero3", "zero3-offload"):
        optimizer = _share(optimizer, world)
    if zero in ("zero2", "zero3", "zero3-offload"):
        gradients = _share(gradients, world)
    gathered = 0
    if zero in ("zero3", "zero3-offload"):
        whole = (frozen + trained) if frozen else shape.parameters
        parameters = _share(base, world) + _share(trained * weight, world)
        gathered = min(whole * low, (shape.block + shape.vocab * shape.hidden) * low)
    if zero == "zero3-offload":
        host = (optimizer + parameters + gradients) * local_ranks
        optimizer = parameters = 0
    return Memory(
        parameters=parameters,
        gradients=gradients,
        optimizer=optimizer,
        activations=activations(
            shape, train, precision=precision, sharded=sharded, micro=micro, tokens=tokens
        ),
        logits=min(int(micro * tokens * label_share), _held(shape, train, zero))
        * shape.vocab
        * (4 + 4 + (low if low == 2 else 0)),
        gathered=gathered,
        host=host,
        checkpoint=trained * 12 + (trained * 4 if frozen else shape.parameters * 4),
    )


def _held(shape: Shape, train: Train, zero: Zero) -> int:
    """Label tokens whose logits exist at once."""
    return 1 << 62 if zero in ("zero3", "zero3-offload") else chunk_of(shape.vocab, train.loss_chunk)


def _share(total: int, world: int) -> int:
    return -(-total // world)


def _frozen_bytes(shape: Shape, train: Train, low: int) -> int:
    if train.finetuning_type != "qlora":
        return shape.parameters * low
    linear = shape.layers * sum(i * o for i, o in shape.linears)
    return int(linear * NF4_BYTES) + (shape.parameters - linear) * 2


def activations(shape: Shape, train: Train, *, precision: str, sharded: bool, micro: int, tokens: int) -> int:
    """Bytes that autograd keeps for the backward pass of the blocks.

    Under activation checkpointing: each block's input, and one block recomputed.
    """
    frozen = train.finetuning_type != "full"
    kind = (
        "fp32"
        if precision == "fp32"
        else "low"
        if sharded or (frozen and precision != "fp16")
        else "autocast"
    )
    count = micro * tokens
    per_token = _block_per_token(shape, kind) + (_lora_per_token(shape, train, precision) if frozen else 0)
    casts = 2 * sum(i * o for i, o in shape.linears) if kind == "autocast" else 0
    stream = shape.hidden * (2 if kind == "low" else 4)
    final = (2 * stream + (2 * shape.hidden if kind == "low" and shape.gated else 0)) * count
    if not train.gradient_checkpointing:
        return shape.layers * (per_token * count + casts) + final
    return shape.layers * stream * count + per_token * count + casts + final


def _block_per_token(shape: Shape, kind: str) -> int:
    """Bytes per token of one block; coefficients read off the tensors that each operation saves."""
    d, f = shape.hidden, shape.ffn
    q = shape.heads * shape.head_size
    kv = shape.kv_heads * shape.head_size
    softmax = 4 * shape.heads  # log-sum-exp of fused attention
    if shape.gated:
        # Two RMS norms (fp32 input, normed output), residuals; q and attention output; gate, silu, up, product.
        return (
            {
                "fp32": 20 * d + 12 * q + 8 * kv + 16 * f,
                "low": 14 * d + 6 * q + 4 * kv + 8 * f,
                "autocast": 24 * d + 6 * q + 4 * kv + 8 * f,
            }[kind]
            + softmax
            + 8
        )
    # Two layer norms, fused q/k/v or separate, one activation function between two projections.
    return (
        {
            "fp32": 16 * d + 8 * q + 8 * kv + 8 * f,
            "low": 8 * d + 4 * q + 4 * kv + 4 * f,
            "autocast": 12 * d + 4 * q + 4 * kv + 4 * f,
        }[kind]
        + softmax
        + 16
    )


def _lora_per_token(shape: Shape, train: Train, precision: str) -> int:
    """The low-rank activations, and the adapters' inputs where they are cast to the adapter's dtype."""
    low = 4 if precision == "fp32" else 2
    return len(shape.linears) * train.lora_r * low
