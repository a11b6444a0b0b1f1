"""The elimination rules of the general domain."""

import pytest

from evoltune.record import Task
from evoltune_general import domain


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("CANNOT JOIN", "no fusion"),
        ("Cannot join.", "no fusion"),
        ("Write an ode.\nAnswer: O rose", "answers itself"),
        ("Sort the names in the following list:", "announced data are missing"),
        ("Explain what this Python program prints:\n", "announced data are missing"),
        ("Sort the names in the following list: Bo, Al", None),
        ("Join the tables a and b with SQL and explain why you cannot join without a key.", None),
        ('Say why: "the answer is no"', None),
    ],
)
def test_rewrites_that_cannot_be_answered_are_eliminated(instruction, reason):
    found = [rule(Task(instruction="Write."), Task(instruction=instruction), None) for rule in domain.eliminators]
    assert [f for f in found if f] == ([reason] if reason else [])


def test_no_seed_is_eliminated_by_our_own_rules():
    assert not [
        s.task.name for s in domain.seeds() for rule in domain.eliminators if rule(None, s.task, s.answers[0].text)
    ]
