"""Turns: names of roles and fields in dumps, marks without loss, and why a conversation cannot be trained on."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.rows.turns import Turn, as_turns, problem_of, read_turns

ROLES = {
    "user": ("user", "human", "Human", "USER", "prompter"),
    "assistant": ("assistant", "gpt", "chatgpt", "Assistant", "model", "bing", "gpt-4"),
    "system": ("system", "developer", "System"),
}


def said(*roles):
    return [{"role": role, "content": f"text {i}"} for i, role in enumerate(roles)]


@given(
    names=st.tuples(*(st.sampled_from(ROLES[role]) for role in ("system", "user", "assistant"))),
    keys=st.sampled_from([("role", "content"), ("from", "value"), ("role", "value"), ("from", "text")]),
)
def test_every_name_of_a_role_and_a_field_is_read(names, keys):
    found = read_turns([dict(zip(keys, (name, "text"), strict=True)) for name in names], "messages")
    assert found.turns == (Turn("system", "text"), Turn("user", "text"), Turn("assistant", "text"))
    assert (found.problem, found.unread) == ("", ())


@given(rounds=st.integers(1, 4), system=st.booleans(), wrong=st.integers(0, 8))
def test_only_alternating_turns_that_end_with_an_answer_can_be_trained_on(rounds, system, wrong):
    roles = [*(["system"] if system else []), *["user", "assistant"] * rounds]
    assert problem_of(Turn(role, "x") for role in roles) == ""
    del roles[wrong % len(roles)]
    if roles not in (["user", "assistant"] * rounds, []):
        assert f"the order of roles is {', '.join(roles)}" in problem_of(Turn(role, "x") for role in roles)


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        (said("user", "tool", "assistant"), r"role 'tool' \(turn 2\) is not supported"),
        (said("user", "assistant", "function", "assistant"), "role 'function'"),
        (said("assistant", "user", "assistant"), "the order of roles is assistant, user, assistant"),
        (said("user", "assistant", "user"), "must end with an answer"),
        (said("user", "user", "assistant"), "user, user, assistant"),
        (said("user", "system", "assistant"), "at most one system"),
        ([*said("user"), {"role": "assistant", "content": " "}, *said("user", "assistant")], "turn 2 .*answer is empty"),
        ([*said("user"), {"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}], "calls of tools"),
        ([{"role": "user", "content": [{"type": "image"}]}, *said("assistant")], "part of type 'image'"),
        ([*said("user"), {"role": "assistant", "content": "a", "weight": 0}], "every answer is marked"),
        ([*said("user"), {"role": "assistant", "content": "a", "weight": 0.5}], "must be 0 or 1"),
        ([{"role": "user", "content": "a", "train": True}, *said("assistant")], "asks for loss on a question"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_named(messages, problem):
    found = read_turns(messages, "messages")
    assert re.search(problem, found.problem), found.problem
    assert found.problem.startswith("column 'messages': ")


@pytest.mark.parametrize(
    "mark",
    [
        {"weight": 0},
        {"weight": 0.0},
        {"train": False},
        {"training": "false"},
        {"loss": False},
        {"train_on_turn": False},
    ],
)
def test_a_marked_answer_is_context_without_loss(mark):
    messages = [*said("user"), {"role": "assistant", "content": "wrong", **mark}, *said("user", "assistant")]
    found = read_turns(messages, "messages")
    assert [turn.trained for turn in found.turns] == [True, False, True, True]
    assert found.problem == "" and found.unread == ()


def test_an_empty_system_text_is_none_and_unknown_keys_are_named():
    messages = [{"role": "system", "content": ""}, {"role": "user", "content": "Hi", "name": "Ann"}, *said("assistant")]
    found = read_turns(messages, "messages")
    assert [turn.role for turn in found.turns] == ["user", "assistant"]
    assert found.unread == ("messages[].name",)


def test_a_key_that_says_no_and_a_second_text_are_named_as_not_read():
    answer = {"role": "assistant", "content": "a", "value": "another", "correct": False, "name": ""}
    found = read_turns([*said("user"), answer], "messages")
    assert found.unread == ("messages[].value", "messages[].correct")


def test_parts_of_text_are_one_text():
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    assert read_turns([{"role": "user", "content": parts}], "messages").turns[0].content == "one two"


def test_a_conversation_comes_as_a_list_as_json_text_or_as_lists_by_key():
    messages = said("user", "assistant")
    by_key = {key: [message[key] for message in messages] for key in ("role", "content")}
    assert as_turns(messages) == as_turns(json.dumps(messages)) == as_turns(by_key) == messages
    assert [as_turns(value) for value in (None, [], "", "[1, 2", "Hi", {}, {"a": 1})] == [None] * 7
