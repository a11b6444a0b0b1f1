"""pass@k, intervals and paired tests against independent computations and known values."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.errors import DataError
from evoltune.evaluate.statistics import bootstrap, mcnemar, mean, paired, pass_at_k, wilson


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_subsets_that_hold_a_right_sample(case):
    n, c, k = case
    subsets = list(itertools.combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(any(s) for s in subsets) / len(subsets))


@given(st.integers(1, 200), st.data())
def test_pass_at_k_agrees_with_the_product_form_of_the_paper(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    product = 1.0 if n - c < k else 1 - math.prod(1 - k / i for i in range(n - c + 1, n + 1))
    assert pass_at_k(n, c, k) == pytest.approx(product, abs=1e-9)


def test_k_above_n_is_refused():
    with pytest.raises(DataError, match="needs at least 10 samples"):
        pass_at_k(9, 3, 10)


@pytest.mark.parametrize(
    ("passed", "n", "low", "high"),
    [
        (0, 0, 0.0, 1.0),
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (164, 164, 0.9771, 1.0),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_wilson_intervals_are_the_textbook_ones(passed, n, low, high):
    assert wilson(passed, n) == pytest.approx((low, high), abs=2e-4)


@given(st.integers(1, 500), st.data())
def test_wilson_holds_the_rate(n, data):
    passed = data.draw(st.integers(0, n))
    low, high = wilson(passed, n)
    assert 0 <= low <= passed / n <= high <= 1


def test_a_bootstrap_interval_is_the_same_on_every_run_and_near_the_normal_one():
    values = [i % 4 / 3 for i in range(400)]
    low, high = bootstrap(values)
    assert bootstrap(values) == (low, high) and bootstrap([]) == (0.0, 1.0)
    spread = 1.96 * math.sqrt(sum((v - 0.5) ** 2 for v in values) / 400 / 400)
    assert low == pytest.approx(0.5 - spread, abs=0.012) and high == pytest.approx(0.5 + spread, abs=0.012)


def test_a_mean_of_zeros_and_ones_gets_wilson_and_others_the_bootstrap():
    assert mean([1.0, 0.0, 1.0]).method == "wilson"
    assert mean([0.5, 0.25]).method == "bootstrap"


@pytest.mark.parametrize(("b", "c", "p"), [(0, 0, 1.0), (10, 0, 0.001953125), (5, 5, 1.0), (1, 9, 0.021484375)])
def test_mcnemar_is_the_exact_binomial(b, c, p):
    assert mcnemar(b, c) == pytest.approx(p)


def test_a_paired_comparison_says_whether_the_difference_is_significant():
    worse, better = [1.0] * 5 + [0.0] * 95, [1.0] * 45 + [0.0] * 55
    found = paired(worse, better)
    assert found.difference == pytest.approx(0.4) and (found.only_a, found.only_b) == (0, 40)
    assert found.p < 1e-9 and "significant at 5%" in found.sentence and "not significant" not in found.sentence
    assert "not significant" in paired([1.0, 0.0, 1.0], [0.0, 1.0, 1.0]).sentence


def test_losses_count_in_the_p_value_as_well_as_wins():
    a, b = [1.0] * 5 + [0.0] * 15, [0.0] * 5 + [1.0] * 15
    assert paired(a, b).p == pytest.approx(mcnemar(5, 15)) == pytest.approx(0.0414, abs=1e-4)


def test_fractional_scores_get_a_permutation_test():
    a, b = [0.1, 0.2, 0.3, 0.4] * 10, [0.4, 0.5, 0.6, 0.7] * 10
    assert paired(a, b).p < 0.01 and paired(a, list(reversed(a))).p > 0.5


def test_a_paired_comparison_of_different_problems_is_refused():
    with pytest.raises(DataError, match="same problems"):
        paired([1.0], [1.0, 0.0])


@given(st.integers(1, 40), st.floats(0.01, 0.99))
def test_equal_shares_of_few_problems_are_no_certainty(n, share):
    low, high = mean([share] * n).interval
    wider = mean([share] * (n + 1)).interval
    assert low < share < high and wider[1] - wider[0] < high - low
