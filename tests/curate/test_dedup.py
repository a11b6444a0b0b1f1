"""Deduplication: which of two equal rows is kept, whatever their order; near and semantic duplicates; every row is accounted for."""

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoltune.curate import dedup as dedup_module
from evoltune.curate.dedup import PERMUTATIONS, bands, dedup, find_duplicates, near_duplicates, semantic_duplicates
from evoltune.recipe import Curate
from evoltune.record import Answer, Drop, Record, Task, Verdict
from evoltune.text.words import jaccard, shingles

LONG = "a gardener plants twelve rows of tulips with nine bulbs in each row and gives five bulbs to a neighbour"


def record(text, *, status=None, name="", difficulty="", round=0):
    verdict = Verdict(status=status) if status else None
    evidence = {"difficulty": (difficulty,)} if difficulty else {}
    answers = (Answer(text="42", model="seed", verdict=verdict),)
    task = Task(instruction=text, name=name)
    return Record(domain="toy", task=task, answers=answers, evidence=evidence, round=round)


def kept(records, **options):
    return {r.id for r in dedup(Curate(), **options)(records) if isinstance(r, Record)}


def test_exact_duplicates_differ_only_in_case_and_spacing():
    reasons = [
        reason
        for reason, _ in find_duplicates(
            ["Name a prime.", "name  A PRIME.", "Name a colour."], Curate(near_threshold=1.0)
        )
    ]
    assert reasons == ["", "exact duplicate", ""]


def test_a_verified_row_beats_an_unverified_twin_and_a_harder_one_an_easier():
    plain, verified = record(LONG, name="a"), record(LONG, name="b", status="pass")
    hard = record(LONG.upper(), name="c", status="pass", difficulty="9")
    assert kept([plain, verified]) == {verified.id}
    assert kept([plain, verified, hard]) == {hard.id}


def test_the_earlier_round_stays_where_all_else_is_equal():
    seed, child = record(LONG, name="s", round=0), record(LONG, name="s", round=2)
    assert kept([child, seed]) == {seed.id}


def test_a_refused_licence_never_shadows_an_allowed_twin():
    good, bad = record(LONG, name="z"), record(LONG, name="a", status="pass")
    assert kept([bad, good], refuse=lambda r: "licence" if r.id == bad.id else "") == {good.id}


def test_the_evidence_of_a_drop_names_the_row_that_stayed():
    first, second = record(LONG, name="a", status="pass"), record(LONG, name="b")
    notes = {}
    list(dedup(Curate(), note=notes.__setitem__)([first, second]))
    assert notes == {second.id: f"exact duplicate of {first.id}"}


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_what_is_kept_does_not_depend_on_the_order_and_nothing_vanishes(data):
    stems = ["the cat sat on the red mat today", "a dog ran over the green hill now", "count all primes below ten"]
    tails = ["", " please", " and explain why", " Please"]
    rows = data.draw(
        st.lists(
            st.builds(
                record,
                st.builds(lambda a, b: a + b, st.sampled_from(stems), st.sampled_from(tails)),
                status=st.sampled_from([None, "pass", "fail"]),
                name=st.text("abc", max_size=3),
                difficulty=st.sampled_from(["", "3", "8"]),
                round=st.integers(0, 2),
            ),
            max_size=20,
            unique_by=lambda r: r.id,
        )
    )
    shuffled = data.draw(st.permutations(rows))
    first, second = (list(dedup(Curate(near_threshold=0.6))(order)) for order in (rows, shuffled))
    assert first == second
    seen = [r.record.id if isinstance(r, Drop) else r.id for r in first]
    assert sorted(seen) == sorted(r.id for r in rows)


def test_records_come_back_whole():
    whole = replace(record(LONG, status="pass", difficulty="4"), parents=("x", "y"), operator="deepen")
    assert list(dedup(Curate())([whole])) == [whole]


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
    script = Path(__file__).parents[2] / "benchmarks" / "curation.py"
    done = subprocess.run([sys.executable, str(script), "--arm", "million"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["gib"] < 4


def test_semantic_dedup_is_off_by_default_and_finds_reordered_words():
    texts = ["list the rivers of northern italy", "of northern italy list the rivers", "write a haiku about snow"]
    assert [r for r, _ in find_duplicates(texts, Curate())] == ["", "", ""]
    found = list(find_duplicates(texts, Curate(semantic_threshold=0.7)))
    assert found == [("", 0), ("semantic duplicate", 0), ("", 2)]


def test_every_semantic_duplicate_has_a_kept_partner_across_blocks(monkeypatch):
    monkeypatch.setattr(dedup_module, "BLOCK", 3)
    texts = [f"name the {i} th river" for i in range(4)] * 3
    found = semantic_duplicates(texts, 0.999)
    assert [k for k in found[:4]] == [None] * 4 and found[4:] == [0, 1, 2, 3] * 2
