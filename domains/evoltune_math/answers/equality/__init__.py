"""Equality of answers under a policy; it is symmetric.

compare(read("(1,2)"), read("1 < x < 2"), Policy())   # True, "structure"
"""

from evoltune_math.answers.equality import sets, statements, values
from evoltune_math.answers.equality.comparison import Comparison, Rules
from evoltune_math.answers.kinds import Answer
from evoltune_math.answers.policy import Policy

_RULES: Rules = {**values.RULES, **sets.RULES, **statements.RULES}


def compare(a: Answer, b: Answer, policy: Policy) -> tuple[bool, str]:
    """Whether two answers are the same, and the stage that decided."""
    comparison = Comparison(policy, _RULES)
    try:
        return comparison.same(a, b), comparison.expressions.method
    except RecursionError:
        return False, "budget"
