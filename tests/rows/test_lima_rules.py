"""LIMA's rules for answers: forums' and Super-NaturalInstructions'."""

import pytest

from evoltune.rows.lima_rules import NATURAL_INSTRUCTIONS, objection

KETTLE = "The kettle boils water. " * 60


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("short", "too short"),
        (KETTLE * 4, "too long"),
        (KETTLE + "I would wait.", "first person"),
        (KETTLE + "In my view it is fine.", "first person"),
        (KETTLE + "As mentioned above, wait.", "refers to other answers"),
        (KETTLE + "The accepted answer is wrong.", "refers to other answers"),
        (KETTLE + "See https://example.com/x", "markup left"),
        (KETTLE + "<p>x", "markup left"),
        (KETTLE, ""),
        (KETTLE + "```\nI = my_list  # as mentioned above\n```", ""),
        (KETTLE + 'He says "I am here".', ""),
        (KETTLE + "World War I ended.", "first person"),  # a numeral: refused too, pools are large
    ],
)
def test_limas_rules_refuse_by_name_and_leave_code_and_quotations_alone(answer, why):
    assert objection(answer) == why


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("The bridge closes at noon so that its cables can be inspected.", ""),
        ('"Leave the gate open," said the miller, and left.', ""),
        ("1. Rinse the rice. 2. Boil it for ten minutes.", ""),
        ("Positive", "fewer than 5 words"),
        ("Notes on a Quiet Harbour", "no whole sentence"),
        ("the bridge closes at noon so that cables can be inspected.", "no whole sentence"),
        ("The bridge , which is old , closes at noon .", "spaces before punctuation"),
        ("The bridge does n't open before noon.", "spaces before punctuation"),
        ("I close the bridge at noon, every single day.", "first person"),
        ("The bridge closes at noon. See https://example.com/x for more.", "markup left"),
        ("The bridge closes. " * 300, "too long"),
    ],
)
def test_answers_to_published_tasks_may_be_short_and_must_be_sentences(answer, why):
    assert objection(answer, NATURAL_INSTRUCTIONS) == why
