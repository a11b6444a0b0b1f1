"""k-center, k-means and equal shares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.curate.diversity import best_of_clusters, choose_diverse, equal_shares, k_center, spherical_kmeans
from evoltune.text.vectors import vectors

np = pytest.importorskip("numpy")


def test_k_means_finds_well_separated_groups():
    points = np.eye(4, 8).repeat(10, axis=0) + np.random.default_rng(0).normal(0, 0.05, (40, 8))
    labels = spherical_kmeans(points / np.linalg.norm(points, axis=1, keepdims=True), 4, seed=1)
    groups = [set(labels[start : start + 10]) for start in range(0, 40, 10)]
    assert all(len(group) == 1 for group in groups) and len(set.union(*groups)) == 4


def test_k_center_starts_with_the_best_row_and_never_repeats():
    points = vectors([f"explain case {i * 37} of topic {i % 4}" for i in range(120)])
    picked = k_center(points, np.linspace(0.1, 1.0, len(points)), 50)
    assert picked[0] == len(points) - 1 and len(set(picked)) == 50


def test_cluster_quotas_take_small_clusters_whole_and_the_best_of_large_ones():
    labels = np.array([0] * 10 + [1] * 2)
    assert sorted(best_of_clusters(labels, np.arange(12), 6)) == [6, 7, 8, 9, 10, 11]
    assert choose_diverse(np.eye(3, dtype=np.float32), np.ones(3), 5) == [0, 1, 2]


@given(st.dictionaries(st.text("abc", min_size=1, max_size=2), st.integers(0, 30), max_size=6), st.integers(0, 100))
def test_shares_fill_up_without_taking_more_than_there_is(available, size):
    share = equal_shares(available, size)
    assert sum(share.values()) == min(size, sum(available.values()))
    assert all(share[name] <= n for name, n in available.items())
    full = [n for name, n in share.items() if n < available[name]]
    assert not full or max(full) - min(full) <= 1
