"""Columns: a row of any form is recognised, and a source's layout is described in one line."""

import pytest

from evoltune.rows.columns import Conversation, layout, recognise

ALPACA = [{"instruction": "Add 1 and 2", "output": "3"}, {"instruction": "Say hi", "output": "hi"}]

CHAT = {
    "messages": [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
    ]
}
SHAREGPT = {
    "conversations": [
        {"from": "human", "value": "One"},
        {"from": "gpt", "value": "Two"},
        {"from": "human", "value": "Three"},
    ]
}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"instruction": "Sum", "input": "1 2", "output": "3"}, ("alpaca", "Sum\n\n1 2", "3", ())),
        ({"instruction": "Sum", "input": "", "output": "3"}, ("alpaca", "Sum", "3", ())),
        ({"prompt": "Q", "completion": "A"}, ("pair", "Q", "A", ())),
        ({"question": "Q", "answer": "A"}, ("pair", "Q", "A", ())),
        ({"instruction": "Only asked"}, ("task", "Only asked", "", ())),
        (CHAT, ("chat", "Hi", "Hello", (("system", "Be brief"),))),
        (SHAREGPT, ("sharegpt", "Three", "", (("user", "One"), ("assistant", "Two")))),
    ],
)
def test_a_row_is_recognised_by_its_columns(row, expected):
    found = recognise(row)
    assert isinstance(found, Conversation)
    assert (found.form, found.instruction, found.output, found.history) == expected


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"foo": 1}, "no instruction: columns are foo"),
        ({"instruction": "  "}, "column 'instruction' is empty"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "no user turn"),
        ({"messages": ["hello"]}, "a turn is a str"),
        ({"messages": [{"role": "user", "content": None}]}, "no role and content"),
    ],
)
def test_a_row_without_an_instruction_says_why(row, reason):
    found = recognise(row)
    assert isinstance(found, str) and reason in found


def test_the_layout_is_shown_in_one_line_mixed_forms_and_unread_columns_included():
    rows = [*ALPACA, CHAT, {"instruction": "x", "output": "y", "score": 3, "reference": "z"}, {"foo": 1}]
    text = layout(rows)
    assert "alpaca (3 rows), chat (1 rows)" in text
    assert "instruction <- instruction, output <- output" in text and "reference <- reference" in text
    assert "not read: score, foo" in text and "1 x no instruction" in text
