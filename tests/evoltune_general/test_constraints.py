"""Checkable constraints of general tasks: each known one holds, breaks, and refuses a value of the wrong shape."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.domain import Context
from evoltune.record import Task
from evoltune_general.constraints import CHECKS, ConstraintError, language, sentence_count, violations, word_count
from evoltune_general.verification import verify

CONTEXT = Context(run=lambda job: pytest.fail("the general verifier runs no program"), policy={})


@pytest.mark.parametrize(
    ("constraints", "holds", "breaks"),
    [
        ({"words": 3}, "one two three", "one two"),
        ({"max_words": 3}, "It's well-known here", "one two three four"),
        ({"min_words": 2}, "two words", "one"),
        ({"sentences": 2}, "Yes, e.g. this. And that!", "Only one."),
        ({"max_sentences": 1}, "Version 3.11 is out.", "One. Two."),
        ({"max_characters": 4}, " four ", "fiver"),
        ({"paragraphs": 2}, "a\n\nb", "a\nb"),
        ({"lines": 2}, "a\n\nb", "a"),
        ({"items": 2}, "- a\n2. b\nrest", "- a"),
        ({"must_include": ["Sea", "sky"]}, "The sea under the SKY", "the sea"),
        ({"must_not_include": "art"}, "a party", "Art is long"),
        ({"starts_with": "Dear"}, "Dear Sir", "Sir"),
        ({"ends_with": ["?", "!"]}, "Why?", "Because."),
        (
            {"language": "de"},
            "Das ist nicht die Frage, und wir werden es auch nicht sagen.",
            "That is not the question and it is for you to say.",
        ),
        ({"language": "ru"}, "Это не вопрос", "It is no question"),
        ({"format": "json"}, '```json\n{"a": 1}\n```', "{'a': 1}"),
        ({"format": "xml"}, "<a><b/></a>", "<a><b></a>"),
        ({"format": "html"}, "<ul><li>one<li>two</ul><br>", "<div><p>open"),
        ({"format": "csv"}, 'a,b\n1,"x,y"', "a,b\n1"),
        ({"format": "bullets"}, "- a\n* b", "- a\nand b"),
        ({"format": "numbered"}, "1. a\n2) b", "a"),
        ({"format": "has_numbered"}, "Steps:\n1. go", "Steps: go"),
        ({"format": "has_bullets"}, "See:\n- go", "See go"),
        ({"json_keys": ["a"]}, '{"a": null}', '{"b": 1}'),
        ({"json_keys": ["a"]}, '{"a": 2}', '[{"a": 2}]'),
        ({"lowercase": True}, "all small", "Not small"),
        ({"uppercase": True}, "LOUD", "Loud"),
    ],
)
def test_a_constraint_tells_holding_answers_from_breaking_ones(constraints, holds, breaks):
    assert violations(constraints, holds) == []
    (wrong,) = violations(constraints, breaks)
    assert wrong.startswith(next(iter(constraints)))


@pytest.mark.parametrize(
    "constraints",
    [
        {"max_word": 3},
        {"max_words": "3"},
        {"max_words": True},
        {"words": -1},
        {"format": "jsn"},
        {"language": "xx"},
        {"must_include": []},
        {"lowercase": "yes"},
    ],
)
def test_an_unreadable_constraint_is_our_error_and_no_verdict_on_the_answer(constraints):
    with pytest.raises(ConstraintError):
        violations(constraints, "text")
    assert verify(Task(instruction="x", fields={"constraints": constraints}), "text", CONTEXT).status == "error"


def test_the_nearest_known_constraint_is_named():
    with pytest.raises(ConstraintError, match="did you mean 'max_words'"):
        violations({"max_word": 3}, "text")


def test_verify_passes_fails_and_leaves_open():
    def judged(constraints, text):
        return verify(
            Task(instruction="x", fields={"constraints": constraints} if constraints is not None else {}), text, CONTEXT
        )

    assert judged({"max_words": 2}, "two words").status == "pass"
    bad = judged({"max_words": 2, "must_include": ["x"]}, "three words here")
    assert bad.status == "fail" and bad.evidence["broken"] == [
        "max_words: 3 words, at most 2",
        "must_include: missing ['x']",
    ]
    for nothing in (None, {}):
        open_ = judged(nothing, "anything")
        assert open_.status == "unverifiable" and "no checkable constraint" in open_.reason
    assert judged(["max_words"], "x").status == "error"
    assert judged({"min_words": 1}, "x" * 1_000_001).status == "fail"


def test_an_entity_bomb_is_refused_unread():
    bomb = '<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'
    assert violations({"format": "xml"}, bomb) == [
        "format: not plain XML (too long, or it declares a type or entities)"
    ]


def test_deep_nesting_breaks_the_format_and_not_the_checker():
    assert violations({"format": "json"}, "[" * 200_000)[0].startswith("format: not JSON")
    assert violations({"format": "html"}, "<![x[ y ]]>")[0].startswith("format:")
    assert violations({"format": "html"}, "<div>" * 20_000)[0].startswith("format: tags do not match")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("One", 1),
        ("One. Two? Three!", 3),
        ('He said "no." Then left.', 2),
        ("Pi is 3.14 today.", 1),
        ("- a\n- b", 2),
        ("Dr. Who came.", 1),
    ],
)
def test_sentences_are_counted_as_a_reader_would(text, count):
    assert sentence_count(text) == count


def test_languages_are_told_apart_and_short_texts_left_open():
    assert language("El tren no llega a la hora porque hay una huelga en el norte del país.") == "es"
    assert language("Le train n'arrive pas à l'heure car il y a une grève dans le nord du pays.") == "fr"
    assert language("これは日本語の文章です") == "ja"
    assert language("Hallo Welt") is None


@given(st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), max_size=30))
def test_words_are_counted_whatever_stands_between_them(words):
    assert word_count(" ".join(words)) == word_count(",\n".join(words)) == len(words)


@given(st.text(max_size=300))
def test_no_answer_can_crash_a_check(text):
    samples = {
        "format": "html",
        "language": "en",
        "must_include": "a",
        "lowercase": True,
        "json_keys": ["a"],
        "starts_with": "a",
    }
    for name in CHECKS:
        wanted = samples.get(name, 1 if name not in ("must_not_include", "ends_with", "uppercase") else "a")
        violations({name: True if name == "uppercase" else wanted}, text)
    for kind in ("json", "xml", "csv", "bullets", "numbered"):
        violations({"format": kind}, text)


@given(st.dictionaries(st.text(min_size=1), st.integers() | st.text(), min_size=1, max_size=4))
def test_any_json_object_has_its_own_keys(value):
    assert violations({"format": "json", "json_keys": list(value)}, json.dumps(value)) == []
