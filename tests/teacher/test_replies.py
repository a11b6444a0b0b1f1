"""Chat completions into replies: answers apart from reasoning, every way to end, errors inside HTTP 200, usage."""

import json

import pytest

from evoltune.teacher.protocol import GivenUpError, Request
from evoltune.teacher.replies import FailedReply, parse_reply, reply_of

THOUGHT = "Short is best, I think."
ASKED = Request(model="m", messages=(("user", "Hi"),), purpose="answer", seed=1)


def choice(content="Hello.", end="stop", **message):
    return {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": end}


def one(*args, **kwargs):
    return reply_of({"choices": [choice(*args, **kwargs)]})


@pytest.mark.parametrize(
    "message",
    [
        {"reasoning_content": THOUGHT},
        {"reasoning": THOUGHT},
        {"reasoning": THOUGHT, "reasoning_details": [{"type": "reasoning.text", "text": THOUGHT}]},
        {"reasoning_details": [{"type": "reasoning.text", "text": THOUGHT}]},
        {"content": f"<think>\n{THOUGHT}\n</think>\n\nHello."},
        {"content": f"{THOUGHT}\n</think>\n\nHello."},
        {
            "content": f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>Hello.<|return|>"
        },
        {"content": f"analysis{THOUGHT}assistantfinalHello."},
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]},
                {"type": "text", "text": "Hello."},
            ]
        },
        {"content": [{"type": "reasoning", "text": THOUGHT}, "Hel", {"type": "output_text", "text": "lo."}]},
        {"content": [{"text": THOUGHT, "thought": True}, {"text": "Hello."}]},
        {"content": {"type": "text", "text": "Hello."}, "reasoning": THOUGHT},
    ],
)
def test_the_answer_is_the_answer_and_the_thought_is_kept_apart(message):
    reply = reply_of({"choices": [{"index": 0, "message": {"content": "Hello.", **message}, "finish_reason": "stop"}]})
    assert (reply.texts, reply.thoughts) == (("Hello.",), (THOUGHT,))


def test_the_marks_of_its_own_turn_are_no_part_of_an_answer():
    for text in (
        f"<|im_start|>assistant\n<think>{THOUGHT}</think>Hello.<|im_end|>",
        f"<think>{THOUGHT}</think>\nHello.</s>",
    ):
        reply = reply_of({"choices": [choice(text)]})
        assert (reply.texts, reply.thoughts) == (("Hello.",), (THOUGHT,))


def test_a_raw_prompts_text_is_taken_as_it_is():
    text = f"<think>{THOUGHT}</think>Hello.<|im_end|>"
    assert reply_of({"choices": [{"text": text}]}, is_raw_text=True).texts == (text,)


@pytest.mark.parametrize("end", ["length", "max_tokens", "MAX_TOKENS", "model_length", "model_context_window_exceeded"])
@pytest.mark.parametrize("message", [{"content": None, "reasoning": THOUGHT}, {"content": f"<think>{THOUGHT}"}])
def test_a_thought_that_ran_out_of_tokens_is_truncated_and_has_no_answer(end, message):
    reply = reply_of({"choices": [{"index": 0, "message": message, "finish_reason": end}]})
    assert (reply.texts, reply.truncated, reply.thoughts) == (("",), (0,), (THOUGHT,))


@pytest.mark.parametrize(
    ("message", "end", "reason"),
    [
        ({"content": None}, "content_filter", "content filter"),
        ({"content": "Half of"}, "content_filter", "content filter"),
        ({"content": "Half of"}, "SAFETY", "content filter"),
        ({"content": None}, "PROHIBITED_CONTENT", "content filter"),
        ({"content": ""}, "refusal", "content filter"),
        ({"content": None, "refusal": "I cannot help with that."}, "stop", "refusal"),
        ({"content": None, "tool_calls": [{"id": "c"}]}, "tool_calls", "tool call"),
        ({"content": None, "tool_calls": [{"id": "c"}]}, "stop", "tool call"),
        ({"content": ""}, "function_call", "tool call"),
    ],
)
def test_what_the_model_or_a_filter_would_not_say_is_one_rows_fault(message, end, reason):
    usage = {"prompt_tokens": 7, "completion_tokens": 2}
    with pytest.raises(GivenUpError) as caught:
        reply_of({"choices": [{"index": 0, "message": message, "finish_reason": end}], "usage": usage})
    assert caught.value.reason == reason
    assert caught.value.usage.prompt_tokens == 7  # it may be billed


def test_an_empty_text_is_an_answer_only_where_the_model_ended_it():
    assert one("", "end_turn").texts == ("",)
    with pytest.raises(ValueError, match="'other'"):
        one("", "OTHER")


