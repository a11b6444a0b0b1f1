"""Save-verify: what was written is opened again and compared with what is in memory.

    verify_weights(model, folder, rank)      # collective under ZeRO-3: call on every rank
    mark(folder); intact(folder)             # a checkpoint's files, later found as they were written

Catches the adapter that ZeRO-3 saved empty, a truncated shard, a full disk. Invariant: a folder with MARK held every byte
when it was marked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from evoltune.errors import TrainingError
from evoltune.rows.files import write_json

MARK = "verified.json"
Read = Callable[[], Any]
_WHOLE = (
    64 * 2**20
)  # larger files are hashed at both ends and sized: reading 100 GB back would cost minutes a checkpoint
_END = 8 * 2**20


def verify_weights(model: Any, folder: Path, rank: int) -> int:
    """Compares each saved tensor with the live parameter. Returns how many were compared; raises TrainingError on rank 0."""
    from evoltune.models.load import gathered

    adapter = (folder / "adapter_config.json").is_file()
    saved, problems = _tensors(folder) if rank == 0 else ({}, [])
    seen: set[str] = set()
    for name, parameter in model.named_parameters():
        if adapter and not parameter.requires_grad:
            continue
        with gathered(parameter, change=False):
            if rank == 0:
                problems += _compare(_file_name(name, adapter), parameter, saved, seen)
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


def _compare(name: str, live: Any, saved: Mapping[str, Read], seen: set[str]) -> list[str]:
    import torch

    if name not in saved:
        return [] if _is_tied(name, live, saved) else [f"{name} is missing"]
    seen.add(name)
    tensor = saved[name]()
    if tuple(tensor.shape) != tuple(live.shape):
        return [f"{name} has shape {tuple(tensor.shape)}, the model {tuple(live.shape)}"]
    if not torch.isfinite(tensor).all():
        return [f"{name} has values that are no numbers"]
    if not torch.equal(tensor, live.detach().to("cpu", tensor.dtype)):
        return [f"{name} differs from the model"]
    return []


def _is_tied(name: str, live: Any, saved: Mapping[str, Read]) -> bool:
    """Tied weights are saved once: the head's under the name of the embeddings, or the other way round."""
    import torch

    if "embed" not in name and "head" not in name and "wte" not in name:
        return False
    others = (
        read() for other, read in saved.items() if "embed" in other or "head" in other or "wte" in other
    )
    return any(t.shape == live.shape and torch.equal(t, live.detach().to("cpu", t.dtype)) for t in others)


def _file_name(name: str, adapter: bool) -> str:
    return name.replace(".modules_to_save.default.", ".").replace(".default.", ".") if adapter else name


def _tensors(folder: Path) -> tuple[dict[str, Read], list[str]]:
    """Readers of the saved tensors by name (one tensor in memory at a time), and the files that do not open."""
    from safetensors import SafetensorError, safe_open

    readers: dict[str, Read] = {}
    problems = []
    for path in sorted(folder.glob("*.safetensors")):
        try:
            file = safe_open(path, framework="pt")
            readers |= {name: partial(file.get_tensor, name) for name in file.keys()}  # type: ignore[no-untyped-call]  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            problems.append(f"{path.name} cannot be read back: {error}")
    return readers, problems


# ---- files as they were written


def mark(folder: Path) -> None:
    """Notes size and hash of each file, last: a checkpoint without the note is unfinished."""
    files = {
        str(p.relative_to(folder)): _stamp(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != MARK
    }
    write_json(folder / MARK, files)


def damage(folder: Path) -> str:
    """What is wrong with a marked folder; empty: nothing."""
    try:
        files = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "it was never finished"
    for name, stamp in files.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if _stamp(folder / name) != stamp:
            return f"{name} is not what was saved"
    return ""


def _stamp(path: Path) -> list[Any]:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE:
            return [size, hashlib.file_digest(file, "sha256").hexdigest()]
        head = file.read(_END)
        file.seek(-_END, 2)
        return [size, hashlib.sha256(head + file.read()).hexdigest()]
