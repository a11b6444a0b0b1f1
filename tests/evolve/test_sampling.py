"""Sampling to a size, stratified by round."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from towns import ScriptedTeacher, recipe, towns

from evoltune.errors import RecipeError
from evoltune.evolve.loop import evolve, evolve_step, shares
from evoltune.run.store import Store
from evoltune.teacher.journal import Journalled

RULES, DOMAIN = recipe(rounds=2, sample=30), towns(40)


def sampled(folder):
    store = Store.open(folder)
    return store, evolve(RULES, DOMAIN, store, teacher=Journalled(ScriptedTeacher(), store))


def test_a_sample_keeps_the_size_and_the_shares_of_the_rounds(tmp_path):
    store, last = sampled(tmp_path)
    with store:
        assert last == evolve_step(RULES, DOMAIN) and last.name == "sample"
        ledger = store.check_ledger(last)
        assert ledger["kept"] == 30
        assert ledger["in"] == 30 + ledger["not sampled"] == store.ledger(last.before)["kept"]
        rounds = Counter(r.round for r in store.kept(last))
        everything = Counter(r.round for r in store.kept(last.before))
        chosen = [r.id for r in store.kept(last)]
    assert all(abs(rounds[r] - 30 * n / ledger["in"]) <= 1 for r, n in everything.items())
    again, last = sampled(tmp_path / "again")
    with again:
        assert [r.id for r in again.kept(last)] == chosen


def test_a_sample_with_evol_stop_is_refused():
    with pytest.raises(RecipeError, match=r"evolve.sample: cannot go with evolve.stop_on"):
        evolve_step(recipe(sample=5, stop_on="dev"), DOMAIN)


@given(st.dictionaries(st.integers(0, 9), st.integers(1, 500), min_size=1), st.integers(1, 3000))
def test_shares_sum_to_the_size_and_never_exceed_a_round(counts, size):
    taken = shares(counts, size)
    assert sum(taken.values()) == min(size, sum(counts.values()))
    assert all(0 <= taken[r] <= counts[r] for r in counts)
