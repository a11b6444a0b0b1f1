"""Bodies of replies in the forms in which servers, gateways and proxies send them; a stream that nobody asked for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.teacher.bodies import json_of
from evoltune.teacher.protocol import Request
from evoltune.teacher.refusals import read_error
from evoltune.teacher.replies import parse_reply

ASKED = Request(model="m", messages=(("user", "Hi"),), purpose="answer", seed=1)
WHOLE = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Héllo."}, "finish_reason": "stop"}]}


def events(*chunks, done=True):
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return (": keep-alive\n\n" + "".join(lines) + ("data: [DONE]\n\n" if done else "")).encode()


def chunk(index=0, end=None, **delta):
    return {"id": "x", "choices": [{"index": index, "delta": delta, "finish_reason": end}]}


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\r\n \n", b": PROCESSING\n\n: PROCESSING\n\n"])
@pytest.mark.parametrize("after", [b"", b"\n\x00", b"   \r\n\r\n", b"\n<!-- cached -->"])
def test_what_stands_round_the_json_does_not_count(before, after):
    body = before + json.dumps(WHOLE, ensure_ascii=False).encode() + after
    assert parse_reply(body, ASKED).texts == ("Héllo.",)
    error = before + json.dumps({"error": {"message": "no such model", "code": "model_not_found"}}).encode() + after
    assert read_error(404, error).message == "no such model"


def test_a_stream_is_joined_with_its_thought_its_usage_and_its_end():
    body = events(
        chunk(role="assistant", content=""), chunk(reasoning_content="Short "), chunk(reasoning_content="is best."),
        chunk(content="It "), chunk(content="ri"), chunk(content=None), chunk(end="length"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9}},
    )  # fmt: skip
    reply = parse_reply(body, ASKED)
    assert (reply.texts, reply.thoughts, reply.truncated) == (("It ri",), ("Short is best.",), (0,))
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (3, 9)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3), st.integers(1, 5), st.booleans())
def test_samples_of_a_stream_come_back_whole_however_they_are_cut(texts, size, done):
    whole = [chunk(i, content=text) for i, text in enumerate(texts)]
    ends = [chunk(i, end="stop") for i in range(len(texts))]
    for chunks in (whole, [part for i, text in enumerate(texts) for part in _cut(text, i, size)]):
        found = json_of(events(*chunks, *ends, done=done))
        assert [c["message"]["content"] for c in found["choices"]] == texts


def _cut(text, index, size):
    return [chunk(index, content=text[at : at + size]) for at in range(0, len(text), size)]


@pytest.mark.parametrize(
    "body",
    [
        events(chunk(content="It ri"), done=False), events(done=True), b'data: {"choices": [{"delta\n\n', b"", b'{"done": false}\n{"done": true}', b"null and void",
        b"<html>", json.dumps(WHOLE).encode()[:-4],
    ],
)  # fmt: skip
def test_a_body_that_is_cut_is_no_reply(body):
    with pytest.raises(ValueError, match=r"is not JSON|stream"):
        json_of(body)


def test_a_stream_of_parts_is_joined_and_an_index_that_is_none_counts_as_the_first():
    parts = [chunk([1], content=[{"type": "text", "text": text}]) for text in ("It ", "rises.")]
    assert parse_reply(events(*parts, chunk(end="stop")), ASKED).texts == ("It rises.",)


def test_other_encodings_of_json_are_read():
    for encoding in ("utf-16", "utf-16-le", "utf-8-sig"):
        assert json_of(json.dumps(WHOLE, ensure_ascii=False).encode(encoding)) == WHOLE


def test_a_completion_in_a_text_or_in_one_event_is_one():
    assert json_of(json.dumps(json.dumps(WHOLE)).encode()) == WHOLE
    assert json_of(b'"plain"') == "plain"
    assert parse_reply(json.dumps(chunk(content="It rises.", end="stop")).encode(), ASKED).texts == ("It rises.",)


def test_an_event_that_says_it_all_stands_for_itself():
    assert json_of(events(WHOLE)) == WHOLE
    failed = {"error": {"message": "overloaded", "code": 529}}
    assert json_of(events(chunk(content="Half"), failed)) == failed


def test_events_beside_the_choices_end_no_stream():
    ping, usage = {"type": "ping"}, {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    reply = parse_reply(events(ping, chunk(content="It "), ping, chunk(content="rises.", end="stop"), usage), ASKED)
    assert (reply.texts, reply.usage.completion_tokens) == (("It rises.",), 4)
    assert json_of(events({"detail": "no such model"}, ping)) == {"detail": "no such model"}
