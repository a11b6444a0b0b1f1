"""The OpenAI chat format: addresses and bodies, and what a dialect leaves out of them."""

import json

import pytest

from evoltune.errors import RecipeError
from evoltune.teacher.dialects import Dialect, chat_url, check_extra_body, describe, until_stop
from evoltune.teacher.protocol import Request


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("http://host:8000", "http://host:8000/v1/chat/completions"),
        ("http://host:8000/", "http://host:8000/v1/chat/completions"),
        ("https://host/v1", "https://host/v1/chat/completions"),
        ("https://host/openai/v2/", "https://host/openai/v2/chat/completions"),
        ("https://host/v1/chat/completions", "https://host/v1/chat/completions"),
    ],
)
def test_the_chat_url_is_found_from_any_base_url(url, full):
    assert chat_url(url, "teacher.endpoints.0") == full


def test_a_url_without_a_scheme_is_refused_with_its_key():
    with pytest.raises(RecipeError, match=r"teacher.endpoints.1.url: 'host:80' must be http://"):
        chat_url("host:80", "teacher.endpoints.1")


@pytest.mark.parametrize(
    ("url", "query", "full"),
    [
        (
            "https://h/openai/deployments/d?api-version=1",
            {},
            "https://h/openai/deployments/d/chat/completions?api-version=1",
        ),
        ("https://h/v1", {"a": "b c"}, "https://h/v1/chat/completions?a=b+c"),
        ("https://h/v1?a=1", {"a": "2"}, "https://h/v1/chat/completions?a=2"),
    ],
)
def test_a_query_stays_behind_the_path(url, query, full):
    assert chat_url(url, "teacher.endpoints.0", query) == full


def ask(**options):
    return Request(**{"model": "m", "messages": (("user", "Hi"),), "purpose": "answer", "seed": 3, **options})


def test_options_that_are_not_set_are_not_sent():
    assert set(Dialect().body(ask())) == {"model", "messages", "temperature", "top_p", "max_tokens", "seed"}
    nothing = ask(temperature=None, top_p=None, frequency_penalty=None, max_tokens=None, extra_body={"seed": None})
    assert set(Dialect().body(nothing)) == {"model", "messages"}
    body = Dialect().body(ask(n=2, stop=("#",), frequency_penalty=0.5, extra_body={"top_k": 20}), {"provider": "x"})
    assert (body["n"], body["stop"], body["frequency_penalty"]) == (2, ["#"], 0.5)
    assert (body["top_k"], body["provider"]) == (20, "x")


def test_a_dialect_changes_only_what_it_says_and_survives_json():
    dialect = Dialect().without("top_p").without("max_tokens").without("temperature", 0.0)
    assert Dialect.from_json(json.loads(json.dumps(dialect.as_json()))) == dialect
    body = dialect.body(ask())
    assert "max_tokens" not in body and body["max_completion_tokens"] == 2048 and "top_p" not in body
    assert body["temperature"] == 1.0 and "temperature" not in dialect.body(ask(temperature=0.0))
    said = describe(dialect)
    assert "max_completion_tokens" in said and "top_p" in said and "temperature 0" in said
    assert describe(Dialect()) == ""
    assert dialect.restored("top_p").body(ask())["top_p"] == 0.9


def test_a_system_turn_that_cannot_be_sent_stands_in_the_users():
    messages = (("system", "Be brief."), ("user", "Hi"), ("assistant", "Ho"), ("user", "Go"))
    body = Dialect(left_out=frozenset({"system"})).body(ask(messages=messages))
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][0]["content"] == "Be brief.\n\nHi"


def test_stop_strings_that_cannot_be_sent_cut_the_text_here():
    assert until_stop("one # two", ("#", "two")) == "one "
    assert until_stop("one", ("#",)) == "one"


def test_keys_of_the_recipe_are_not_given_twice():
    with pytest.raises(RecipeError, match=r"teacher.extra_body.max_tokens"):
        check_extra_body({"max_tokens": 5}, "teacher")
    with pytest.raises(RecipeError, match=r"teacher.extra_body.n: not allowed"):
        check_extra_body({"n": 3}, "teacher")
    check_extra_body({"n": None, "top_k": 3}, "teacher")
