"""Two answers are compared as a mathematician would; each option of the policy changes what it says it changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evoltune_math import check


def _groups() -> Iterator[tuple[str, list[tuple[str, str, bool]]]]:
    text = Path(__file__).with_name("forms.txt").read_text(encoding="utf-8")
    for group in text.split("\n## ")[1:]:
        name, *lines = filter(None, group.split("\n"))
        pairs = []
        for line in lines:
            left, equal, right = line.partition(" == ")
            if not equal:
                left, _, right = line.partition(" != ")
            pairs.append((left, right, bool(equal)))
        yield name, pairs


FORMS = dict(_groups())


def passes(answer: str, reference: str, **policy: object) -> bool:
    return check(answer, reference, policy).status == "pass"


@pytest.mark.parametrize("group", FORMS)
def test_each_pair_of_forms_is_judged_right_in_both_directions(group: str) -> None:
    assert len(FORMS[group]) > 20
    wrong = [
        f"{answer!r} against {reference!r} must {'pass' if equal else 'fail'}"
        for left, right, equal in FORMS[group]
        for answer, reference in ((left, right), (right, left))
        if passes(answer, reference) is not equal
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("option", "default", "other", "answer", "reference"),
    [
        ("percent", False, "either", "50", r"50\%"),
        ("units", False, "ignore", "5 km", "5 m"),
        ("units", True, "required", "5", "5 cm"),
        ("degrees", True, "required", "90", r"90^\circ"),
        ("lists", True, "ordered", "2, 1", "1, 2"),
        ("assignment", True, "required", "5", "x = 5"),
        ("variables", False, "ignore", "y > 3", "x > 3"),
        ("intervals", True, "strict", "1 < x < 2", "(1,2)"),
        ("vectors", True, "strict", "(1,2)", r"\begin{pmatrix}1\\2\end{pmatrix}"),
        ("constant", False, "optional", "x^2", "x^2 + C"),
        ("approximation", True, "exact", "0.33", r"\frac13 \approx 0.33"),
        ("choices", True, "letter", "12", "(A) 12"),
        ("text", True, "exact", "Even.", "even"),
        ("decimal_digits", True, 0, "0.333333333333", r"\frac13"),
        ("decimal_digits", False, 3, "0.333", r"\frac13"),
    ],
)
def test_a_policy_option_changes_its_verdict(
    option: str, default: bool, other: object, answer: str, reference: str
) -> None:
    assert passes(answer, reference) is default
    assert passes(answer, reference, **{option: other}) is not default
