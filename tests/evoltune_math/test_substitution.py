"""An answer is put into the equations that its task states."""

from __future__ import annotations

import pytest

from evoltune_math.substitution import solves


@pytest.mark.parametrize(
    ("instruction", "answer", "expected"),
    [
        ("Solve $x^2 - 5x + 6 = 0$.", "x = 2 or x = 3", True),
        ("Solve $x^2 - 5x + 6 = 0$.", "2", False),
        ("Solve $x^2 - 5x + 6 = 0$.", "2, 4", False),
        ("Solve the system $x+y=3$ and $x-y=1$.", "(2,1)", True),
        ("Solve the system $x+y=3$ and $x-y=1$.", "x=1, y=2", False),
        ("Find all solutions of $x^2+1=0$.", r"\pm i", True),
        ("Solve $x^4 - 16 = 0$.", r"\pm 2, \pm 2i", True),
        ("Solve $2^x = 8$.", "3", None),  # it holds, but the number of solutions is unknown
        ("Solve $2^x = 8$.", "4", False),
        ("Find the positive root of $x^2 = 4$.", "2", None),
        ("How many apples are there?", "2", None),
        ("Solve $x + y = 3$.", "(1, 2)", None),
    ],
)
def test_substitution_says_yes_no_or_that_it_does_not_apply(
    instruction: str, answer: str, expected: bool | None
) -> None:
    assert solves(instruction, answer) is expected
