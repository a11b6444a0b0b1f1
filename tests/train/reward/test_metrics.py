"""ProcessBench's F1, best-of-N, and votes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.errors import DataError
from evoltune.train.reward.metrics import Sampled, best_of, compare_votes, predicted_error, process_bench, vote

SAMPLES = st.lists(
    st.builds(Sampled, answer=st.sampled_from(["", "1", "2", "3"]), passed=st.booleans(), score=st.floats(0, 1)),
    min_size=1, max_size=6,
)  # fmt: skip


def test_f1_is_the_harmonic_mean_of_both_accuracies():
    found = process_bench([3, 1, -1, -1, 0, -1], [3, 2, -1, -1, -1, 4])
    assert (found["wrong"].value, found["n_wrong"]) == (pytest.approx(1 / 3), 3)
    assert (found["right"].value, found["n_right"]) == (pytest.approx(2 / 3), 3)
    assert found["f1"] == pytest.approx(4 / 9)


def test_a_model_that_always_or_never_finds_an_error_has_f1_0():
    assert process_bench([-1, -1], [2, -1])["f1"] == 0.0 == process_bench([0, 0], [2, -1])["f1"]


def test_the_first_score_below_the_threshold_is_the_error():
    assert predicted_error([0.9, 0.4, 0.1]) == 1
    assert predicted_error([0.9, 0.5]) == -1
    assert predicted_error([0.9, 0.5], threshold=0.6) == 1


@given(SAMPLES)
def test_a_weighted_vote_with_equal_weights_is_the_majority_vote(group: list[Sampled]):
    equal = [Sampled(answer=s.answer, passed=s.passed, score=0.7) for s in group]
    assert vote(equal, weighted=True) == vote(group, weighted=False)


@given(st.lists(SAMPLES, min_size=1, max_size=4))
def test_no_choice_passes_where_no_sample_passes(groups: list[list[Sampled]]):
    failed = [[Sampled(answer=s.answer, passed=False, score=s.score) for s in group] for group in groups]
    assert best_of(failed).value == 0.0
    assert not any(vote(group, weighted=weighted) for group in failed for weighted in (True, False))


def test_weights_overrule_a_wrong_majority_and_the_gain_is_paired():
    wrong, right = Sampled(answer="9", passed=False, score=0.2), Sampled(answer="8", passed=True, score=0.9)
    found = compare_votes([[wrong, wrong, right]] * 30)
    assert (found["majority"].value, found["weighted"].value, found["best"].value, found["any"].value) == (0, 1, 1, 1)
    assert found["n"] == 3 and found["gain"].difference == 1.0 and found["gain"].only_b == 30 and found["gain"].p < 1e-6
    with pytest.raises(DataError, match="equal N"):
        compare_votes([[wrong], [wrong, right]])
