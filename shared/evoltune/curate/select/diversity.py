"""Diversity: k-means with a diagnostic, k-center under a quality weight, quotas over clusters.

clusters(vectors, 20).labels;  k_center(vectors, quality, 1000)  ->  chosen row indices, most valued first
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from evoltune.text.vectors import numpy

CLUSTERS = 20  # of the diagnostic
ROUNDS = 25
EXACT_LIMIT = 4e8  # rows x chosen: above it (about 40 s) clusters with quotas take over from k-center


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """A k-means solution."""

    labels: Any
    """int[n]"""
    sizes: Sequence[int]
    spread: float
    """Mean distance (1 - cosine) of a row to its centre."""

    @property
    def evenness(self) -> float:
        """Entropy of the sizes over its maximum: 1 where all clusters are equally full, near 0 where one holds all."""
        total = sum(self.sizes)
        filled = [n / total for n in self.sizes if n]
        return (
            -sum(p * log(p) for p in filled) / log(len(self.sizes)) if len(self.sizes) > 1 and total else 0.0
        )


def clusters(vectors: Any, count: int = CLUSTERS, *, seed: int = 0) -> Clusters:
    """Spherical k-means with k-means++ starts; the same rows in the same order give the same clusters."""
    np = numpy()
    count = max(1, min(count, len(vectors)))
    centres = vectors[_starts(vectors, count, seed)].copy()
    labels = np.zeros(len(vectors), dtype=np.int64)
    for _ in range(ROUNDS):
        new = (vectors @ centres.T).argmax(axis=1)
        if (new == labels).all() and _ > 0:
            break
        labels = new
        for i in range(count):
            members = vectors[labels == i]
            if len(members):
                mean = members.mean(axis=0)
                centres[i] = mean / max(float(np.linalg.norm(mean)), 1e-12)
    near = (vectors * centres[labels]).sum(axis=1) if len(vectors) else np.zeros(0)
    sizes = [int(n) for n in np.bincount(labels, minlength=count)]
    return Clusters(labels=labels, sizes=sizes, spread=float(1 - near.mean()) if len(vectors) else 0.0)


def _starts(vectors: Any, count: int, seed: int) -> list[int]:
    """k-means++: each start is drawn in proportion to its squared distance from those before it."""
    np = numpy()
    rng = np.random.default_rng(seed)
    chosen = [int(rng.integers(len(vectors)))]
    distance = 1 - vectors @ vectors[chosen[0]]
    while len(chosen) < count:
        weight = np.maximum(distance, 0) ** 2
        total = float(weight.sum())
        pick = int(rng.choice(len(vectors), p=weight / total)) if total > 0 else len(chosen)
        chosen.append(pick)
        distance = np.minimum(distance, 1 - vectors @ vectors[pick])
    return chosen


def choose(vectors: Any, quality: Any, size: int) -> list[int]:
    """`size` row indices that are good and unlike each other: k-center, or cluster quotas where that is too much work."""
    if size >= len(vectors):
        return list(range(len(vectors)))
    if len(vectors) * size <= EXACT_LIMIT:
        return k_center(vectors, quality, size)
    return by_quota(clusters(vectors, max(CLUSTERS, size // 50)).labels, quality, size)


def k_center(vectors: Any, quality: Any, size: int) -> list[int]:
    """Greedy k-center (Gonzalez 1985) weighted by quality: next comes the row with the largest
    quality x (distance to the nearest chosen row); the best row is first. Ties go to the lower index."""
    np = numpy()
    chosen = [int(np.argmax(quality))]
    distance = 1 - vectors @ vectors[chosen[0]]
    for _ in range(size - 1):
        value = np.maximum(distance, 1e-6) * quality
        value[chosen] = -1.0
        chosen.append(int(np.argmax(value)))
        distance = np.minimum(distance, 1 - vectors @ vectors[chosen[-1]])
    return chosen


def by_quota(labels: Any, quality: Any, size: int) -> list[int]:
    """The best rows of each cluster, each cluster up to an equal share; small clusters are taken whole."""
    members: dict[int, list[int]] = {}
    for i in sorted(range(len(labels)), key=lambda i: (-float(quality[i]), i)):
        members.setdefault(int(labels[i]), []).append(i)
    shares = fill({str(label): len(rows) for label, rows in members.items()}, size)
    return [i for label, rows in sorted(members.items()) for i in rows[: shares[str(label)]]]


def fill(available: Mapping[str, int], size: int) -> dict[str, int]:
    """Shares `size` equally over groups, none above what it has: what small groups leave goes to the others.
    A rest that does not divide goes one each to the first names."""
    share = dict.fromkeys(sorted(available), 0)
    rest = min(size, sum(available.values()))
    while rest:
        open_ = [name for name in share if share[name] < available[name]]
        each = rest // len(open_)
        for position, name in enumerate(open_):
            more = min(available[name] - share[name], each or int(position < rest))
            share[name] += more
        rest = min(size, sum(available.values())) - sum(share.values())
    return share
