"""The static budget: sizes are estimated by log2 arithmetic before anything is computed.

`9^{9^{9}}` is three nodes and 1.2e9 bits: `power_bits(9, 9**9)` says so, and nobody raises it. Over `MAX_BITS`
an answer is still compared as text and by structure, never by value.
"""

from __future__ import annotations

import math
from fractions import Fraction

from evoltune_math.answers.nodes import Node

MAX_BITS = 100_000
MAX_DEPTH = 150
MAX_TERMS = 400
"""Terms of a polynomial while it is multiplied out."""
MAX_SUMMANDS = 10_000
"""Terms of a \\sum or \\prod."""


class TooLarge(Exception):
    """A value that the budget does not allow to be computed."""


def bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def check_power(base: Fraction, exponent: int) -> None:
    """Refuses `base ** exponent` over MAX_BITS; 0, 1 and -1 may have any exponent."""
    if abs(base) != 1 and base != 0 and bits(base) * abs(exponent) > MAX_BITS:
        raise TooLarge(f"a power of {bits(base) * abs(exponent)} bits")


def check_factorial(n: int) -> None:
    """n! has about n log2(n/e) bits."""
    if n > 12 and n * math.log2(n / math.e) > MAX_BITS:
        raise TooLarge(f"a factorial of {n}")


def check_binomial(n: int, k: int) -> None:
    """C(n, k) < n^min(k, n-k)."""
    if n > 1 and min(abs(k), abs(n - k)) * math.log2(n) > MAX_BITS:
        raise TooLarge(f"a binomial of {n} and {k}")


def depth(node: Node) -> int:
    """Levels of the tree; without recursion, since the answer decides whether recursion is safe."""
    deepest, level = 0, [node]
    while level:
        deepest += 1
        level = [a for n in level for a in n.args]
    return deepest
