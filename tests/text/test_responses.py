"""Thoughts and end marks are cut from a response; programs that contain such marks are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.text.responses import final_text, json_object, without_frame

MARKS = (
    "<|im_end|>", "<|eot_id|>", "</s>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<｜end▁of▁sentence｜>", "<|EOT|>", "<|file_sep|>",
    "<|fim_pad|>", "<file_sep>", "<fim_middle>", "<jupyter_text>", "<reponame>", "[|endofturn|]", "<turn|>", "<|endofturn|>", "<|repo_name|>",
    "<｜User｜>", "<|END_OF_TURN_TOKEN|>", "<eod>", "<seed:eos>", "<|message_end|>", "<|/assistant|>",
)  # fmt: skip
TAGS = (
    ("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>"), ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"), ("<|begin_of_thought|>", "<|end_of_thought|>"), ("<seed:think>", "</seed:think>"),
)  # fmt: skip
PLAIN = st.text(st.characters(exclude_characters="<>[]|◁▷`~\"'\\#/", exclude_categories=["Cs"]), max_size=60)


@given(PLAIN)
def test_a_text_without_marks_comes_back_unchanged(text):
    assert final_text(text) == text


@given(PLAIN, PLAIN, st.sampled_from(TAGS), st.booleans())
def test_thoughts_are_cut_also_where_the_prompt_held_the_opening_tag(thought, answer, tags, opened):
    assert final_text((tags[0] if opened else "") + thought + tags[1] + answer) == answer.strip()


@given(PLAIN, st.sampled_from(TAGS))
def test_thoughts_that_never_end_leave_no_answer(thought, tags):
    assert final_text(tags[0] + thought) == ""


@given(PLAIN, PLAIN, st.sampled_from(MARKS))
def test_the_answer_ends_at_its_first_end_mark(answer, rest, mark):
    assert final_text(answer + mark + rest) == answer


@given(PLAIN.filter(str.strip), st.from_regex(r"(?:end|eos|sep|pad|user|stop)_?[a-z_]{0,12}", fullmatch=True))
def test_any_special_token_ends_the_answer_but_for_those_that_open_one(answer, name):
    assert final_text(f"{answer}<|{name}|>\nAnd then?") == answer
    assert (
        final_text(f"It is <|begin_of_box|>{answer}<|end_of_box|>.") == f"It is <|begin_of_box|>{answer}<|end_of_box|>."
    )


@pytest.mark.parametrize("closing", ["</answer>", "</code>\n", "\n[DONE]\nNext", "\n</solution>"])
def test_what_the_prompt_opened_ends_where_it_closes(closing):
    assert final_text("x = 5" + closing).strip() == "x = 5"
    assert final_text("[BEGIN]\nx = 5\n[DONE]") == "x = 5\n"
    assert "</code>" in final_text("Use <code>x = 5</code>") and "[DONE]" in final_text("return [DONE]")


def test_several_thoughts_are_cut_and_the_text_between_them_stays():
    assert final_text("<think>a</think>One.\n<think>b</think>Two.").split() == ["One.", "Two."]


@given(PLAIN.filter(str.strip), PLAIN, st.sampled_from(TAGS))
def test_a_thought_that_never_ends_takes_back_what_stands_before_it(preface, thought, tags):
    assert final_text(f"{preface}\n{tags[0]}\n{thought}") == ""
    assert final_text(f"{preface.strip()}. {tags[0]} {thought}") == ""


@pytest.mark.parametrize(
    "text",
    [
        'parts = text.split("</think>")',
        "```python\n# removes </think> and what is before it\nEND = '<|im_end|>'\n```\n",
        'T = """<|im_start|>user\n{q}<|im_end|>\n"""\nx = 1',
        "```python\nTEMPLATE = '''\n<think>\n'''\n```\nThat is the template.",
        "It costs <s>5</s> 4 euros.",
        'x = f"{a}<|eot_id|>\\n"',
    ],
)
def test_marks_in_a_program_are_its_own(text):
    assert final_text(text) == text


@pytest.mark.parametrize(
    "response",
    [
        "<|channel|>analysis<|message|>Is it 4?<|end|><|start|>assistant<|channel|>final<|message|>Five.<|return|>",
        "analysisIs it 4? No.assistantfinalFive.",
        "<|im_start|>assistant\nFive.<|im_end|>\n<|im_start|>user\nWhy?",
        "<think>\n```python\nx = 4\n</think>\nFive.</s></s>",
    ],
)
def test_channels_and_the_marks_of_the_turn_itself_are_dropped(response):
    assert final_text(response).strip() == "Five."


@pytest.mark.parametrize("answer", ["\\boxed{5}", "\\[x = 5\\]", "\\(5\\)", "\\neq 5", "\\text{no}"])
def test_mathematics_right_behind_a_thought_is_no_escape(answer: str) -> None:
    assert final_text(f"<think>\\boxed{{4}}</think>{answer}<|im_end|>") == answer


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("<|im_start|>assistant\nIt rises<|im_end|>", "It rises"),
        ("<|start_header_id|>assistant<|end_header_id|>\n\nIt rises.<|eot_id|>\n", "It rises."),
        ("<start_of_turn>model\nIt rises.", "It rises."),
        ("It rises.<|im_end|>", "It rises."),
        ("```python\nx = 1\n```</s><|endoftext|>", "```python\nx = 1\n```"),
        ("The mark is <|im_end|>", None),  # a sentence about it
        ("The mark is `<|im_end|>`", None),
        ("It rises.<|im_end|>\n<|im_start|>user\nThanks", None),  # another turn: for the rules
        ("<s>old</s> new", None),
        ("<p>It rises.</p>", None),
        ("See [1]", None),
    ],
)
def test_marks_of_its_own_turn_are_taken_off_a_text(text, kept):
    assert without_frame(text) == (text if kept is None else kept)


@given(PLAIN)
def test_a_text_without_marks_keeps_its_white_space(text):
    assert without_frame(text) == text


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ('{"code": "x = 1", "n": 0.10}', {"code": "x = 1", "n": "0.10"}),
        ('```json\n{"n": 1e400}\n```\n', {"n": "1e400"}),
        ('so {"n": 1}', None),
        ("{1, 2}", None),
        ('{"n": ' + "[" * 200_000 + "]" * 200_000 + "}", None),
    ],
)
def test_structured_output_is_one_object_alone_or_in_a_fence(text, fields):
    assert json_object(text, number=str) == fields
