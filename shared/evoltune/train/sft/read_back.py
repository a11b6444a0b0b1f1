"""Reads a saved model back from the disk and compares it with the one in memory.

    compare_saved(model, folder, rank)      # under ZeRO-3 all ranks must call it

It catches an adapter that ZeRO-3 saved empty, a truncated shard, a full disk.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from evoltune.errors import TrainingError
from evoltune.models.load import gathered

ReadTensor = Callable[[], torch.Tensor]


def compare_saved(model: torch.nn.Module, folder: Path, rank: int) -> int:
    """Compares each saved tensor with the parameter in memory.

    Returns:
        How many were compared (0 on other ranks than the first).

    Raises:
        TrainingError: On rank 0, if a tensor is missing, different, not finite or not the model's.
    """
    adapter = (folder / "adapter_config.json").is_file()
    saved, problems = _tensors(folder) if rank == 0 else ({}, [])
    seen: set[str] = set()
    for name, parameter in model.named_parameters():
        if adapter and not parameter.requires_grad:
            continue
        with gathered(parameter, change=False):
            if rank == 0:
                problems += _compare(_saved_name(name, adapter), parameter, saved, seen)
    if rank:
        return 0
    if adapter and not saved:
        problems.insert(0, "the adapter holds no tensor at all")
    problems += [f"{name} is in the file but not in the model" for name in sorted(set(saved) - seen)]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise TrainingError(
            f"{folder}: the save is wrong: {'; '.join(problems[:3])}{more}: nothing was published, the last checkpoint is kept"
        )
    return len(seen)


def _compare(name: str, live: torch.Tensor, saved: Mapping[str, ReadTensor], seen: set[str]) -> list[str]:
    if name not in saved:
        return [] if _is_tied(name, live, saved) else [f"{name} is missing"]
    seen.add(name)
    tensor = saved[name]()
    if tuple(tensor.shape) != tuple(live.shape):
        return [f"{name} has shape {tuple(tensor.shape)}, the model {tuple(live.shape)}"]
    if not torch.isfinite(tensor).all():
        return [f"{name} has values that are not finite"]
    if not torch.equal(tensor, live.detach().to("cpu", tensor.dtype)):
        return [f"{name} differs from the model"]
    return []


def _is_tied(name: str, live: torch.Tensor, saved: Mapping[str, ReadTensor]) -> bool:
    """Tied weights are saved once: the head's under the name of the embeddings, or the other way round."""
    if "embed" not in name and "head" not in name and "wte" not in name:
        return False
    others = (read() for other, read in saved.items() if "embed" in other or "head" in other or "wte" in other)
    return any(t.shape == live.shape and torch.equal(t, live.detach().to("cpu", t.dtype)) for t in others)


def _saved_name(name: str, adapter: bool) -> str:
    return name.replace(".modules_to_save.default.", ".").replace(".default.", ".") if adapter else name


def _tensors(folder: Path) -> tuple[dict[str, ReadTensor], list[str]]:
    """Readers of the saved tensors by name (one tensor in memory at a time), and the files that do not open."""
    readers: dict[str, ReadTensor] = {}
    problems = []
    for path in sorted(folder.glob("*.safetensors")):
        try:
            file = safe_open(path, framework="pt")
            readers |= {name: partial(file.get_tensor, name) for name in file.keys()}  # type: ignore[no-untyped-call]  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            problems.append(f"{path.name} cannot be read back: {error}")
    return readers, problems
