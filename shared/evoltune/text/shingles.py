"""Word 3-shingles of many texts at once, as 64-bit hashes: the inner loop of near-duplicate search, in numpy.

Words are those of `text.words`. A word's hash is a polynomial in an odd base, computed from prefix sums over a whole chunk
of texts: modulo 2^64 the base has an inverse, so the difference of two prefix sums can be shifted back to the word's own
start. No Python object is made per word.
Invariant: equal shingles have equal hashes, in every process and whatever the other texts are.

    grams, offsets = hashed_shingles(["one two three four"])    # grams[offsets[i]:offsets[i + 1]] are text i's
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

from evoltune.text.vectors import import_numpy
from evoltune.text.words import ASCII_TABLE, SHINGLE, shingle_tokens

CHUNK = 1 << 20  # bytes of text hashed at once: 40 MB of temporaries, and the powers fit the CPU cache
BASE = 0x9E3779B97F4A7C15  # odd
INVERSE = pow(BASE, -1, 2**64)
MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93)
_TABLE = ASCII_TABLE[:128] + bytes(range(128, 256))  # bytes of non-ASCII words are kept as they are


def hashed_shingles(texts: Sequence[str]) -> tuple[Any, Any]:
    """(uint64[total] hashes, uint64[n + 1] offsets of each text). A text of fewer than three words is one shingle."""
    np = import_numpy()
    parts = [_chunk(chunk) for chunk in _chunks(texts)]
    counts = np.concatenate([np.zeros(1, dtype=np.uint64), *(counts for _, counts in parts)])
    hashes = np.concatenate([np.zeros(0, dtype=np.uint64), *(hashes for hashes, _ in parts)])
    return hashes, np.cumsum(counts, dtype=np.uint64)


def _chunks(texts: Sequence[str]) -> Iterator[list[bytes]]:
    """Texts as bytes whose words are separated by spaces or ASCII punctuation, in groups of about CHUNK bytes."""
    chunk: list[bytes] = []
    size = 0
    for text in texts:
        raw = text.encode() if text.isascii() else " ".join(shingle_tokens(text)).encode()
        if chunk and size + len(raw) > CHUNK:
            yield chunk
            chunk, size = [], 0
        chunk.append(raw)
        size += len(raw) + 1
    if chunk:
        yield chunk


def _chunk(rows: list[bytes]) -> tuple[Any, Any]:
    """(shingle hashes, shingles of each row) of one chunk."""
    np = import_numpy()
    joined = b" ".join(rows).translate(_TABLE) + b" "
    starts, hashes = _word_hashes(np.frombuffer(joined, dtype=np.uint8))
    bounds = np.fromiter(accumulate((len(r) + 1 for r in rows), initial=0), dtype=np.int64, count=len(rows) + 1)
    edges = np.searchsorted(starts, bounds)
    counts = np.diff(edges)
    missing = np.maximum(SHINGLE - counts, 0)
    if missing.any():
        hashes = np.insert(hashes, np.repeat(edges[1:], missing), np.uint64(0))
        counts = counts + missing
    mixed = hashes * np.uint64(MIX[0])
    mixed[:-1] += _rotated(hashes[1:], 21) * np.uint64(MIX[1])
    mixed[:-2] += _rotated(hashes[2:], 42) * np.uint64(MIX[2])
    inside = np.ones(len(hashes), dtype=bool)
    ends = np.cumsum(counts)
    inside[ends - 1] = inside[ends - 2] = False
    return mixed[inside], (counts - (SHINGLE - 1)).astype(np.uint64)


def _word_hashes(letters: Any) -> tuple[Any, Any]:
    """(start of each word, hash of each word) in a chunk that ends with a space."""
    np = import_numpy()
    is_word = letters != 32
    edges = np.flatnonzero(np.diff(is_word, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]
    up, down = _powers(1 << max(12, len(letters).bit_length()))
    prefix = np.zeros(len(letters) + 1, dtype=np.uint64)
    np.cumsum(letters * up[: len(letters)], out=prefix[1:])
    raw = (prefix[ends] - prefix[starts]) * down[starts]
    raw ^= raw >> np.uint64(29)
    raw *= np.uint64(MIX[0])
    return starts, raw ^ (raw >> np.uint64(32))


@lru_cache(maxsize=2)
def _powers(size: int) -> tuple[Any, Any]:
    """BASE^i and BASE^-i for i < size, mod 2^64."""
    np = import_numpy()
    found = []
    for base in (BASE, INVERSE):
        powers = np.full(size, base, dtype=np.uint64)
        powers[0] = 1
        found.append(np.cumprod(powers, dtype=np.uint64))
    return found[0], found[1]


def _rotated(values: Any, bits: int) -> Any:
    """Each 64-bit value rotated left, so that the order of the words in a shingle counts."""
    np = import_numpy()
    return (values << np.uint64(bits)) | (values >> np.uint64(64 - bits))
