"""The rule about texts that break off. (A reply that ended at the token limit is dropped before any rule runs.)"""

import re

from evoltune.record import Task
from evoltune.text.words import prose_words

_FENCE = re.compile(r"^\s*(```|~~~)", re.MULTILINE)
_HANGING_END = re.compile(
    r"(\b(and|or|but|the|a|an|of|to|with|in|for|is|are|that|which|by|from|as|because)|[,(\[{:])$", re.IGNORECASE
)
_FINISHED_END = re.compile(r"""[.!?:;。！？…)\]}>"'”’`*|$%=-]$""")
LONG_CHARS = 2400
"""From this length on, prose without an end mark counts as cut."""


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
    return bool(_FINISHED_END.search(line)) or len(prose_words(line)) <= 6
