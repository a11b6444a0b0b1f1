"""Hugging Face hub: the form of an address, and whether a repository can be had at all, so that a typo fails at once.

    parse_address("openai/gsm8k@e53f048:main:train")

Imports nothing of the hub's client and sends nothing but a connection attempt.
"""

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from evoltune.errors import DataError
from evoltune.rows.files import user_cache_folder

CONNECT_S = 3.0
FORM = "OWNER/NAME[@REVISION][:CONFIG[:SPLIT]]"
"""SPLIT may join several: `train+validation`."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """A dataset on the hub; an empty part means the hub's or the reader's default."""

    repo: str
    revision: str = ""
    config: str = ""
    split: str = ""


def parse_address(text: str) -> Address:
    """Splits `OWNER/NAME[@REVISION][:CONFIG[:SPLIT]]`. Raises DataError."""
    found = re.fullmatch(r"([^@:]+)(?:@([^@:]+))?(?::([^@:]*))?(?::([^@:]+))?", text)
    if not found:
        raise DataError(f"hub address {text!r}: must be {FORM}, e.g. openai/gsm8k:main:train")
    repo, revision, config, split = (part or "" for part in found.groups())
    return Address(repo=repo, revision=revision, config=config, split=split)


def has_local_model(name: str) -> bool:
    """Whether the hub's local cache has the weights of this model."""
    snapshots = _hub_cache() / f"models--{name.replace('/', '--')}" / "snapshots"
    return any(snapshots.glob("*/*.safetensors")) or any(snapshots.glob("*/*.bin"))


def has_local_dataset(name: str) -> bool:
    """Whether the hub's local cache has (some of) this dataset."""
    prepared = Path(os.environ.get("HF_DATASETS_CACHE") or _hub_home() / "datasets") / name.replace("/", "___")
    return prepared.is_dir() or (_hub_cache() / f"datasets--{name.replace('/', '--')}").is_dir()


# huggingface_hub.constants has these two paths, but reads the environment once, at import.


def _hub_home() -> Path:
    return Path(os.environ.get("HF_HOME") or user_cache_folder() / "huggingface")


def _hub_cache() -> Path:
    return Path(os.environ.get("HF_HUB_CACHE") or _hub_home() / "hub")


def unreachable() -> str:
    """Why the hub cannot be asked: it is switched off, or nothing answers. "" when it can be, or a proxy is configured."""
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
