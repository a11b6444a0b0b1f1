"""LIMA's rules for answers."""

import pytest

from evoltune.curate.select.lima_rules import objection

LONG = "The kettle boils water. " * 60


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("short", "too short"),
        (LONG * 4, "too long"),
        (LONG + "I would wait.", "first person"),
        (LONG + "In my view it is fine.", "first person"),
        (LONG + "As mentioned above, wait.", "refers to other answers"),
        (LONG + "The accepted answer is wrong.", "refers to other answers"),
        (LONG + "See https://example.com/x", "markup left"),
        (LONG + "<p>x", "markup left"),
        (LONG, ""),
        (LONG + "```\nI = my_list  # as mentioned above\n```", ""),
        (LONG + 'He says "I am here".', ""),
        (LONG + "World War I ended.", "first person"),  # a numeral: refused too, pools are large
    ],
)
def test_limas_rules_refuse_by_name_and_leave_code_and_quotations_alone(answer, why):
    assert objection(answer) == why
