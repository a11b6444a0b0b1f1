"""Read a number from 1 to 10 out of what a model replied.

    read_rating("Score: 7.5/10")  ->  7.5        read_rating("hard")  ->  None

Invariant: a reply without a number in range is None, never a guess.
"""

import re
from collections.abc import Iterable

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\d)")
_OUT_OF = re.compile(r"/\s*(?:10|5)\b")
_SCALE = re.compile(r"\b[01]\s*(?:to|through|[-–—])\s*10\b", re.IGNORECASE)
"""The scale that was asked for, said again: "on a scale of 1 to 10"."""
_LABELLED = re.compile(
    r"\b(?:rat(?:e|es|ed|ing)|scor(?:e|es|ed)|difficulty|grad(?:e|ed))(?:\W|\b(?:is|as|of|it|this|that|at|an?|be|would|"
    r"the|task|instruction|level|to|about|around)\b)*(?=(\d+(?:\.\d+)?(?![\w.]*\d)))",
    re.IGNORECASE,
)


def numbers_in(text: str) -> list[float]:
    """All numbers of the text in order; the scale of "7/10" or "3/5" is not one of them."""
    return [float(number) for number in _NUMBER.findall(_OUT_OF.sub("", text))]


def read_rating(reply: str) -> float | None:
    """The first number of the reply that lies between 1 and 10: of those that it calls its rating, else of all. The ends of the scale
    are none of them."""
    text = _SCALE.sub(" ", _OUT_OF.sub("", reply))
    said = [float(number) for number in _LABELLED.findall(text)]
    return next((number for number in (*said, *numbers_in(text)) if 1 <= number <= 10), None)


def median_rating(replies: Iterable[str]) -> float | None:
    """The (upper) median of the replies' ratings, None when no reply has one."""
    ratings = sorted(r for reply in replies if (r := read_rating(reply)) is not None)
    return ratings[len(ratings) // 2] if ratings else None
