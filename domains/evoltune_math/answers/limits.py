"""Size limits: the size of a result is estimated by logarithms before anything is computed.

`9^{9^{9}}` is five nodes, but its value has 1.2e9 bits: `check_power` refuses it. An answer over a limit is still
compared as text and by structure, never by value.
"""

import math
from fractions import Fraction

from evoltune_math.answers.nodes import Node

MAX_BITS = 100_000
MAX_DEPTH = 150
MAX_TERMS = 400
"""Terms of a polynomial while it is expanded."""
MAX_SUMMANDS = 10_000
"""Terms of a \\sum or \\prod."""


class TooLarge(Exception):
    """The value would exceed a limit, so it is not computed."""


def bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def check_power(base: Fraction, exponent: int) -> None:
    """Raises `TooLarge` if `base ** exponent` exceeds MAX_BITS; 0, 1 and -1 may have any exponent."""
    if abs(base) != 1 and base != 0 and bits(base) * abs(exponent) > MAX_BITS:
        raise TooLarge(f"a power of {bits(base) * abs(exponent)} bits, the limit is {MAX_BITS}")


def check_factorial(n: int) -> None:
    """Raises `TooLarge` if n! exceeds MAX_BITS; n! has about n log2(n/e) bits."""
    if n > 12 and n * math.log2(n / math.e) > MAX_BITS:
        raise TooLarge(f"the factorial of {n} has more than {MAX_BITS} bits")


def check_binomial(n: int, k: int) -> None:
    """Raises `TooLarge` if C(n, k) may exceed MAX_BITS; C(n, k) < n^min(k, n-k)."""
    if n > 1 and min(abs(k), abs(n - k)) * math.log2(n) > MAX_BITS:
        raise TooLarge(f"the binomial of {n} and {k} may have more than {MAX_BITS} bits")


def depth(node: Node) -> int:
    """Levels of the tree. Not recursive: the result decides whether recursion over the tree is safe."""
    deepest, level = 0, [node]
    while level:
        deepest += 1
        level = [a for n in level for a in n.args]
    return deepest
