"""Units of measure: whether two stated ones agree, and the factor between two of one dimension."""

from __future__ import annotations

import re
from fractions import Fraction

from evoltune_math.answers.vocabulary import UNITS

_POWER_WORDS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3}
_SPEEDS = {"mph": "mi / h", "kph": "km / h", "kmh": "km / h", "kmph": "km / h"}
_PART = re.compile(r"[A-Za-z]+|/|\^|-?\d+|\*")


def agree(a: str, b: str, policy: str) -> bool:
    """Whether the units do not speak against equal numbers. A word that is no known unit never does."""
    if policy == "ignore":
        return True
    if policy == "required" and bool(a) != bool(b):
        return False
    x, y = measure(a), measure(b)
    return x is None or y is None or x == y


def factor(a: str, b: str) -> Fraction | None:
    """What one `a` is in `b`, or None for different or unknown dimensions."""
    x, y = measure(a), measure(b)
    if x is None or y is None or x[0] != y[0]:
        return None
    return x[1] / y[1]


def measure(unit: str) -> tuple[tuple[tuple[str, int], ...], Fraction] | None:
    """(dimensions with powers, factor to the base), or None when a part of it is no known unit."""
    unit = _SPEEDS.get(unit.lower(), unit)
    if not unit:
        return None
    dimensions: dict[str, int] = {}
    scale = Fraction(1)
    sign = power = 1
    parts = _PART.findall(unit.replace("per ", "/ "))
    for at, part in enumerate(parts):
        if part == "/":
            sign = -1
        elif part.lower() in _POWER_WORDS and at + 1 < len(parts):
            power = _POWER_WORDS[part.lower()]
        elif part.isalpha():
            known = UNITS.get(part) or UNITS.get(part.lower())
            if known is None:
                return None
            if parts[at + 1 : at + 2] == ["^"] and at + 2 < len(parts):
                power = int(parts[at + 2][:2]) if parts[at + 2].lstrip("-").isdigit() else 1
            elif at + 1 < len(parts) and parts[at + 1].lower() in ("squared", "cubed"):
                power = _POWER_WORDS[parts[at + 1].lower()]
            if abs(power) > 9:
                return None
            dimensions[known[0]] = dimensions.get(known[0], 0) + sign * power
            scale *= known[1] ** (sign * power)
            power = 1
    return tuple(sorted((d, p) for d, p in dimensions.items() if p)), scale
