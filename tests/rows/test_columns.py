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


@pytest.mark.parametrize(
    ("row", "turns", "unread"),
    [
        ({"instruction": "Who?", "context": "Ann did.", "response": "Ann"}, "user assistant", ()),
        ({"system_prompt": "Be brief.", "question": "Q", "response": "A"}, "system user assistant", ()),
        ({"problem": "Q", "solution": "2+2=4", "answer": "4"}, "user assistant", ("answer",)),
        ({"prompt": "Q", "completion": "A", "history": [["Hi", "Hello"]]}, "user assistant user assistant", ()),
        ({"instruction": "Q", "output": "A", "history": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}]},
         "user assistant user assistant", ()),
        ({"conversations": SHAREGPT["conversations"][:2], "system": "S", "tools": "[t]"}, "system user assistant", ("tools",)),
        ({"text": "Write a function that adds.", "code": "def add(a, b): return a + b"}, "user assistant", ()),
        ({"text": "Which one? A B", "answer": "B"}, "user assistant", ()),
        ({"prompt": "Q: 2 + 2?\nA:", "completion": "4"}, "user assistant", ()),
        ({"prompt": "What does ### Response: mean in Alpaca?", "completion": "It is a mark."}, "user assistant", ()),
        ({"instruction": "Q", "output": "A", "text": "Instruction: Q\nResponse: A"}, "user assistant", ("text",)),
        ({"instruction": "Q", "output": "A", "messages": [], "topic": "x", "note": None}, "user assistant", ("topic",)),
        ({"prompt": [{"role": "user", "content": "Q"}], "completion": [{"role": "assistant", "content": "A"}]}, "user assistant", ()),
    ],
)  # fmt: skip
def test_every_text_of_a_row_is_in_its_turns_or_named_as_unread(row, turns, unread):
    found = recognise(row)
    assert isinstance(found, Conversation) and found.problem == ""
    assert ([turn.role for turn in found.turns], found.unread) == (turns.split(), unread)


