"""Diversity: k-center under a quality weight, spherical k-means, equal shares over clusters.

spherical_kmeans(vectors, 20)  ->  labels;  k_center(vectors, quality, 1000)  ->  row indices, most valued first
"""

from collections.abc import Mapping
from typing import Any

from evoltune.text.vectors import import_numpy

CLUSTERS = 20  # as WizardLM (2304.12244) shows its data
ITERATIONS = 25
EXACT_LIMIT = 4e8  # rows x chosen: above it (about 40 s) equal shares of clusters take the place of k-center


def spherical_kmeans(vectors: Any, count: int = CLUSTERS, *, seed: int = 0) -> Any:
    """k-means by cosine with k-means++ starts; the same rows in the same order give the same clusters.

    Own code: scikit-learn's KMeans is Euclidean, does not normalise its centres, and its result depends on the number of
    threads; datasets must come out the same everywhere.

    Returns:
        int[n], the cluster of each row.
    """
    np = import_numpy()
    count = max(1, min(count, len(vectors)))
    centres = vectors[_starts(vectors, count, seed)].copy()
    labels = np.full(len(vectors), -1)
    for _ in range(ITERATIONS):
        nearest = (vectors @ centres.T).argmax(axis=1)
        if (nearest == labels).all():
            break
        labels = nearest
        for i in range(count):
            members = vectors[labels == i]
            if len(members):
                mean = members.mean(axis=0)
                centres[i] = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return labels


def _starts(vectors: Any, count: int, seed: int) -> list[int]:
    """k-means++: each start is drawn in proportion to its squared distance from those before it."""
    np = import_numpy()
    rng = np.random.default_rng(seed)
    chosen = [int(rng.integers(len(vectors)))]
    distance = 1 - vectors @ vectors[chosen[0]]
    while len(chosen) < count:
        weight = np.maximum(distance, 0) ** 2
        total = float(weight.sum())
        chosen.append(int(rng.choice(len(vectors), p=weight / total)) if total > 0 else len(chosen))
        distance = np.minimum(distance, 1 - vectors @ vectors[chosen[-1]])
    return chosen


def effective_number(vectors: Any) -> float:
    """How many different rows a set amounts to: n for rows that share nothing, 1 for copies of one (Vendi score, 2210.02410).

    The exponential of the entropy of the eigenvalues of the rows' cosines over n. It grows with n: compare sets of one size.
    """
    np = import_numpy()
    if not len(vectors):
        return 0.0
    cosines = np.einsum(
        "ij,kj->ik", vectors, vectors
    )  # on one thread: those of BLAS spin for longer than a small set takes
    values = np.linalg.eigvalsh(cosines.astype(np.float64) / len(vectors))
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def choose_diverse(vectors: Any, quality: Any, size: int) -> list[int]:
    """`size` row indices that are good and unlike each other.

    Args:
        vectors: float[n, width], rows of unit length.
        quality: float[n], from 0 to 1.
        size: rows wanted; `n` or more gives all.
    """
    if size >= len(vectors):
        return list(range(len(vectors)))
    if len(vectors) * size <= EXACT_LIMIT:
        return k_center(vectors, quality, size)
    return best_of_clusters(spherical_kmeans(vectors, max(CLUSTERS, size // 50)), quality, size)


def k_center(vectors: Any, quality: Any, size: int) -> list[int]:
    """Greedy k-center (Gonzalez 1985) weighted by quality: the best row is first, then always the row with the largest
    quality x (distance to the nearest chosen row). Ties go to the lower index."""
    np = import_numpy()
    chosen = [int(np.argmax(quality))]
    distance = 1 - vectors @ vectors[chosen[0]]
    for _ in range(size - 1):
        value = np.maximum(distance, 1e-6) * quality
        value[chosen] = -1.0
        chosen.append(int(np.argmax(value)))
        distance = np.minimum(distance, 1 - vectors @ vectors[chosen[-1]])
    return chosen


def best_of_clusters(labels: Any, quality: Any, size: int) -> list[int]:
    """The best rows of each cluster, each cluster up to an equal share; small clusters are taken whole."""
    members: dict[int, list[int]] = {}
    for i in sorted(range(len(labels)), key=lambda i: (-float(quality[i]), i)):
        members.setdefault(int(labels[i]), []).append(i)
    shares = equal_shares({str(label): len(rows) for label, rows in members.items()}, size)
    return [i for label, rows in sorted(members.items()) for i in rows[: shares[str(label)]]]


def equal_shares(available: Mapping[str, int], size: int) -> dict[str, int]:
    """Divides `size` equally over groups, none above what it has: what small groups leave goes to the others.
    A remainder that does not divide goes one each to the first names."""
    share = dict.fromkeys(sorted(available), 0)
    wanted = min(size, sum(available.values()))
    while rest := wanted - sum(share.values()):
        unfilled = [name for name in share if share[name] < available[name]]
        each = rest // len(unfilled)
        for position, name in enumerate(unfilled):
            share[name] += min(available[name] - share[name], each or int(position < rest))
    return share


def tempered_shares(available: Mapping[str, int], size: int, temperature: float) -> dict[str, int]:
    """Divides `size` over groups in proportion to their sizes to the power of 1/temperature, none above what it has: at 1 as the rows
    lie, the higher the more equal. Each further row goes to the group that is furthest below its proportion (D'Hondt)."""
    share = dict.fromkeys(sorted(available), 0)
    for _ in range(min(size, sum(available.values()))):
        open_groups = (name for name in share if share[name] < available[name])
        share[max(open_groups, key=lambda name: available[name] ** (1 / temperature) / (share[name] + 1))] += 1
    return share
