"""The symbolic part of the published scorers, which call SymPy: equality of two expressions, read by our own parser."""

from evoltune_math.answers.equality.expressions import Expressions
from evoltune_math.answers.kinds import Value
from evoltune_math.answers.policy import Policy
from evoltune_math.answers.reading.reader import read

MAX_CHARS = 20_000  # longer answers are compared as strings; the originals would take seconds or hang
_EXACT = Policy(decimal_digits=0)


def same_expression(a: str, b: str) -> bool:
    """False also for what the originals fail to parse: sets, words, relations."""
    if max(len(a), len(b)) > MAX_CHARS:
        return False
    x, y = read(a), read(b)
    return isinstance(x, Value) and isinstance(y, Value) and Expressions(_EXACT).equal(x.node, y.node)
