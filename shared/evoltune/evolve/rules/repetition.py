"""The rule about loops: a text that repeats itself."""

import re
import zlib

from evoltune.record import Task
from evoltune.text.words import SENTENCE_END, ngrams, prose_words

_DIGITS = re.compile(r"\d+")
_THREE_LETTERS = re.compile(r"[^\W\d_]{3}")


def loops(parent: Task | None, child: Task, text: str) -> bool:
    """A periodic end, the same lines or phrases over and over, or hardly any entropy."""
    return _ends_periodically(text) or _repeats_lines(text) or _repeats_phrases(text)


def _ends_periodically(text: str) -> bool:
    """The end repeats with one period, digits apart ("codice_7\\ncodice_8"): at least 3 times and 90 characters."""
    tail = _DIGITS.sub("0", text.rstrip()[-4000:])
    if len(tail) < 120:
        return False
    for probe in (24, 60):
        at = tail.rfind(tail[-probe:], 0, len(tail) - 1)
        if at < 0:
            continue
        period = len(tail) - probe - at
        run = 0
        while run + period < len(tail) and tail[-1 - run] == tail[-1 - run - period]:
            run += 1
        if run >= max(90, 2 * period) and re.search(r"[^\W\d_]{2}", tail[-period:]):
            return True
    return False


def _repeats_lines(text: str) -> bool:
    """Nearly half of the lines (or sentences) occurred before, digits apart. Short lines and table rules do not count."""
    masked = _DIGITS.sub("0", text)
    for parts in (masked.splitlines(), SENTENCE_END.split(masked)):
        units = [p.strip() for p in parts if len(p) >= 12]
        if len(units) < 6 or len(units) - len(set(units)) < 4:
            continue
        units = [u for u in units if _THREE_LETTERS.search(u)]
        repeated = len(units) - len(set(units))
        if repeated >= 4 and repeated >= 0.45 * len(units):
            return True
    return False


def _repeats_phrases(text: str) -> bool:
    """Few distinct word 4-grams, or a text that deflates to under a sixth (prose needs a half, code a quarter)."""
    found = prose_words(text)
    if len(found) >= 60:
        grams = list(ngrams(found, 4))
        if len(set(grams)) < 0.4 * len(grams):
            return True
    raw = text.encode()
    return len(raw) >= 500 and len(zlib.compress(raw, 6)) < 0.16 * len(raw)
