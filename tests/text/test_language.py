"""Scripts and languages: recognised in sentences, unknown for code, formulas and short texts."""

import pytest

from evoltune.text.language import language_of, script_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Explain how a heat pump moves heat from a cold garden into a warm house.", "en"),
        ("Schreibe bitte den Satz, der nicht zu den anderen passt.", "de"),
        ("Expliquez comment une pompe à chaleur transporte la chaleur du jardin froid vers la maison.", "fr"),
        ("Escribe una función que ordene una lista de palabras por longitud y devuelva la más larga.", "es"),
        ("A bomba comprime o gás, que aquece e cede o seu calor à água.", "pt"),
        ("Spiega come una pompa di calore porta il calore dal giardino nella casa e del perché non si ferma.", "it"),
        ("Leg uit hoe een warmtepomp de warmte uit de koude tuin naar het warme huis brengt.", "nl"),
    ],
)
def test_a_sentence_has_its_language(text, language):
    assert language_of(text) == language


@pytest.mark.parametrize(
    "text",
    ["", "Romance", "und der die das", "Bonjour tout le monde", "x^2 + 3x - 4 = 0", "def area(width, height):\n    return width * height", "| 7 | 8 | 4 |\n" * 9],
)  # fmt: skip
def test_short_texts_code_and_formulas_have_no_language(text):
    assert language_of(text) == ""


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("请解释热泵如何把热量从寒冷的花园搬到温暖的房子里", "cjk"),
        ("Объясните, как тепловой насос переносит тепло", "cyrillic"),
        ("Explain how a heat pump works", "latin"),
        ("Erkläre, wie eine Wärmepumpe arbeitet", "latin"),
        ("42 + 1", ""),
    ],
)
def test_the_script_is_that_of_most_letters(text, script):
    assert script_of(text) == script
