"""Rules about broken text: nothing in it, a loop, an end that is missing.

A reply that ended at the token limit is dropped before any rule runs.
"""

import re
import zlib

from evoltune.record import Task
from evoltune.text.words import SENTENCE_END, STOP_WORDS, ngrams, prose_words, word_count

_SHORT_ANSWERS = frozenset(["yes", "no", "not", "a", "i", "all", "same", "ok", "okay"])
_SYMBOLS = re.compile(r"[=+<>√π∞∅]|[^\x00-\u2000\u2010-\u205f\u3000-\u303f\uff00-\uffef]")
"""Signs of mathematics, and letters or pictures outside Latin punctuation: an emoji can be a whole answer."""
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f\u202d\u202e\ud800-\udfff]")
_DIGITS = re.compile(r"\d+")
_TWO_LETTERS = re.compile(r"[^\W\d_]{2}")
_THREE_LETTERS = re.compile(r"[^\W\d_]{3}")
_FENCE = re.compile(r"^\s*(```|~~~)", re.MULTILINE)
_HANGING_END = re.compile(
    r"(\b(and|or|but|the|a|an|of|to|with|in|for|is|are|that|which|by|from|as|because)|[,(\[{:])$", re.IGNORECASE
)
_FINISHED_END = re.compile(r"""[.!?:;。！？…)\]}>"'”’»`*|$%=؟।」』）】》〉-]$""")
MANY_LINES = 6
ASCII_ENDS = ".!?\n\r\v\f\x1c\x1d\x1e"
"""Characters at which an ASCII text is split into lines or sentences."""
LONG_CHARS = 2400
"""From this length on, prose without an end mark counts as cut."""


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


def has_controls(parent: Task | None, child: Task, text: str) -> bool:
    """Control characters, half a surrogate pair or an override of the writing direction, where the task before it has none."""
    before = "" if parent is None else parent.instruction
    return bool(_CONTROLS.search(text)) and not _CONTROLS.search(before)


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
        if run >= max(90, 2 * period) and _TWO_LETTERS.search(tail[-max(2, period) :]):
            return True
    return False


def _repeats_lines(text: str) -> bool:
    """Nearly half of the lines (or sentences) occurred before, digits apart. Short lines and table rules do not count."""
    if text.isascii() and sum(map(text.count, ASCII_ENDS)) < MANY_LINES - 1:
        return False  # too few ends for as many parts; most texts
    masked = _DIGITS.sub("0", text)
    for parts in (masked.splitlines(), SENTENCE_END.split(masked)):
        units = [p.strip() for p in parts if len(p) >= 12]
        if len(units) < MANY_LINES or len(units) - len(set(units)) < 4:
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


def is_truncated(parent: Task | None, child: Task, text: str) -> bool:
    """An open code fence, or a long text that breaks off in the middle of a sentence."""
    stripped = text.rstrip()
    if len(_FENCE.findall(stripped)) % 2:
        return True
    if len(stripped) > 400 and _HANGING_END.search(stripped[-20:]):
        return True
    return len(stripped) > LONG_CHARS and not _is_finished(stripped.splitlines()[-1].strip())


def _is_finished(line: str) -> bool:
    """Whether a last line ends like a sentence, a list item, a heading, code or a signature."""
    return bool(_FINISHED_END.search(line)) or word_count(line) <= 6
