"""Memory of one training rank: parameters, gradients, optimizer states, activations. Pure arithmetic; imports no torch.

    memory_of(shape_of("bigcode/starcoder"), train, precision="bf16", world=8, micro=1, tokens=2048).total

States follow ZeRO (1910.02054, section 3) with the dtypes that `evoltune.models.load` chooses. Activations are what autograd
saves in the Transformers implementations of the blocks with fused attention. Invariant: the bytes of parameters, gradients
and optimizer equal those of a real run; activations are within 15% of what saved-tensor hooks count (tests check both).
"""

from dataclasses import dataclass
from typing import Literal

from evoltune.models.shapes import Shape
from evoltune.recipe import Train

Zero = Literal["none", "zero1", "zero2", "zero3", "zero3-offload"]
ZEROS: tuple[Zero, ...] = ("none", "zero1", "zero2", "zero3", "zero3-offload")
NF4_BYTES = 0.516  # per weight: 4 bits, and the quantized constants (2305.14314, section 3)
LOGIT_BYTES = 1 << 30
"""fp32 logits that may be held at once when `train.loss_chunk` is 0."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on one device, except `host` (bytes of a node's main memory) and `checkpoint` (bytes on disk)."""

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
        return self.parameters + self.gradients + self.optimizer + self.activations + self.logits + self.gathered


def logit_chunk(vocab: int, wanted: int = 0) -> int:
    """Label tokens whose logits are held at once; `wanted` 0: as many as LOGIT_BYTES holds."""
    return wanted or max(64, LOGIT_BYTES // (4 * vocab))


def memory_of(
    shape: Shape,
    train: Train,
    *,
    precision: Literal["bf16", "fp16", "fp32"],
    world: int,
    micro: int,
    tokens: int,
    zero: Zero = "none",
    local_ranks: int = 8,
) -> Memory:
    """The memory of one of `world` ranks, of which `local_ranks` share a node's main memory.

    A micro-batch has `micro` rows of `tokens` tokens, all of which may carry loss.
    """
    low = 4 if precision == "fp32" else 2
    frozen = shape.parameters if train.finetuning_type != "full" else 0
    trained = shape.lora_parameters(train.lora_r, train.lora_targets) if frozen else shape.parameters
    sharded, stage3 = zero != "none", zero.startswith("zero3")
    weight = low if sharded else 4
    base = _frozen_bytes(shape, train, low if precision != "fp16" or sharded else 4) if frozen else 0
    parameters, gradients = base + trained * weight, trained * weight
    optimizer = trained * (12 if sharded else 8)  # fp32 Adam moments; DeepSpeed adds its fp32 master copy
    host = gathered = 0
    if sharded:
        optimizer = _share(optimizer, world)
    if zero == "zero2" or stage3:
        gradients = _share(gradients, world)
    if stage3:
        parameters = _share(base, world) + _share(trained * weight, world)
        gathered = min((frozen + trained) * low, (shape.block + shape.vocab * shape.hidden) * low)
    if zero == "zero3-offload":
        host = (optimizer + parameters + gradients) * local_ranks
        optimizer = parameters = 0
    # Under ZeRO-3 the head cannot be run a second time, so all logits exist at once.
    labels = micro * tokens if stage3 else min(micro * tokens, logit_chunk(shape.vocab, train.loss_chunk))
    return Memory(
        parameters=parameters,
        gradients=gradients,
        optimizer=optimizer,
        activations=activations(shape, train, precision=precision, sharded=sharded, micro=micro, tokens=tokens),
        logits=labels * shape.vocab * (8 + (low if low == 2 else 0)),
        gathered=gathered,
        host=host,
        checkpoint=trained * (12 + 4),
    )


def _share(total: int, world: int) -> int:
    return -(-total // world)


def _frozen_bytes(shape: Shape, train: Train, low: int) -> int:
    if train.finetuning_type != "qlora":
        return shape.parameters * low
    linear = shape.layers * sum(i * o for i, o in shape.linears)
    return int(linear * NF4_BYTES) + (shape.parameters - linear) * 2


def activations(shape: Shape, train: Train, *, precision: str, sharded: bool, micro: int, tokens: int) -> int:
    """Bytes that autograd keeps for the backward pass of the blocks.

    With activation checkpointing these are each block's input, and one block that is recomputed.
    """
    frozen = train.finetuning_type != "full"
    kind = "fp32" if precision == "fp32" else "autocast"
    if kind == "autocast" and (sharded or (frozen and precision != "fp16")):
        kind = "low"
    count = micro * tokens
    per_token = _block_per_token(shape, kind)
    if frozen:  # the low-rank activations
        per_token += len(shape.linears) * train.lora_r * (4 if precision == "fp32" else 2)
    casts = 2 * sum(i * o for i, o in shape.linears) if kind == "autocast" else 0
    stream = shape.hidden * (2 if kind == "low" else 4)
    final = (2 * stream + (2 * shape.hidden if kind == "low" and shape.gated else 0)) * count
    if not train.gradient_checkpointing:
        return shape.layers * (per_token * count + casts) + final
    return shape.layers * stream * count + per_token * count + casts + final


def _block_per_token(shape: Shape, kind: str) -> int:
    """Bytes per token of one block; the coefficients come from the tensors that each operation saves."""
    d, f = shape.hidden, shape.ffn
    q = shape.heads * shape.head_size
    kv = shape.kv_heads * shape.head_size
    softmax = 4 * shape.heads  # log-sum-exp of fused attention
    if shape.gated:
        # Two RMS norms (fp32 input, normed output), residuals; q and attention output; gate, silu, up, product.
        sizes = {
            "fp32": 20 * d + 12 * q + 8 * kv + 16 * f,
            "low": 14 * d + 6 * q + 4 * kv + 8 * f,
            "autocast": 24 * d + 6 * q + 4 * kv + 8 * f,
        }
        return sizes[kind] + softmax + 8
    # Two layer norms, fused q/k/v or separate, one activation function between two projections.
    sizes = {
        "fp32": 16 * d + 8 * q + 8 * kv + 8 * f,
        "low": 8 * d + 4 * q + 4 * kv + 4 * f,
        "autocast": 12 * d + 4 * q + 4 * kv + 4 * f,
    }
    return sizes[kind] + softmax + 16
