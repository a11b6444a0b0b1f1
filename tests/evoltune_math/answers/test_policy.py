"""The options of what counts as the same answer."""

from __future__ import annotations

import pytest

from evoltune.errors import DomainError
from evoltune_math import domain
from evoltune_math.answers.policy import Policy


def test_every_option_is_in_the_domain_with_its_default() -> None:
    assert Policy.of(domain.policy) == Policy()


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"percent": "sometimes"}, "verify.policy.percent: 'sometimes', allowed: value, either"),
        ({"percents": "either"}, "verify.policy.percents: unknown; allowed: approximation, assignment"),
        ({"decimal_digits": -1}, "verify.policy.decimal_digits: -1, must be a whole number of at least 0"),
    ],
)
def test_a_wrong_option_is_an_error_that_names_the_allowed_values(chosen: dict[str, object], said: str) -> None:
    with pytest.raises(DomainError, match=said):
        Policy.of(chosen)
