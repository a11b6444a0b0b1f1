"""A finished checkpoint's folder and its manifest. Imports no torch.

    read_manifest(Path("runs/smoke-math/checkpoint"))["steps"]

Invariant: the manifest is written last, so a folder that has one is complete.
"""

from pathlib import Path
from typing import Any

from evoltune.rows.files import read_json
from evoltune.run.paths import MANIFEST


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest; None if the checkpoint is not finished."""
    return read_json(folder / MANIFEST)
