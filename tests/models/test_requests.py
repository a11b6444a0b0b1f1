"""Requests of OpenAI's API: everything that is asked for is done or refused by its key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.models.decoding import Sampling
from evoltune.models.requests import NEUTRAL, WITHOUT_EFFECT, RequestError, fitted, read_chat, read_completion

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hi."}]}
RAW = {"model": "tiny", "prompt": "Once"}


def test_what_is_asked_for_is_read():
    asked = read_chat(
        CHAT | {"max_completion_tokens": 7, "temperature": 0, "top_p": 0.5, "top_k": 4, "stop": "\n", "seed": 3, "n": 2,
                "frequency_penalty": 1, "presence_penalty": -1, "repetition_penalty": 1.2, "logprobs": True, "top_logprobs": 2}, "tiny",
    )  # fmt: skip
    assert asked.sampling == Sampling(
        max_tokens=7, temperature=0.0, top_p=0.5, top_k=4, stop=("\n",), seed=3, frequency_penalty=1.0, presence_penalty=-1.0,
        repetition_penalty=1.2, logprobs=2,
    )  # fmt: skip
    assert asked.choices == 2 and asked.messages == ({"role": "user", "content": "Hi."},) and not asked.is_streamed
    plain = read_completion({"prompt": ["a", "b"], "stream": True, "stream_options": {"include_usage": True}}, "tiny")
    assert plain.texts == ("a", "b") and plain.is_streamed and plain.has_usage and not plain.has_limit
    assert plain.sampling == Sampling(max_tokens=16, temperature=1.0)
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    asked = read_chat({"messages": [{"role": "developer", "content": parts}]}, "tiny")
    assert asked.messages == ({"role": "system", "content": "ab"},)


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"max_tokens": 0}, "max_tokens"), ({"max_tokens": 2.5}, "max_tokens"), ({"max_tokens": "9"}, "max_tokens"), ({"max_completion_tokens": 0}, "max_tokens"),
        ({"temperature": -1}, "temperature"), ({"temperature": float("nan")}, "temperature"), ({"top_p": 0}, "top_p"), ({"top_p": 1.1}, "top_p"), ({"top_k": -2}, "top_k"),
        ({"stop": [""]}, "stop"), ({"stop": 3}, "stop"), ({"stop": ["x"] * 17}, "stop"), ({"seed": "a"}, "seed"), ({"seed": True}, "seed"),
        ({"n": 0}, "n"), ({"n": 17}, "n"), ({"frequency_penalty": 3}, "frequency_penalty"), ({"presence_penalty": -3}, "presence_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"), ({"logprobs": 1}, "logprobs"), ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"), ({"stream": 1}, "stream"), ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"odd": True}}, "stream_options"), ({"stream": True, "logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"), ({"tools": [{"type": "function"}]}, "tools"), ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"guided_json": {}}, "guided_json"), ({"messages": []}, "messages"), ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"), ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "text": "x"}]}]}, "messages[0].content"), ({"max_tokens": float("inf")}, "max_tokens"),
        ({"messages": [{"role": "assistant", "content": "", "tool_calls": [{}]}]}, "messages[0].tool_calls"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_by_its_key(more, key):
    with pytest.raises(RequestError) as refused:
        read_chat(CHAT | more, "tiny")
    assert refused.value.key == key and refused.value.status == 400 and str(refused.value).startswith(key)


@pytest.mark.parametrize("prompt", [None, "", [], [[]], [True], [-1], {"a": 1}, ["a"] * 65, [["a"]]])
def test_a_raw_prompt_is_a_text_or_token_ids(prompt):
    if prompt == "":
        return  # no text at all is refused once it has no token
    with pytest.raises(RequestError) as refused:
        read_completion({"prompt": prompt}, "tiny")
    assert refused.value.key == "prompt"


def test_another_model_is_404_and_none_is_the_one_that_is_served():
    with pytest.raises(RequestError, match="this server has 'tiny'") as refused:
        read_chat(CHAT | {"model": "gpt-4"}, "tiny")
    assert (refused.value.status, refused.value.code) == (404, "model_not_found")
    assert read_completion({"prompt": [5, 6]}, "tiny").texts == ((5, 6),)


def test_values_that_change_nothing_are_taken():
    neutral = {key: values[0] for key, values in NEUTRAL.items()} | dict.fromkeys(WITHOUT_EFFECT, "x")
    assert read_chat(CHAT | neutral | {"temperature": None}, "tiny") == read_chat(CHAT, "tiny")


@given(st.integers(1, 3000), st.integers(1, 3000), st.booleans())
def test_prompt_and_answer_fit_the_context_or_are_refused(prompt_tokens, wanted, has_limit):
    asked = read_chat(CHAT | ({"max_tokens": wanted} if has_limit else {}), "tiny")
    try:
        fitting = fitted(asked, prompt_tokens, context=2048).max_tokens
    except RequestError as error:
        assert error.code == "context_length_exceeded" and "2048" in str(error)
        assert prompt_tokens >= 2048 or (has_limit and prompt_tokens + wanted > 2048)
    else:
        assert prompt_tokens + fitting <= 2048
        assert fitting == (wanted if has_limit else min(512, 2048 - prompt_tokens))
    assert fitted(asked, prompt_tokens, context=None) == asked.sampling
