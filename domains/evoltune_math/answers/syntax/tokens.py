"""Token, and the exception for text that is outside of the grammar."""

from fractions import Fraction
from typing import NamedTuple


class Unreadable(Exception):
    """The text is outside of the grammar or over a size limit; the message says which."""


class Token(NamedTuple):
    kind: str
    """num, sym, word, cmd, op, text, sep, end"""
    text: str
    space: bool = False
    """Whether white space stands before it."""
    value: Fraction | None = None
    note: str = ""
    """num: `decimal` if it was written with a decimal point; sym: `v` if it is bold, as vectors are."""

    def is_op(self, *texts: str) -> bool:
        return self.kind == "op" and self.text in texts

    def is_cmd(self, *texts: str) -> bool:
        return self.kind == "cmd" and self.text in texts


END = Token("end", "")
