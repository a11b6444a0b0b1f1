"""Several answers to a problem: best-of-k against all draws, maj@k and intervals, and part of a suite."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.errors import DataError
from evoltune.evaluate.samples import Sample
from evoltune.evaluate.several import best_of_k, coverage, lines, measures_of
from evoltune.recipe import Verification

VERIFY = Verification(workers=1)


@given(st.lists(st.booleans(), min_size=1, max_size=7), st.data())
def test_best_of_k_is_the_mean_over_all_draws_of_k(passed, data):
    k = data.draw(st.integers(1, len(passed)))
    draws = [passed[min(chosen)] for chosen in combinations(range(len(passed)), k)]  # the smallest is the best-ranked
    assert best_of_k(passed, k) == pytest.approx(sum(draws) / len(draws))


def test_more_than_there_are_is_refused():
    with pytest.raises(DataError, match=r"best@3 needs at least 3 samples per problem, there are 2"):
        best_of_k([True, False], 3)


def test_each_measure_has_its_value_and_interval(tmp_path, sums, answers, judged):
    texts = answers("2", "3", "3") + answers("4", "4", "5", problem="t/2")
    outcomes = judged(sums, texts, "sound", VERIFY, tmp_path / "v.jsonl")
    ranks = {("t/1", 0): 0.1, ("t/1", 1): 0.9, ("t/1", 2): 0.2, ("t/2", 0): 0.5, ("t/2", 1): 0.4, ("t/2", 2): 0.1}
    found = measures_of(sums, outcomes, (1, 3), VERIFY, ranks)
    assert {name: m["value"] for name, m in found.items()} == {
        "pass@1": pytest.approx((1 / 3 + 2 / 3) / 2), "pass@3": 1.0, "maj@3": 0.5, "best@3": 0.5,
    }  # fmt: skip
    assert all(low <= m["value"] <= high for m in found.values() for low, high in [m["interval"]])
    assert next(lines(found, 2)).startswith("  pass@1: 50.0% (95% ")
    with pytest.raises(DataError, match=r"answer 2 to problem 't/2' has no number"):
        measures_of(sums, outcomes, (2,), VERIFY, {k: v for k, v in ranks.items() if k != ("t/2", 2)})


def test_a_file_that_answers_part_of_a_suite_is_flagged(tmp_path, sums, answers, judged):
    outcomes = judged(sums, [Sample(problem="t/1", sample=0, text="2")], "sound", VERIFY, tmp_path / "v.jsonl")
    note = coverage(sums, outcomes)
    assert note.startswith("only 1 of the 4 problems of sums") and "'t/0'" in note and "pass@1 is 25.0%" in note
    whole = [s for i in range(4) for s in answers(str(2 * i), problem=f"t/{i}")]
    assert coverage(sums, judged(sums, whole, "sound", VERIFY, tmp_path / "w.jsonl")) == ""
