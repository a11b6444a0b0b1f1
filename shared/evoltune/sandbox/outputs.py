"""Compares what a program printed with what it should have printed.

The law, in this order:
- Texts are compared line by line. Blanks at the end of a line and blank lines before and after the text are free; everything else
  counts, also leading blanks.
- With a tolerance (`atol`) the texts may also differ in blanks, and numbers may differ: two numbers that are written with a point
  or an exponent by `atol` or by a relative 1e-9; a whole number and such a one by `atol`; two whole numbers not at all, however
  long they are. A number is digits, a point, an exponent: no underscores, no `nan`, no `inf`.

    same_output("  *\\n ***\\n", "  *\\n ***")               # True
    same_output("1000000006 0.5", "1000000007 0.5", 1e-6)   # False
"""

import re
from decimal import Decimal

_WHOLE = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
RELATIVE = Decimal("1e-9")
"""Relative tolerance between floats, beside the absolute one."""
MAX_DIGITS = 4000


def same_output(got: str, expected: str, atol: float = 0.0) -> bool:
    """Whether the printed text is the expected one."""
    if _lines(got) == _lines(expected):
        return True
    if not atol:
        return False
    words, wanted = got.split(), expected.split()
    if len(words) != len(wanted):
        return False
    return all(a == b or _near(a, b, Decimal(atol)) for a, b in zip(words, wanted, strict=True))


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    first = next((i for i, line in enumerate(lines) if line), len(lines))
    last = next((i for i in reversed(range(len(lines))) if lines[i]), -1)
    return lines[first : last + 1]


def _near(got: str, expected: str, atol: Decimal) -> bool:
    if not (_NUMBER.fullmatch(got) and _NUMBER.fullmatch(expected)) or max(len(got), len(expected)) > MAX_DIGITS:
        return False
    a, b = Decimal(got), Decimal(expected)
    whole = [bool(_WHOLE.fullmatch(text)) for text in (got, expected)]
    difference = abs(a - b)
    if all(whole) or difference == 0:
        return difference == 0
    return difference <= atol or (not any(whole) and difference <= RELATIVE * max(abs(a), abs(b)))
