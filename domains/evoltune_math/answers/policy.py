"""What counts as the same answer where mathematics leaves a choice; `verify.policy` in a recipe sets these options only.

    Policy.of({"percent": "either", "decimal_digits": 0})

docs/verifier-policy.md has an example of each value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args, get_type_hints

from evoltune.errors import DomainError


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The defaults are the policy that the labelled data follows and that our figures are measured under."""

    percent: Literal["value", "either"] = "value"
    """value: 50% = 1/2 and not 50. either: 50% = 50 too."""
    units: Literal["agree", "ignore", "required"] = "agree"
    """agree: a unit may be missing, two known ones must agree (1 km = 1000 m). ignore. required: a missing one fails."""
    degrees: Literal["ignore", "required"] = "ignore"
    """ignore: 90 degrees = 90. required: the sign, or the value in radians."""
    lists: Literal["unordered", "ordered"] = "unordered"
    """Of bare lists `1, 2`: unordered or ordered. Sets never have an order, tuples always do."""
    assignment: Literal["ignore", "required"] = "ignore"
    """ignore: `x = 5` = `5`. required: the name must be there."""
    variables: Literal["strict", "ignore"] = "strict"
    """strict: `x > 3` is not `y > 3`. ignore: the letter of a statement in one variable does not matter."""
    intervals: Literal["either", "strict"] = "either"
    """either: `(1, 2)` = `1 < x < 2`. strict: the same notation."""
    vectors: Literal["either", "strict"] = "either"
    """either: a tuple = a column or a row matrix. strict: the same notation."""
    constant: Literal["required", "optional"] = "required"
    """`+ C` of an antiderivative. optional: may be missing."""
    approximation: Literal["either", "exact"] = "either"
    """either: of `1/3 \\approx 0.33` each part may match. exact: only the part before the sign."""
    choices: Literal["either", "letter"] = "either"
    """either: `(A) 12` = `A` and = `12`. letter: only letters."""
    text: Literal["loose", "exact"] = "loose"
    """loose: case, articles, punctuation and number words do not matter. exact: only white space does not matter."""
    decimal_digits: int = 10
    """A decimal with at least this many significant digits stands for the exact value that it rounds. 0: none does."""
    confirm_methods: int = 2
    """Without a reference: how many methods (vote, program, check, substitution) must agree. 1: one is enough."""
    vote_percent: int = 50
    """A vote counts if more than this share of all derivations, failed ones included, agree."""

    @staticmethod
    def of(chosen: Mapping[str, Any]) -> Policy:
        """A policy from plain values. Raises `DomainError`, with the allowed values, for an unknown option or value."""
        return _cached(tuple(sorted(chosen.items())))


@lru_cache(maxsize=64)
def _cached(chosen: tuple[tuple[str, Any], ...]) -> Policy:
    allowed = {name: get_args(kind) for name, kind in get_type_hints(Policy).items()}
    for key, value in chosen:
        if key not in allowed:
            raise DomainError(f"verify.policy.{key}: unknown; allowed: {', '.join(sorted(allowed))}")
        if allowed[key] and value not in allowed[key]:
            raise DomainError(f"verify.policy.{key}: {value!r}, allowed: {', '.join(allowed[key])}")
        if not allowed[key] and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise DomainError(f"verify.policy.{key}: {value!r}, must be a whole number of at least 0")
    return Policy(**dict(chosen))


DEFAULT = Policy()
