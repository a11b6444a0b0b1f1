"""Words of all scripts: marks belong to letters, scripts without spaces are counted by their letters."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.text.words import prose_words, word_count, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("भारत की राजधानी", ["भारत", "की", "राजधानी"]), ("السَّلامُ عليكم", ["السلام", "عليكم"]), ("다음 보도자료를", ["다음", "보도자료를"]),
        ("写500字。", ["写", "500", "字"]), ("データを読む", list("データを読む")), ("cafe\u0301 Über", ["café", "über"]), ("Ｗａｔｅｒ", ["water"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]), ("ёлка, ель!", ["ёлка", "ель"]),
    ],
)  # fmt: skip
def test_a_word_keeps_its_marks(text, found):
    assert words(text) == found == list(prose_words(text))


def test_apostrophes_of_both_kinds_belong_to_a_word():
    assert prose_words("Don’t, l’eau") == prose_words("Don't, l'eau") == ("don't", "l'eau")


@pytest.mark.parametrize(
    ("text", "count"),
    [("one two three", 3), ("", 0), ("请写一篇文章", 3), ("春", 1), ("写 Python 代码", 3), ("열 펌프를 설명하세요", 3), ("भारत की राजधानी", 3)],
)  # fmt: skip
def test_two_letters_of_a_script_without_spaces_count_as_a_word(text, count):
    assert word_count(text) == count


@given(st.text(max_size=60))
def test_words_do_not_depend_on_the_form_of_the_text(text):
    assert words(text) == words(unicodedata.normalize("NFC", text)) or not unicodedata.is_normalized("NFKC", text)
    assert word_count(text) <= len(prose_words(text))
