"""Rules about too little or too much text."""

import re

from evoltune.record import Task
from evoltune.text.words import STOP_WORDS, prose_words

_SHORT_ANSWERS = frozenset(["yes", "no", "not", "a", "i", "all", "same", "ok", "okay"])
_SYMBOLS = re.compile(r"[=+<>√π∞∅]|[^\x00-\u2000\u2010-\u205f\u3000-\u303f\uff00-\uffef]")
"""Signs of mathematics, and letters or pictures outside Latin punctuation: an emoji can be a whole answer."""


def is_empty(parent: Task | None, child: Task, text: str) -> bool:
    """Nothing but white space."""
    return not text.strip()


def has_only_stop_words(parent: Task | None, child: Task, text: str) -> bool:
    """Only punctuation and stop words (2304.12244 section 3.3, rule 3)."""
    found = prose_words(text)
    if not found:
        return not _SYMBOLS.search(text)
    if not all(word in STOP_WORDS for word in found):
        return False
    # "Yes." answers a yes-or-no question and "a" a multiple choice; "the of and" answers nothing.
    return len(found) > 3 or _SHORT_ANSWERS.isdisjoint(found)


def grows_too_long(parent: Task | None, child: Task, text: str) -> bool:
    """Over 4 times the parent and 150 words more."""
    # The paper's prompts allow 10 to 20 more words a round; fusion was seen to turn 14 tokens into 325.
    if parent is None:
        return False
    length, before = len(prose_words(text)), len(prose_words(parent.instruction))
    return length > max(4 * before, before + 150)