def test_only_the_completion_of_a_conversational_prompt_carries_loss():
    asked = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}, {"role": "user", "content": "Q2"}]
    found = recognise({"prompt": asked, "completion": [{"role": "assistant", "content": "A2"}]})
    assert isinstance(found, Conversation) and (found.instruction, found.output) == ("Q2", "A2")
    assert [turn.trained for turn in found.turns if turn.role == "assistant"] == [False, True]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"prompt": "Q", "chosen": "A", "rejected": "B"}, "preference pairs (columns chosen and rejected)"),
        ({"chosen": [{"role": "user", "content": "Q"}], "rejected": []}, "preference pairs"),
        ({"conversations": SHAREGPT["conversations"], "chosen": {"value": "A"}, "rejected": {"value": "B"}}, "preference pairs"),
        ({"prompt": "Q", "completion": "A", "label": False}, "column 'label' marks answers as good or bad"),
        ({"text": "### Human: Hi ### Assistant: Hello"}, "plain text in column 'text'"),
        ({"input": "", "output": "Eat well and sleep enough.", "text": "### Instruction:\nTips?\n\n### Response:\nEat well and sleep enough."},
         "column 'text' holds question and answer together (it ends with column 'output'), and no column has the question alone: "
         "columns are input, output, text"),
        ({"output": "4", "text": "### Instruction:\n2 + 2?\n\n### Response: 4 "}, "holds question and answer together"),
        ({"prompt": "Do it.\n\n### Instruction:\n2 + 2?\n\n### Response:\n", "completion": "4"}, "column 'prompt' ends with '### Response:'"),
        ({"prompt": "<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n", "completion": "4"}, "applied already"),
        ({"question": "[INST] 2 + 2? [/INST]", "answer": "4"}, "column 'question' ends with '[/INST]'"),
        ({"prompt": "USER: 2 + 2? ASSISTANT:", "completion": "4"}, "applied already"),
        ({"prompt": "\n\nHuman: 2 + 2?\n\nAssistant:", "completion": " 4"}, "applied already"),
        ({"prompt": "<\uff5cUser\uff5c>2 + 2?<\uff5cAssistant\uff5c>", "completion": "4"}, "applied already"),
        ({"prompt": "<|header_start|>user<|header_end|>\n\n2?<|eot|><|header_start|>assistant<|header_end|>\n\n", "completion": "4"}, "applied already"),
        ({"instruction": "Q", "output": 42}, "column 'output' holds a number (42), must be text"),
        ({"question": "Q", "answer": ["A"]}, "column 'answer' holds a list, must be text"),
        ({"instruction": "Q", "output": None}, "no answer: columns are instruction, output"),
        ({"instruction": "Q", "output": " "}, "the answer is empty"),
        ({"question": 7, "answer": "A"}, "column 'question' holds a number (7), must be text or a list of messages"),
        ({"messages": "Hi", "x": 1}, "column 'messages' holds text, must be a list of messages"),
        ({"instruction": "Q", "output": "A", "history": "Hi"}, "column 'history': must be pairs"),
        ({"messages": CHAT["messages"], "system": "Other"}, "different system texts"),
        ({"instruction": "Square it.", "input": 7, "output": "49"}, "column 'input' holds a number (7), must be text, else the question would lack"),
        ({"question": "Who?", "context": {"title": ["Ibsen"]}, "answer": "A"}, "column 'context' holds an object, must be text"),
        ({"instruction": "Q", "input": "x", "context": "y", "output": "A"}, "columns 'input' and 'context' both belong to the question"),
        ({"instruction": "Q", "system": ["S"], "output": "A"}, "column 'system' holds a list, must be text"),
        ({"conversations": [*CHAT["messages"]], "system_prompt": {"text": "S"}}, "column 'system_prompt' holds an object, must be text"),
        ({"instruction": "Q", "output": "A", "split": "test"}, "column 'split' is 'test': not a row of the training split"),
        ({"messages": CHAT["messages"], "data_split": "Validation"}, "column 'data_split' is 'Validation'"),
        ({"instruction": "Q", "output": "A", "is_correct": 0}, "column 'is_correct' is 0: the answer is marked as wrong"),
        ({"messages": CHAT["messages"], "correct": False}, "column 'correct' is False: the answer is marked as wrong"),
        ({"instruction": "Q", "output": "A", "weight": "0.0"}, "column 'weight' is '0.0': the row is marked as not to be trained"),
        ({"instruction": "<image>Q", "output": "A", "images": ["x.png"]}, "column 'images' holds what the text is about"),
        ({"messages": CHAT["messages"], "image": {"bytes": "x"}}, "column 'image' holds what the text is about"),
        ({"instruction": "Answer.", "question": "2 + 2?", "answer": "4"}, "columns 'instruction' and 'question' hold different questions"),
        ({"question": "Capital?", "choices": {"text": ["Rome", "Paris"]}, "answer": "(B)"}, "column 'choices' holds the options of which '(B)'"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_trained_on_says_why(row, problem):
    found = recognise(row)
    assert problem in (found if isinstance(found, str) else found.problem)


@pytest.mark.parametrize(
    "more",
    [
        {"split": "train", "subset": "math", "weight": 0.5, "correct": "4", "is_correct": True, "label": "good"},
        {"image": "https://host/seller.png", "images": [], "prompt": "A teacher's words\n\n2 +  2? A) 3 B) 4\n", "options": ["A", "B"]},
        {"choices": ["A) 3", "B) 4"], "video": None, "problem": " "},
    ],
)  # fmt: skip
def test_columns_that_say_nothing_against_a_row_leave_it_to_training(more):
    found = recognise({"instruction": "2 + 2? A) 3 B) 4", "output": "B", **more})
    assert isinstance(found, Conversation) and not found.problem


def test_a_column_that_only_some_rows_are_read_from_is_named_with_their_number():
    rows = [{"problem": "Q", "answer": "4"}, *2 * [{"problem": "Q", "solution": "2 + 2 = 4", "answer": "4"}]]
    assert layout(rows).endswith("output <- answer or solution; not read: answer (in 2 rows)")


def test_the_layout_is_shown_in_one_line_mixed_forms_and_unread_columns_included():
    rows = [*ALPACA, CHAT, {"instruction": "x", "output": "y", "score": 3, "reference": "z"}, {"foo": 1}]
    text = layout(rows)
    assert "alpaca (3 rows), chat (1 rows)" in text
    assert "instruction <- instruction or messages[last user], output <- output or messages[last assistant]" in text
    assert "reference <- reference" in text
    assert "not read: score, foo" in text and "1 x no instruction" in text


def test_plain_texts_are_turns_of_user_and_assistant_as_limas_rows_have_them():
    found = recognise({"conversations": ["Why?", "Because.", "And then?", "Nothing."], "source": "multi_turn"})
    assert (found.instruction, found.output) == ("And then?", "Nothing.")
    assert list(found.history) == [
        ("user", "Why?"), ("assistant", "Because."),
    ]  # fmt: skip
