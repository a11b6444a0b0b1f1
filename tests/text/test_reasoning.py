"""Answers apart from thoughts, in every form; what is split is split once, and joining gives it back."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.text.reasoning import join_reasoning, split_reasoning

FORMS = [
    "<think>\nHm.\n</think>\n\nYes.",
    "<think>Hm.</think>Yes.",
    "  <Thinking>Hm.</Thinking>\nYes.",
    "<seed:think>Hm.</seed:think>Yes.",
    "[THINK]Hm.[/THINK]Yes.",
    "<longcat_think>\nHm.\n</longcat_think>\nYes.",
    "<|inner_prefix|>Hm.<|inner_suffix|>Yes.",
    "[unused16]Hm.[unused17]Yes.",
    "<unused94>thought\nHm.<unused95>Yes.",
    "<think_quick>Hm.</think_quick>Yes.",
    "Hm.\n[BEGIN FINAL RESPONSE]\nYes.\n[END FINAL RESPONSE]",
    '<think duration="3">Hm.</think>\nYes.',
    "<think>Hm.</think><|begin_of_box|>Yes.<|end_of_box|>",
    "Hm.\n</think>\n\nYes.",
    "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
    "<|start|>assistant<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.",
    "Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.",
    "analysisHm.assistantfinalYes.",
    "<|begin_of_thought|>Hm.<|end_of_thought|>\n\n<|begin_of_solution|>Yes.<|end_of_solution|>",
    "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>",
    "<|channel>thought\nHm.\n<channel|>Yes.",
    "<|think|>Hm.<|/think|>\nYes.",
    "<reflection>\nHm.\n</reflection>\nYes.",
    "<reason>Hm.</reason> Yes.",
    "<think>\nHm.\n</think>\n<answer>\nYes.\n</answer>",
    "<think>Hm.</think>\n\n<response>\nYes.",
    "Here is my thought process: Hm.\n\nHere is my response: Yes.",
]


@pytest.mark.parametrize("text", FORMS)
def test_each_form_is_split_into_answer_and_thought(text):
    assert split_reasoning(text) == ("Yes.", "Hm.")


@pytest.mark.parametrize(
    "text", ["<think>Hm. And then", "<|channel|>analysis<|message|>Hm. And then", "[THINK]Hm. And then"]
)
def test_a_thought_that_never_ends_leaves_no_answer(text):
    assert split_reasoning(text) == ("", "Hm. And then")


@pytest.mark.parametrize(
    "text",
    [
        "Plain.",
        "",
        "Use `</think>` to close the block.",
        "The </think> tag closes it.",
        "```\n<think>\nx\n</think>\n```\nis how it looks.",
        "analysis of the sea",
        "The token <|channel|> begins a channel.",
        "  indented\n",
        "<analysis>\nThe poem mourns.\n</analysis>",
        "<reason>It rains.",
        "<answer>4</answer>",
        "Here is my thought process: first the sky, then the sea.",
    ],
)
def test_a_text_that_only_speaks_of_tags_is_left_alone(text):
    assert split_reasoning(text) == (text, "")


PIECES = ["<think>", "</think>", "\n", "a", "B.", " ", "`", "```", "[THINK]", "[/THINK]", "<|channel|>final<|message|>",
          "<|end|>", "<|start|>assistant", "analysis", "assistantfinal", "<|channel|>analysis<|message|>", "<reason>", "</reason>",
          "<answer>", "<|channel>thought", "<channel|>", "Here is my thought process:", "Here is my response:",
          "[BEGIN FINAL RESPONSE]", "[END FINAL RESPONSE]"]  # fmt: skip


@given(st.integers(0, 2**32))
def test_what_was_split_comes_back_from_its_joined_form(seed):
    rng = random.Random(seed)
    text = "".join(rng.choices(PIECES, k=rng.randint(0, 12)))
    answer, thought = split_reasoning(text)
    assert split_reasoning(join_reasoning(answer, thought)) == (answer, thought)


def test_thousands_of_closing_tags_are_cut_one_by_one():
    answer, thought = split_reasoning("so\n</think>\n" * 3000 + "The answer is 4.")
    assert answer == "The answer is 4." and thought.count("so") == 3000


@pytest.mark.parametrize(
    "piece",
    ["</think>", "<think>", "<think></think>", "x </think> y ", "\n<think>\n</think>", "<answer>", "`</think>`", "```\n</think>\n", "<|channel|>",
     "[/THINK]", "<think>a</think><answer>", " "],
)  # fmt: skip
def test_any_number_of_tags_is_split_in_linear_time(piece):
    """Ten thousand of each; a quadratic way, or one level of recursion for each, would not come to an end here."""
    text = piece * 10_000
    answer, thought = split_reasoning(text)
    assert len(answer) + len(thought) <= 2 * len(text)
