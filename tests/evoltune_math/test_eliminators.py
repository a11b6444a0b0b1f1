"""Rewrites that are no problem, or that contain their solution, are eliminated."""

import pytest

from evoltune.record import Task
from evoltune_math.eliminators import ELIMINATORS


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("CANNOT JOIN", "no fusion"),
        ("How many is 3 + 4?\n#### 7", "comes solved"),
        ("How many is 3 + 4?\nAnswer: 7", "comes solved"),
        ("Tom has 3 pens and buys 4. How many pens has he? (Answer: 7)", "comes solved"),
        ("Tom has 3 pens and buys 4. Solution: 3 + 4 = 7. How many pens has he?", "comes solved"),
        ("I have made the problem harder by adding 2 conditions.", "asks nothing"),
        ("What would you like to know about maths?", "no quantity"),
        ("Tom has eighteen pens and gives a third away. How many are left?", None),
        (r"Evaluate $\int_0^1 x\,dx$.", None),
    ],
)
def test_rewrites_that_are_no_problem_are_eliminated(instruction, reason):
    found = {rule(None, Task(instruction=instruction), None) for rule in ELIMINATORS} - {None}
    assert (reason in found) if reason else not found
