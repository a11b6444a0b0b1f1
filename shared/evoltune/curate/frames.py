"""The frame of a domain: what many of its tasks share, so that a row that has it gives nothing away.

    frames = shared_by_many([shingles(t) for t in tasks])     # {"write a regular", "a regular expression", ...}

Every task of a small domain may read "Write a regular expression that matches every string which ...": without its frame, a
row about other strings is no copy of any of them. Counted are the tasks of a suite and the domain's own seeds, each against
its own number, so that neither hides the other's.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from math import ceil
from typing import TypeVar

MIN_TEXTS, SHARE = 3, 0.05
"""A frame is in at least this many texts, and in this share of all of them. Ten rewordings of each problem among the seeds of
a suite of 30 make no frame."""
T = TypeVar("T", bound=Hashable)


def shared_by_many(texts: Sequence[Iterable[T]], share: float = SHARE) -> set[T]:
    """The items (words, shingles) that many of the texts have."""
    needed = max(MIN_TEXTS, ceil(len(texts) * share))
    counts = Counter(item for text in texts for item in set(text))
    return {item for item, n in counts.items() if n >= needed}
