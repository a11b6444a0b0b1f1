"""Text that can be stored, shown and sent again."""

import re

_CONTROLS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]{0,200}(?:\x07|\x1b\\)|[\x00-\x08\x0b\x0e-\x1f\x7f]"
)
"""Escape sequences of terminals, and control characters: no tokenizer and no reader wants them."""


def without_surrogates(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, which JSON can hold and UTF-8 cannot."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean(text: str) -> str:
    """The same without control characters other than tabs and ends of lines."""
    return _CONTROLS.sub("", without_surrogates(text))
