"""Batch files of three providers: what is written, what each kind of result means, and samples in lines of their own."""

import pytest

from evoltune.teacher.batch_forms import FORMS, Unanswered, outcome_of, request_lines, result_id
from evoltune.teacher.dialects import Dialect
from evoltune.teacher.protocol import Request, request_key

THOUGHT = "Short is best, I think."
ASKED = Request(
    model="m", messages=(("system", "Be kind."), ("user", "Hi"), ("assistant", "Ho"), ("user", "Go")), purpose="answer",
    seed=5, stop=("#",), max_tokens=99, extra_body={"top_k": 3},
)  # fmt: skip


def lines(form, request=ASKED, **dialect):
    return list(request_lines(request, FORMS[form], Dialect(**dialect)))


def test_openais_form_holds_the_body_of_a_call_over_http():
    (line,) = lines("openai", max_tokens_name="max_completion_tokens")
    assert (line["method"], line["url"], line["custom_id"]) == ("POST", "/v1/chat/completions", request_key(ASKED))
    assert line["body"]["max_completion_tokens"] == 99 and "max_tokens" not in line["body"]


def test_anthropics_form_has_the_system_text_apart_and_one_of_temperature_and_top_p():
    (line,) = lines("anthropic")
    params = line["params"]
    assert params["system"] == "Be kind." and [m["role"] for m in params["messages"]] == ["user", "assistant", "user"]
    assert (params["max_tokens"], params["temperature"], params["stop_sequences"], params["top_k"]) == (
        99,
        1.0,
        ["#"],
        3,
    )
    assert not {"top_p", "seed", "n", "stop"} & params.keys()


def test_geminis_form_has_contents_and_a_generation_config():
    (line,) = lines("gemini")
    config, contents = line["request"]["generationConfig"], line["request"]["contents"]
    assert line["key"] == request_key(ASKED)
    assert [c["role"] for c in contents] == ["user", "model", "user"]
    assert contents[0]["parts"] == [{"text": "Be kind.\n\nHi"}]
    assert config == {
        "temperature": 1.0,
        "topP": 0.9,
        "maxOutputTokens": 99,
        "seed": 5,
        "stopSequences": ["#"],
        "top_k": 3,
    }


@pytest.mark.parametrize(("form", "left_out"), [("anthropic", ()), ("gemini", ()), ("openai", ("n",))])
def test_where_there_is_no_n_each_sample_is_a_line_with_a_seed_of_its_own(form, left_out):
    three = Request(**{**vars(ASKED), "n": 3})
    dialect = Dialect(left_out=frozenset(left_out))
    found = list(request_lines(three, FORMS[form], dialect))
    assert [result_id(line) for line in found] == [f"{request_key(three)}-{i}" for i in range(3)]
    again = list(request_lines(three, FORMS[form], dialect, frozenset({0, 2})))
    assert [result_id(line) for line in again] == [f"{request_key(three)}-1"]


def openai(status, body):
    return {"custom_id": "k", "response": {"status_code": status, "body": body}, "error": None}


def anthropic(**result):
    return {"custom_id": "k", "result": result}


def gemini(*parts, end="STOP", **more):
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": end}
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 6, "totalTokenCount": 19}
    return {"key": "k", "response": {"candidates": [candidate], "usageMetadata": usage, **more}}


MESSAGE = {
    "content": [{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": "Yes."}], "stop_reason": "end_turn",
    "usage": {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 10},
}  # fmt: skip
CHOICE = {"message": {"content": "Yes.", "reasoning_content": THOUGHT}, "finish_reason": "stop"}


@pytest.mark.parametrize(
    "line",
    [
        openai(200, {"choices": [CHOICE], "usage": {"prompt_tokens": 9, "completion_tokens": 10}}),
        openai("200", {"choices": [CHOICE], "usage": {"prompt_tokens": 9, "completion_tokens": 10}})
        | {"error": {"code": None}},
        {"custom_id": "k", "response": {"choices": [CHOICE], "usage": {"prompt_tokens": 9, "completion_tokens": 10}}},
        anthropic(type="succeeded", message=MESSAGE),
        gemini({"text": THOUGHT, "thought": True}, {"text": "Yes."}),
    ],
)
def test_a_result_of_each_form_is_a_reply_with_its_thought_and_its_usage(line):
    reply = outcome_of(line)
    assert (reply.texts, reply.thoughts, reply.truncated) == (("Yes.",), (THOUGHT,), ())
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (9, 10)


@pytest.mark.parametrize(
    "line",
    [
        openai(200, {"choices": [{**CHOICE, "finish_reason": "length"}]}),
        anthropic(type="succeeded", message={**MESSAGE, "stop_reason": "max_tokens"}),
        gemini({"text": "Yes."}, end="MAX_TOKENS"),
    ],
)
def test_the_token_limit_is_known_in_each_form(line):
    assert outcome_of(line).truncated == (0,)


@pytest.mark.parametrize(
    ("line", "status", "is_final"),
    [
        (openai(200, {"choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]}), None, True),
        (anthropic(type="succeeded", message={**MESSAGE, "content": [], "stop_reason": "refusal"}), None, True),
        (gemini(end="SAFETY"), None, True),
        ({"key": "k", "response": {"promptFeedback": {"blockReason": "OTHER"}}}, None, True),
        (openai(400, {"error": {"message": "no", "param": "top_p", "code": "unsupported_parameter"}}), 400, False),
        (anthropic(type="errored", error={"type": "error", "error": {"type": "invalid_request_error"}}), 400, False),
        (anthropic(type="errored", error={"type": "error", "error": {"type": "overloaded_error"}}), 529, False),
        (anthropic(type="expired"), None, False),
        ({"key": "k", "error": {"code": 3, "message": "bad"}}, 400, False),
        ({"key": "k", "status": {"code": 8, "message": "exhausted"}}, 500, False),
        ({"custom_id": "k", "response": None, "error": {"code": "batch_expired", "message": "too late"}}, 500, False),
        ({"custom_id": "k", "response": None, "error": None}, None, False),
    ],
)
def test_what_failed_is_told_apart_in_each_form(line, status, is_final):
    outcome = outcome_of(line)
    assert isinstance(outcome, Unanswered) and outcome.is_final is is_final and outcome.reason
    assert (outcome.error.status if outcome.error else None) == status
