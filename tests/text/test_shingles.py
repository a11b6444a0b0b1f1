"""Words, shingles and their hashes."""

import re
from itertools import pairwise

import pytest
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
        "法国的首都是哪里？",
        "春",
        "Python の関数を書いてください",
        "अ ब स द",
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


@pytest.mark.parametrize(
    ("a", "b", "near"),
    [
        ("法国的首都是哪里？", "德国的首都是哪里？", False), ("雨について詩を書いてください。", "雪について詩を書いてください。", False),
        ("日本の歴史について説明してください。", "中国の歴史について説明してください。", False), ("写一首关于雨的诗。", "写一首关于雪的诗。", False),
        ("解释为什么铁在海边比在山里生锈得更快，并给出两个例子。", "解释为什么铁在海边比在山里生锈得更快，并给出三个例子。", True),
        ("السَّلامُ عليكم: اكتب رسالة قصيرة إلى صديقك", "السلام عليكم: اكتب رسالة قصيرة إلى صديقك", True), ("봄에 대한 시를 쓰세요", "봄에 대한 시를 쓰세요.", True),
    ],
)  # fmt: skip
def test_texts_in_scripts_without_spaces_are_near_as_texts_with_spaces_are(a, b, near):
    assert (jaccard(shingles(a), shingles(b)) >= 0.7) == near
