"""The checkpoints of an unfinished job (`steps/checkpoint-N`): marked when complete, later checked for damage.

    mark_complete(folder); damage(folder) == ""

Invariant: a folder with the mark held every byte of the listed files when it was marked. Imports no torch.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from evoltune.rows.files import file_digest, write_json
from evoltune.run.paths import STEP_HASHES

_HASHED_WHOLE = 64 * 2**20
"""Larger files are hashed only at both ends: reading 100 GB again would take minutes for each checkpoint."""
_END = 8 * 2**20


def step_folders(steps: Path) -> list[tuple[int, Path]]:
    """(step, folder) of each checkpoint, in order."""
    return sorted((int(path.name.rpartition("-")[2]), path) for path in steps.glob("checkpoint-*"))


def latest_step(steps: Path) -> Path | None:
    """The newest undamaged checkpoint. A damaged one is reported and skipped."""
    for _, folder in reversed(step_folders(steps)):
        problem = damage(folder)
        if not problem:
            return folder
        print(f"  train: {folder} is not used: {problem}", file=sys.stderr)
    return None


def mark_complete(folder: Path) -> None:
    """Records size and hash of each file; called when all of them are written."""
    files = {
        str(p.relative_to(folder)): _stamp(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != STEP_HASHES
    }
    write_json(folder / STEP_HASHES, files)


def damage(folder: Path) -> str:
    """What is wrong with the checkpoint; empty if nothing is."""
    try:
        files = json.loads((folder / STEP_HASHES).read_text(encoding="utf-8"))
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
    if size <= _HASHED_WHOLE:
        return [size, file_digest(path)]
    with path.open("rb") as file:
        head = file.read(_END)
        file.seek(-_END, 2)
        return [size, hashlib.sha256(head + file.read()).hexdigest()]