def test_one_filtered_sample_of_several_is_an_empty_text():
    choices = [choice("a"), {**choice(None, "content_filter"), "index": 1}, {**choice("c"), "index": 2}]
    assert reply_of({"choices": choices}).texts == ("a", "", "c")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"message": "no credits", "code": 402}}, 402),
        ({"error": {"message": "no credits", "code": "402"}, "choices": []}, 402),
        ({"error": {"message": "what", "type": "exceed_context_size_error", "code": 400}}, 400),
        ({"error": "busy"}, 500),
        ({"object": "error", "message": "gone", "code": 404}, 404),
        ({"choices": [{"message": {"content": ""}, "finish_reason": "error", "error": {"code": 502}}]}, 502),
        ({"choices": [{"message": {"content": ""}, "finish_reason": "stop", "error": {"message": "x"}}]}, 500),
    ],
)
def test_an_error_inside_http_200_is_an_error(body, status):
    with pytest.raises(FailedReply) as caught:
        reply_of(body)
    assert caught.value.error.status == status


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"choices": [', "not JSON"),
        (b"[]", "no choices"),
        (b'{"choices": []}', "no choices"),
        (b'{"choices": null}', "no choices"),
        (b'{"choices": [{"message": {"content": null}}]}', "content is null"),
        (b'{"choices": [{}]}', "content is null"),
        (b'{"choices": [{"message": null}]}', "content is null"),
        (b'{"choices": [{"message": {"content": null, "reasoning": "Hm."}}]}', "no answer after the reasoning"),
        (b'{"choices": [{"message": {"content": "x"}, "finish_reason": "abort"}]}', "abort"),
    ],
)
def test_a_reply_without_a_text_is_worth_another_attempt(body, message):
    with pytest.raises(ValueError, match=message):
        parse_reply(body, ASKED)


def test_bytes_that_are_no_utf8_and_halves_of_surrogate_pairs_are_replaced():
    raw = json.dumps({"choices": [choice("caf#")]}).encode()
    assert parse_reply(raw.replace(b"#", b"\xff"), ASKED).texts == ("caf\ufffd",)
    assert parse_reply(raw.replace(b"#", b"\\ud83d"), ASKED).texts == ("caf\ufffd",)
    assert parse_reply(raw.replace(b"#", b"\\ud83d\\ude00"), ASKED).texts == ("caf\U0001f600",)


def test_control_characters_are_left_out_except_of_a_raw_prompts_text():
    assert one("\x1b[31mIt\x00 rises.\x1b[0m\x1b]0;title\x07\n\tYes.\x7f").texts == ("It rises.\n\tYes.",)
    assert reply_of({"choices": [{"text": "a\x00b"}]}, is_raw_text=True).texts == ("a\x00b",)


@pytest.mark.parametrize("field", ["content", "reasoning_details"])
def test_a_reply_that_is_nested_to_exhaust_the_stack_is_read_as_far_as_is_sound(field):
    nested = "x"
    for _ in range(2000):
        nested = [{"text": nested}]
    message = {"content": "Hello.", field: nested}
    if field == "content":
        with pytest.raises(ValueError, match="content is null"):
            reply_of({"choices": [{"message": message}]})
    else:
        assert reply_of({"choices": [{"message": message}]}).texts == ("Hello.",)


def test_a_prompt_that_was_blocked_is_one_rows_fault():
    with pytest.raises(GivenUpError, match="SAFETY") as caught:
        reply_of({"choices": [], "promptFeedback": {"blockReason": "SAFETY"}})
    assert caught.value.reason == "content filter"


@pytest.mark.parametrize("envelope", [{"code": 0, "msg": "ok"}, {"success": True, "errors": []}, {"choices": None}])
@pytest.mark.parametrize("name", ["data", "result", "output"])
def test_a_completion_in_an_envelope_is_read(envelope, name):
    inside = {"choices": [choice("An answer.")], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    reply = reply_of({**envelope, name: inside})
    assert (reply.texts, reply.usage.completion_tokens) == (("An answer.",), 2)
    assert reply_of([{**envelope, name: inside}]) == reply
    with pytest.raises(FailedReply):
        reply_of({**envelope, name: {"choices": [{"error": {"message": "no slot", "code": 503}}]}})


@pytest.mark.parametrize("end", [{"finish_reason": {"type": "length", "length": 5}}, {"finishReason": "MAX_TOKENS"}])
def test_the_end_is_known_also_as_an_object_or_in_another_spelling(end):
    assert reply_of({"choices": [{"message": {"content": "half a"}, **end}]}).truncated == (0,)


def test_choices_are_ordered_by_index_and_truncated_ones_are_known():
    choices = [{**choice("b", "length"), "index": 1}, choice("a")]
    reply = reply_of({"choices": choices, "usage": {"prompt_tokens": 3, "completion_tokens": -1}})
    assert (reply.texts, reply.truncated) == (("a", "b"), (1,))
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (3, 0)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 30}, (9, 21)),  # reasoning in the total alone
        ({"prompt_tokens": 9, "completion_tokens": 21, "total_tokens": 30}, (9, 21)),
        ({"input_tokens": 9, "output_tokens": 4}, (9, 4)),
        (None, (0, 0)),
        ({"prompt_tokens": 9.0, "completion_tokens": "4"}, (9, 4)),
        ({"prompt_tokens": 2**64 - 1, "completion_tokens": float("inf"), "total_tokens": float("nan")}, (0, 0)),
        ({"prompt_tokens": True, "completion_tokens": [4], "total_tokens": "many"}, (0, 0)),
        ({"prompt_tokens": -9, "completion_tokens": 4}, (0, 4)),
        ({"prompt_tokens": None}, (0, 0)),
    ],
)
def test_usage_counts_the_reasoning(usage, counts):
    found = reply_of({"choices": [choice()], "usage": usage}).usage
    assert (found.prompt_tokens, found.completion_tokens) == counts
