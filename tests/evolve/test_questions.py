"""How the teacher's judgements are read."""

import pytest

from evoltune.evolve.questions import says_equal


@pytest.mark.parametrize(
    ("reply", "equal"),
    [("Equal", True), ("equal.", True), ("**Equal**", True), ("Not equal", False), ("They are not equal", False), ("NOT EQUAL.", False),
     ("They aren't equal", False), ("Unequal", False), ("", False), ("I cannot say", False)],
)  # fmt: skip
def test_only_a_clear_equal_drops_a_child(reply, equal):
    assert says_equal(reply) is equal
