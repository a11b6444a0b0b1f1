"""Bounds under which an answer is said to hold: `f(x) = 0` for all `x > 0` is not `f(x) = 0` for all `x < 0`.

So is `9 at x = 2` not `9 at x = 3`. Where one answer names no bound, the other's is taken as known from the task.
"""

import re
from fractions import Fraction

_BOUND = re.compile(
    r"(?:\\forall|∀|\bfor\s+(?:all|every|each|any)\b)[\s}$~\\]*([A-Za-z](?:\s*,\s*[A-Za-z])*)\s*"
    r"(\\leqslant|\\geqslant|\\leq?|\\geq?|\\lt|\\gt|\\neq?|<=|>=|<|>|≤|≥|≠)\s*([^,;:$&|]*)",
    re.I,
)
_PLACE = re.compile(r"\b(?:at|when|where|for)\b[\s}$~\\]*([A-Za-z])[\s}$]*(=)\s*([^,;:$&|]*)")
"""`9 at x = 2`"""
_WHOLE = re.compile(
    r"\b(non-?negative|positive)\s+(?:integers?|whole\s+numbers?)\s*\$?([a-z])\b|\$?\b([a-z])\b\$?\s+is\s+an?\s+(non-?negative|positive)\s+(?:integer|whole\s+number)",
    re.I,
)
_INDEX = re.compile(r"(?:,|\bwhere\b|\bwith\b|\bfor\b)[\s}$~\\]*([ijkmn])\s*(\\geqslant|\\geq?|>=|>|≥)\s*([01])\b")
"""`for nonnegative integers k`, and `, k >= 0` behind a family."""
_SIGNS = {"leqslant": "<=", "geqslant": ">=", "leq": "<=", "le": "<=", "geq": ">=", "ge": ">=", "lt": "<", "gt": ">", "neq": "!=", "ne": "!=",
          "≤": "<=", "≥": ">=", "≠": "!="}  # fmt: skip
_INTEGERS = frozenset("ijkmn")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:/\d+)?")


def _bounds(text: str) -> dict[str, set[tuple[str, str]]]:
    """The bounds that a text names, by letter: a sign and the other side without spaces."""
    found: dict[str, set[tuple[str, str]]] = {}
    kinds = [(b or c, ">=", "1" if (a or d)[0] in "pP" else "0") for a, b, c, d in _WHOLE.findall(text)]
    for names, sign, rest in [*_BOUND.findall(text), *_PLACE.findall(text), *_INDEX.findall(text), *kinds]:
        side = re.sub(r"[\s{}.]+$|\s", "", rest)
        for name in re.findall("[A-Za-z]", names):
            found.setdefault(name, set()).add(_plain(name, _SIGNS.get(sign.lstrip("\\"), sign), side))
    return found


def _plain(name: str, sign: str, side: str) -> tuple[str, str]:
    """`n > 2` of an integer as `n >= 3`, and numbers in one form."""
    if not _NUMBER.fullmatch(side) or side.endswith("/0"):
        return sign, side
    value = Fraction(side) if "/" not in side or "." not in side else None
    if value is None:
        return sign, side
    if name in _INTEGERS and value.denominator == 1 and sign in "<>":
        return f"{sign}=", str(value + (1 if sign == ">" else -1))
    return sign, str(value)


def bounds_differ(a: str, b: str) -> bool:
    """Whether both answers bound a quantified letter, and not alike."""
    if not any(pattern.search(a) for pattern in (_BOUND, _PLACE, _INDEX, _WHOLE)):
        return False
    x, y = _bounds(a), _bounds(b)
    return any(x[name] != y[name] for name in x.keys() & y.keys())
