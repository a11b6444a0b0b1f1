"""One comparison of two answers: it finds the rule for their kinds, and gives the rules what they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evoltune_math.answers.equality.expressions import Expressions
from evoltune_math.answers.equality.parameters import in_degrees, same_family
from evoltune_math.answers.kinds import KINDS, Answer, Either, Family
from evoltune_math.answers.policy import Policy

_RANK: dict[type, int] = {kind: rank for rank, kind in enumerate(KINDS)}


class Comparison:
    """Compares answers under one policy. `expressions.method` is the stage that decided last."""

    def __init__(self, policy: Policy, rules: Rules) -> None:
        self.policy, self.rules = policy, rules
        self.expressions = Expressions(policy)

    def same(self, a: Answer, b: Answer) -> bool:
        if _RANK[type(a)] > _RANK[type(b)]:
            a, b = b, a
        rule = self.rules.get((type(a), type(b)))
        if rule is not None and rule(self, a, b):
            return True
        if isinstance(b, Family | Either):
            return False
        return same_family(a, b, declared=in_degrees(a) and in_degrees(b))

    def same_in_order(self, a: Sequence[Answer], b: Sequence[Answer]) -> bool:
        return len(a) == len(b) and all(map(self.same, a, b))


Rule = Callable[[Comparison, Any, Any], bool]
Rules = Mapping[tuple[type, type], Rule]


def before(kind: type) -> tuple[type, ...]:
    """The kinds that are compared with `kind` as the second of the two."""
    return KINDS[: _RANK[kind]]
