"""What the Hugging Face hub can give: its local copy, or whether it can be asked, so that a mistyped name fails at once.

Imports nothing of the hub's client; sends nothing but a connection attempt.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

CONNECT_S = 3.0


def cache() -> Path:
    """Where programs keep what can be had again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def model_here(name: str) -> bool:
    """Whether the hub's local copy has the weights of this model."""
    snapshots = _local() / f"models--{name.replace('/', '--')}" / "snapshots"
    return any(snapshots.glob("*/*.safetensors")) or any(snapshots.glob("*/*.bin"))


def dataset_here(name: str) -> bool:
    """Whether the hub's local copy has (some of) this dataset."""
    prepared = Path(os.environ.get("HF_DATASETS_CACHE") or _home() / "datasets")
    folded = name.replace("/", "___")
    return (_local() / f"datasets--{name.replace('/', '--')}").is_dir() or (prepared / folded).is_dir()


def _home() -> Path:
    return Path(os.environ.get("HF_HOME") or cache() / "huggingface")


def _local() -> Path:
    return Path(os.environ.get("HF_HUB_CACHE") or _home() / "hub")


def unreachable() -> str:
    """Why the hub cannot be asked (it is switched off, or nothing answers); "" when it can, or a proxy stands between."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").upper() in ("1", "TRUE", "YES", "ON"):
            return f"{name} is set"
    parts = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    if parts.scheme in getproxies():
        return ""
    host, port = parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        return f"{host} does not answer ({error.strerror or error})"
    return ""
