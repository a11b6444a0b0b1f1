"""Dedup: exact (normalised), near (MinHash LSH proposes, true Jaccard decides), semantic (optional).

Rule: rows are walked best first (`difficulty.rank`: verified, harder, earlier, id); a row goes when it equals, or nearly
equals, one that was kept. So what is kept depends on the set of rows alone, never on their order, and every row that
went has a kept partner at or above the threshold.

    [partner_of_0, ...] = near_duplicates(["add 2 and 3 to 4", "Add 2 and 3 to 4!"], 0.7)   ->  [None, 0]
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from evoltune.cluster.engine import each
from evoltune.curate.dedup.semantic import semantic_duplicates
from evoltune.curate.difficulty import rank
from evoltune.record import Drop, Record, Stage, Task
from evoltune.text.shingles import hashed_shingles
from evoltune.text.words import jaccard, normalise

PERMUTATIONS = 64  # enough for the bands below; what they propose is compared exactly
SEED = 20260
BATCH = 20_000  # rows sketched at once: 10 MB of signatures, 60 MB of shingles
MISSES = 0.02  # share of pairs exactly at the threshold that LSH may overlook
Note = Callable[[str, str], None]
"""(record id, what is known): where a stage leaves the evidence of a drop."""


def near_duplicates(texts: Sequence[str], threshold: float) -> list[int | None]:
    """For each text, in order, the index of an earlier kept text with Jaccard >= threshold, or None: it is kept.

    Texts are compared as sets of word 3-shingles (64-bit hashes). A bulk pass flags the texts that share an LSH band with
    any other; only these are walked, against kept ones only, so a million copies of one text cost a million lookups.
    """
    from rensa import RMinHash, RMinHashLSH

    partner: list[int | None] = [None] * len(texts)
    flagged = _flagged(texts, threshold)
    index = _lsh(RMinHashLSH, threshold)
    kept: dict[int, Any] = {}
    for start in range(0, len(flagged), BATCH):
        part = flagged[start : start + BATCH]
        grams, offsets = hashed_shingles([texts[i] for i in part])
        pieces = grams.view("S8")  # the hashes as tokens, the form in which single sketches are made
        tokens, spans = pieces.tolist(), list(pairwise(offsets.tolist()))
        rows = [tokens[a:b] for a, b in spans]
        sketches = RMinHash.from_token_sets(rows, num_perm=PERMUTATIONS, seed=SEED)
        for i, row, span, sketch in zip(part, rows, spans, sketches, strict=True):
            own = set(row)
            near = (
                k for k in sorted(index.query(sketch)) if jaccard(own, set(kept[k].tolist())) >= threshold
            )
            partner[i] = next(near, None)
            if partner[i] is None:
                index.insert(i, sketch)
                kept[i] = pieces[slice(*span)].copy()
    return partner


def _flagged(texts: Sequence[str], threshold: float) -> list[int]:
    """Indices of the texts that share an LSH band with another one."""
    from rensa import RMinHash, RMinHashLSH

    index = _lsh(RMinHashLSH, threshold)
    matrices = []
    starts = range(0, len(texts), BATCH)
    parts = (list(texts[start : start + BATCH]) for start in starts)
    for start, (grams, offsets) in zip(starts, each(hashed_shingles, parts), strict=True):
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(grams, offsets, PERMUTATIONS, SEED)
        index.insert_matrix(matrix, start)
        matrices.append(matrix)
    flags = (flag for matrix in matrices for flag in index.query_duplicate_flags_matrix(matrix))
    return [i for i, flag in enumerate(flags) if flag]


def bands(threshold: float, permutations: int = PERMUTATIONS) -> int:
    """The fewest bands (dividing the permutations) that overlook a pair at the threshold with at most `MISSES`:
    (1 - t^rows)^bands <= MISSES."""
    for count in range(1, permutations + 1):
        if permutations % count == 0 and (1 - threshold ** (permutations // count)) ** count <= MISSES:
            return count
    return permutations


def _lsh(kind: Any, threshold: float) -> Any:
    return kind(threshold=threshold, num_perm=PERMUTATIONS, num_bands=bands(threshold))


def key_text(task: Task) -> str:
    """What two rows are compared by: the turns so far and the instruction; never the answers."""
    return "\n".join([*(content for _, content in task.history), task.instruction])


@dataclass(frozen=True, kw_only=True)
class Limits:
    """From where two texts count as one; 1 switches a kind off."""

    near: float = 0.7
    """Jaccard of word 3-shingles."""
    semantic: float = 1.0
    """Cosine of vectors."""
    embeddings: str = ""


def dedup(
    limits: Limits,
    *,
    gate: Callable[[Record], str] = lambda record: "",
    note: Note = lambda record_id, text: None,
) -> Stage:
    """A stage: drops what `gate` refuses, then exact, near and semantic duplicates.

    Needs the whole set at once, but not in memory: records wait in a temporary file, only their texts and ranks stay.
    """

    def stage(records: Iterable[Record]) -> Iterator[Record | Drop]:
        with tempfile.TemporaryFile() as spool:
            ranks, texts = [], []
            for record in records:
                reason = gate(record)
                if reason:
                    yield Drop(record=record, reason=reason)
                    continue
                ranks.append((rank(record), spool.tell()))
                texts.append(key_text(record.task))
                pickle.dump(record, spool, protocol=pickle.HIGHEST_PROTOCOL)
            order = sorted(range(len(ranks)), key=ranks.__getitem__)
            ids = [ranks[i][0][-1] for i in order]
            offsets = [ranks[i][1] for i in order]
            found = duplicates([texts[i] for i in order], limits)
            for (reason, twin), offset in zip(found, offsets, strict=True):
                spool.seek(offset)
                record = pickle.load(spool)
                if reason:
                    note(record.id, f"{reason} of {ids[twin]}")
                yield Drop(record=record, reason=reason) if reason else record

    return stage


def _name(text: str) -> bytes:
    """128 bits that name a normalised text: a million texts' names take a tenth of the texts' own room."""
    return blake2b(normalise(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def duplicates(texts: Sequence[str], limits: Limits) -> Iterator[tuple[str, int]]:
    """For each text, best first: (reason, index of the kept partner), reason empty where the text is kept."""
    first: dict[bytes, int] = {}
    exact = [first.setdefault(_name(text), i) for i, text in enumerate(texts)]
    first.clear()
    reasons = {i: ("exact duplicate", twin) for i, twin in enumerate(exact) if i != twin}
    kinds: list[tuple[str, Callable[[Sequence[str]], list[int | None]]]] = []
    if limits.near < 1:
        kinds.append(("near duplicate", partial(near_duplicates, threshold=limits.near)))
    if limits.semantic < 1:
        semantic = partial(semantic_duplicates, threshold=limits.semantic, model=limits.embeddings)
        kinds.append(("semantic duplicate", semantic))
    for reason, find in kinds:
        open_ = [i for i in range(len(texts)) if i not in reasons]
        partners = find([texts[i] for i in open_])
        reasons |= {open_[i]: (reason, open_[k]) for i, k in enumerate(partners) if k is not None}
    for i in range(len(texts)):
        yield reasons.get(i, ("", i))
