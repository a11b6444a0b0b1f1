"""Prompt templates are read without their comment, and their slots are filled in one pass."""

from hypothesis import given
from hypothesis import strategies as st

from evoltune.text.prompts import fill_slots, read_prompt


def test_slots_inside_a_value_are_text():
    assert fill_slots("{a} {b}", a="{b}", b="x") == "{b} x"


def test_braces_of_latex_and_json_and_unknown_slots_stay():
    template = '{"x": {instruction}, "y": \\frac{1}{2}, "z": {other}}'
    assert fill_slots(template, instruction="1") == '{"x": 1, "y": \\frac{1}{2}, "z": {other}}'


@given(st.text(), st.text())
def test_every_value_appears_unchanged(a, b):
    assert fill_slots("<{a}|{b}>", a=a, b=b) == f"<{a}|{b}>"


def test_a_prompt_is_read_without_the_comment_that_explains_it():
    text = read_prompt("evoltune.evolve", "equal")
    assert text.startswith("Compare two instructions") and text.endswith("Equal, Not equal.")
