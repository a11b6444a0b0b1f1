"""Near duplicates by MinHash LSH: an index proposes pairs, the exact Jaccard of their word 3-shingles decides.

near_duplicates(["add 2 and 3 to 4", "Add 2 and 3 to 4!"], 0.7)   ->  [None, 0]
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from evoltune.cluster.engine import each
from evoltune.text.shingles import hashed_shingles
from evoltune.text.words import jaccard

PERMUTATIONS = 64  # enough for the bands below; what they propose is compared exactly
SEED = 20260
BATCH = 20_000  # rows sketched at once: 10 MB of signatures, 60 MB of shingles
MISS_RATE = 0.02  # share of pairs exactly at the threshold that LSH may overlook


def near_duplicates(texts: Sequence[str], threshold: float) -> list[int | None]:
    """For each text, in order, the index of an earlier kept text with Jaccard >= threshold, or None: it is kept.

    A first pass in bulk finds the texts that share an LSH band with any other. Only these are compared, and only with
    kept ones, so that a million copies of one text cost a million look-ups.
    """
    from rensa import RMinHash

    partners: list[int | None] = [None] * len(texts)
    candidates = _texts_sharing_a_band(texts, threshold)
    index = _lsh_index(threshold)
    kept: dict[int, Any] = {}
    for start in range(0, len(candidates), BATCH):
        part = candidates[start : start + BATCH]
        hashes, offsets = hashed_shingles([texts[i] for i in part])
        tokens = hashes.view("S8")  # rensa takes tokens as bytes
        listed, spans = tokens.tolist(), list(pairwise(offsets.tolist()))
        rows = [listed[a:b] for a, b in spans]
        sketches = RMinHash.from_token_sets(rows, num_perm=PERMUTATIONS, seed=SEED)
        for i, row, span, sketch in zip(part, rows, spans, sketches, strict=True):
            own = set(row)
            near = (k for k in sorted(index.query(sketch)) if jaccard(own, set(kept[k].tolist())) >= threshold)
            partners[i] = next(near, None)
            if partners[i] is None:
                index.insert(i, sketch)
                kept[i] = tokens[slice(*span)].copy()
    return partners


def _texts_sharing_a_band(texts: Sequence[str], threshold: float) -> list[int]:
    """Indices of the texts that share an LSH band with another one."""
    from rensa import RMinHash

    index = _lsh_index(threshold)
    matrices = []
    starts = range(0, len(texts), BATCH)
    parts = (list(texts[start : start + BATCH]) for start in starts)
    for start, (hashes, offsets) in zip(starts, each(hashed_shingles, parts), strict=True):
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, PERMUTATIONS, SEED)
        index.insert_matrix(matrix, start)
        matrices.append(matrix)
    flags = (flag for matrix in matrices for flag in index.query_duplicate_flags_matrix(matrix))
    return [i for i, flag in enumerate(flags) if flag]


def _lsh_index(threshold: float) -> Any:
    from rensa import RMinHashLSH

    return RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=bands(threshold))


def bands(threshold: float) -> int:
    """The fewest bands that divide the permutations and overlook at most `MISS_RATE` of the pairs at the threshold:
    (1 - threshold^rows)^bands <= MISS_RATE, with rows = permutations / bands."""
    for count in range(1, PERMUTATIONS + 1):
        if PERMUTATIONS % count == 0 and (1 - threshold ** (PERMUTATIONS // count)) ** count <= MISS_RATE:
            return count
    return PERMUTATIONS
