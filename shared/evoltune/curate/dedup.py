"""Deduplication: exact duplicates, near duplicates, and (optional) semantic duplicates.

Rows are visited best first (`rank`: verified, harder, earlier, id); a row is dropped when it equals, or nearly equals, a
row that was kept. So the result depends on the set of rows alone, never on their order, and every dropped row has a kept
partner at or above the threshold. Near duplicates: MinHash LSH proposes pairs, the exact Jaccard of their word 3-shingles
decides. Semantic duplicates: vectors that point the same way.

    stage = dedup(recipe.curate)
    list(find_duplicates(["Name a prime.", "name a prime."], recipe.curate))   ->  [("", 0), ("exact duplicate", 0)]
"""

import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from evoltune.cluster.engine import each
from evoltune.curate.quality import difficulty, is_verified
from evoltune.recipe import Curate
from evoltune.record import Drop, Record, Stage, Task
from evoltune.text.shingles import hashed_shingles
from evoltune.text.vectors import import_numpy, vectors
from evoltune.text.words import jaccard, normalise

Note = Callable[[str, str], None]
"""(record id, evidence): called for each drop that has evidence; the run store keeps it for `explain`."""
PERMUTATIONS = 64  # enough for the bands below; what they propose is compared exactly
SEED = 20260
BATCH = 20_000  # rows sketched at once: 10 MB of signatures, 60 MB of shingles
MISS_RATE = 0.02  # share of pairs exactly at the threshold that LSH may overlook
BLOCK = 1024  # rows whose vectors are compared with all kept ones in one matrix product


def rank(record: Record) -> tuple[int, float, int, int, str]:
    """Sort key, the better of two equal rows first: verified, then harder, then earlier round and draw, then id.
    Ids differ, so this is a total order, and what is kept never depends on the order of arrival."""
    return (not is_verified(record), -(difficulty(record) or 0.0), record.round, record.draw, record.id)


def key_text(task: Task) -> str:
    """What two rows are compared by: the earlier turns and the instruction, never the answers."""
    return "\n".join([*(content for _, content in task.history), task.instruction])


def dedup(
    options: Curate, *, refuse: Callable[[Record], str] = lambda record: "", note: Note = lambda record_id, text: None
) -> Stage:
    """A stage that drops what `refuse` gives a reason for, then all duplicates.

    It needs the whole set, but not in memory: records wait in a temporary file; only texts and ranks are held.
    """

    def stage(records: Iterable[Record]) -> Iterator[Record | Drop]:
        with tempfile.TemporaryFile() as spool:
            rows = []
            for record in records:
                if reason := refuse(record):
                    yield Drop(record=record, reason=reason)
                    continue
                rows.append((rank(record), spool.tell(), key_text(record.task)))
                pickle.dump(record, spool, protocol=pickle.HIGHEST_PROTOCOL)
            rows.sort()
            found = find_duplicates([text for _, _, text in rows], options)
            for (reason, partner), (_, offset, _) in zip(found, rows, strict=True):
                spool.seek(offset)
                record = pickle.load(spool)
                if reason:
                    partner_id = rows[partner][0][-1]
                    note(record.id, f"{reason} of {partner_id}")
                yield Drop(record=record, reason=reason) if reason else record

    return stage


def find_duplicates(texts: Sequence[str], options: Curate) -> Iterator[tuple[str, int]]:
    """For each text, best first: (reason, index of the kept partner); the reason is empty where the text is kept."""
    first: dict[bytes, int] = {}
    exact = [first.setdefault(_digest(text), i) for i, text in enumerate(texts)]
    first.clear()
    reasons = {i: ("exact duplicate", partner) for i, partner in enumerate(exact) if i != partner}
    searches: list[tuple[str, Callable[[Sequence[str]], list[int | None]]]] = []
    if options.near_threshold < 1:
        searches.append(("near duplicate", partial(near_duplicates, threshold=options.near_threshold)))
    if options.semantic_threshold < 1:
        semantic = partial(semantic_duplicates, threshold=options.semantic_threshold, model=options.embeddings)
        searches.append(("semantic duplicate", semantic))
    for reason, search in searches:
        left = [i for i in range(len(texts)) if i not in reasons]
        partners = search([texts[i] for i in left])
        reasons |= {left[i]: (reason, left[k]) for i, k in enumerate(partners) if k is not None}
    for i in range(len(texts)):
        yield reasons.get(i, ("", i))


Limits, duplicates = Curate, find_duplicates
"""The names by which programs outside this package call the search: `duplicates(texts, Limits())`."""


def _digest(text: str) -> bytes:
    # 128 bits instead of the text itself: a tenth of the memory for a million texts.
    return blake2b(normalise(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()


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
        for i in range(len(block)):
            nearest = int(to_kept[i].argmax()) if kept_before else -1
            if nearest >= 0 and to_kept[i, nearest] >= threshold:
                partners[start + i] = kept_before[nearest]
                continue
            kept_here = kept[len(kept_before) :]
            partners[start + i] = next((k for k in kept_here if within[i, k - start] >= threshold), None)
            if partners[start + i] is None:
                kept.append(start + i)
    return partners
