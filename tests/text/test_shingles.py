"""Words, shingles and their hashes."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from evoltune.text.shingles import hashed_shingles
from evoltune.text.words import jaccard, normalise, shingles, words

LONG = "a gardener plants twelve rows of tulips with nine bulbs in each row and gives five bulbs to a neighbour"


def test_normal_form_ignores_case_spacing_and_unicode_width():
    assert normalise("  Add\tTWO ﬁgures ") == normalise("add two figures")
    assert words("Tom's 3 apples!") == ["tom", "s", "3", "apples"]


def test_a_text_shorter_than_a_shingle_is_one_shingle():
    assert shingles("Go on") == {"go on"}
    assert jaccard(set(), set()) == 1.0


def test_hashed_shingles_agree_with_the_plain_ones():
    texts = [
        LONG,
        "Go on",
        "",
        "one two three",
        "one two three four",
        "three two one",
        "Größe ist nicht alles, mein Freund",
    ]
    grams, offsets = hashed_shingles(texts)
    sets = [set(grams[a:b].tolist()) for a, b in pairwise(offsets.tolist())]
    assert [len(s) for s in sets] == [len(shingles(t)) for t in texts]
    for i, j in [(i, j) for i in range(len(texts)) for j in range(len(texts))]:
        assert jaccard(sets[i], sets[j]) == jaccard(shingles(texts[i]), shingles(texts[j]))


@given(st.text(max_size=60))
def test_the_fast_path_for_ascii_cuts_the_same_words(text):
    plain = text.encode("ascii", "ignore").decode()
    assert words(plain) == re.findall(r"\w+", plain.lower())
