"""Near duplicates: what LSH proposes and exact Jaccard confirms."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from evoltune.curate.dedup.near_duplicates import PERMUTATIONS, bands, near_duplicates
from evoltune.text.words import jaccard, shingles

LONG = "a gardener plants twelve rows of tulips with nine bulbs in each row and gives five bulbs to a neighbour"


def test_near_duplicates_name_the_kept_partner():
    texts = [LONG, "something else altogether is asked in this row here", LONG.replace("tulips", "roses")]
    assert near_duplicates(texts, 0.7) == [None, None, 0]


def test_texts_below_the_threshold_both_stay():
    other = LONG.replace("tulips", "roses").replace("neighbour", "friend").replace("nine", "four")
    assert jaccard(shingles(LONG), shingles(other)) < 0.7
    assert near_duplicates([LONG, other], 0.7) == [None, None]


def test_near_dedup_finds_every_pair_above_the_threshold_that_a_full_comparison_finds():
    rng = random.Random(3)
    vocabulary = [f"w{i}" for i in range(400)]
    texts = [" ".join(rng.choices(vocabulary, k=25)) for _ in range(150)]
    for i in range(150):
        tokens = texts[i].split()
        tokens[rng.randrange(25)] = "changed"
        texts.append(" ".join(tokens))
    found = near_duplicates(texts, 0.7)
    sets = [shingles(t) for t in texts]
    for i, partner in enumerate(found):
        if partner is None:
            assert not any(found[k] is None and jaccard(sets[i], sets[k]) >= 0.7 for k in range(i))
        else:
            assert found[partner] is None and jaccard(sets[i], sets[partner]) >= 0.7


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.9])
def test_bands_overlook_at_most_two_percent_at_the_threshold(threshold):
    rows = PERMUTATIONS // bands(threshold)
    assert (1 - threshold**rows) ** bands(threshold) <= 0.02


@pytest.mark.slow
def test_a_million_rows_dedup_in_under_four_gib():
    script = Path(__file__).parents[3] / "benchmarks" / "curation.py"
    done = subprocess.run([sys.executable, str(script), "--arm", "million"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["gib"] < 4
