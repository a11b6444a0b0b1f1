"""The folder of public suites and labelled model outputs that the benchmarks read (docs/datasets.md)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def data_folder() -> Path:
    """EVOLTUNE_DATA, by default `shared/data` beside the repository. Ends the program where there is none."""
    folder = Path(os.environ.get("EVOLTUNE_DATA", BESIDE))
    if not folder.is_dir():
        sys.exit(f"EVOLTUNE_DATA: {folder} is no folder: set it to the folder of the public suites (docs/datasets.md)")
    return folder
