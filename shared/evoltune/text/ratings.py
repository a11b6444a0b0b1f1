"""Read a number from 1 to 10 out of what a model replied.

    read_rating("Score: 7.5/10")  ->  7.5        read_rating("hard")  ->  None

Invariant: a reply without a number in range is None, never a guess.
"""

import re
from collections.abc import Iterable

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\d)")
_OUT_OF = re.compile(r"/\s*(?:10|5)\b")


def numbers_in(text: str) -> list[float]:
    """All numbers of the text in order; the scale of "7/10" or "3/5" is not one of them."""
    return [float(number) for number in _NUMBER.findall(_OUT_OF.sub("", text))]


def read_rating(reply: str) -> float | None:
    """The first number of the reply that lies between 1 and 10."""
    return next((number for number in numbers_in(reply) if 1 <= number <= 10), None)


def median_rating(replies: Iterable[str]) -> float | None:
    """The (upper) median of the replies' ratings, None when no reply has one."""
    ratings = sorted(r for reply in replies if (r := read_rating(reply)) is not None)
    return ratings[len(ratings) // 2] if ratings else None
