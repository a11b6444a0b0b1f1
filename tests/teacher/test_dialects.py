"""The OpenAI chat format: bodies, replies and errors in the shapes that servers use."""

import json

import pytest

from evoltune.errors import RecipeError
from evoltune.teacher.dialects import chat_url, parse_error, parse_reply, request_body
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


def test_options_that_are_not_set_are_not_sent():
    request = Request(model="m", messages=(("user", "Hi"),), purpose="answer", seed=3)
    assert not {"n", "stop"} & set(request_body(request))
    full = Request(model="m", messages=(("user", "Hi"),), purpose="answer", seed=3, n=2, stop=("#",))
    body = request_body(full, "max_completion_tokens")
    assert (body["n"], body["stop"], body["max_completion_tokens"]) == (2, ["#"], 2048)
    assert "max_tokens" not in body


def test_choices_are_ordered_by_index_and_truncated_ones_are_known():
    def choice(index, text, reason):
        return {"index": index, "message": {"content": text}, "finish_reason": reason}

    choices = [choice(1, "b", "length"), choice(0, "a", "stop")]
    usage = {"prompt_tokens": 3, "completion_tokens": -1}
    reply = parse_reply(json.dumps({"choices": choices, "usage": usage}).encode())
    assert (reply.texts, reply.truncated) == (("a", "b"), (1,))
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (3, 0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"choices": [', "not JSON"),
        (b"[]", "no choices"),
        (b'{"choices": []}', "no choices"),
        (b'{"choices": [{"message": {"content": null}}]}', "content is null"),
        (b'{"choices": [{}]}', "content is null"),
    ],
)
def test_a_reply_without_a_text_is_refused(body, message):
    with pytest.raises(ValueError, match=message):
        parse_reply(body)


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"error": {"message": "too\\nlong", "code": "context"}}', "too long", "context"),
        (b'{"message": "no", "code": 7}', "no", "7"),
        (b'{"detail": "not found"}', "not found", ""),
        (b'{"error": "busy"}', "busy", ""),
        (b"<html>\n502  Bad Gateway", "<html> 502 Bad Gateway", ""),
        (b"x" * 500, "x" * 200, ""),
    ],
)
def test_an_error_is_read_in_the_usual_shapes(body, message, code):
    assert parse_error(body) == (message, code)
