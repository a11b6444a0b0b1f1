"""Model FLOPs utilisation (MFU): the floating-point operations of a step, and the peak of the device."""

import time
from typing import Any

# Dense bf16 (V100: fp16) FLOP/s from the data sheets, without sparsity.
PEAKS = {
    "H200": 989e12, "H100": 989e12, "A100": 312e12, "V100": 125e12, "L40S": 362e12, "L4": 121e12, "A10": 125e12,
    "RTX 4090": 165e12, "RTX 3090": 71e12, "B200": 2250e12,
}  # fmt: skip


def peak_flops(precision: str) -> float | None:
    """FLOP/s of this rank's device: of a GPU by its name, of a CPU measured (about 0.1 s). None: an unknown GPU."""
    import torch

    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        return next((value for key, value in PEAKS.items() if key in name), None)
    a = torch.ones(1024, 1024, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    best = float("inf")
    for _ in range(4):  # the first one warms up
        start = time.perf_counter()
        torch.mm(a, a)
        best = min(best, time.perf_counter() - start)
    return float(2 * 1024**3 / best)


def flops_per_token(model: Any) -> tuple[float, float]:
    """FLOPs for each token, and those of the head for each label token: 6 per trained weight, 4 per frozen one.

    The products of attention itself and the embedding lookup are left out, as in the usual 6 x parameters x tokens.
    """
    head = model.get_output_embeddings().weight
    tables = {id(model.get_input_embeddings().weight), id(head)}
    matrices = (p for p in model.parameters() if p.dim() == 2 and id(p) not in tables)
    return float(sum(map(_flops, matrices))), float(_flops(head))


def _flops(weight: Any) -> int:
    size = getattr(weight, "ds_numel", weight.numel())  # under ZeRO-3 `numel` counts this rank's share
    return int(size) * (6 if weight.requires_grad else 4)
