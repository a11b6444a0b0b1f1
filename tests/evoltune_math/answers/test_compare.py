"""Two answers are compared as a mathematician would; each option of the policy changes what it says it changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evoltune_math import check


def _groups() -> Iterator[tuple[str, list[tuple[str, str, bool]]]]:
    files = sorted(Path(__file__).parent.glob("forms*.txt"))
    for group in (g for file in files for g in file.read_text(encoding="utf-8").split("\n## ")[1:]):
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
        ("decimal_digits", True, 0, "1.4142135623731", r"\sqrt2"),
        ("decimal_digits", False, 3, "1.41", r"\sqrt2"),
        ("decimal_digits", True, 11, "0.3333333333", r"\frac13"),
        ("percent", False, "either", r"50\%+x", "50+x"),
        ("units", True, "required", "438", "438 m"),
        ("units", False, "ignore", "5 kg", "5 m"),
        ("degrees", True, "required", "30, 150", r"30^\circ, 150^\circ"),
        ("lists", True, "ordered", "x=2 or x=1", "1, 2"),
        ("assignment", True, "required", r"(-\infty,1)\cup(2,\infty)", r"x=(-\infty,1)\cup(2,\infty)"),
        ("assignment", True, "required", "2x", "f(x) = 2x"),
        ("variables", False, "ignore", "y = 5", "x = 5"),
        ("variables", False, "ignore", "y<1 or y>2", r"x=(-\infty,1)\cup(2,\infty)"),
        ("intervals", True, "strict", "x<1 or x>2", r"(-\infty,1)\cup(2,\infty)"),
        ("vectors", True, "strict", "((1,2),(3,4))", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
        ("constant", False, "optional", r"\sin x + 1", r"\sin x + C"),
        ("approximation", True, "exact", "3.14", r"\pi \approx 3.14"),
        ("choices", True, "letter", r"\text{increases}", r"(A) \text{increases}"),
        ("text", True, "exact", "Bob, Alice", "Alice and Bob"),
    ],
)
def test_a_policy_option_changes_its_verdict(
    option: str, default: bool, other: object, answer: str, reference: str
) -> None:
    for left, right in ((answer, reference), (reference, answer)):
        assert passes(left, right) is default
        assert passes(left, right, **{option: other}) is not default


@pytest.mark.parametrize(
    ("option", "value", "answer", "reference", "verdict"),
    [
        ("percent", "either", "60", r"50\%", False),
        ("percent", "either", r"5000\%", r"50\%", False),
        ("percent", "either", "0.5", r"50\%", True),
        ("units", "ignore", "5 km", "6 m", False),
        ("units", "required", "5 km", "5000 m", True),
        ("units", "required", "5 km", "5 m", False),
        ("units", "required", "438 m", "438 m", True),
        ("degrees", "required", r"\frac{\pi}{2}", r"90^\circ", True),
        ("degrees", "required", r"\frac{\pi}{3}", r"90^\circ", False),
        ("degrees", "required", r"90^\circ", r"90^\circ", True),
        ("degrees", "required", r"91^\circ", r"90^\circ", False),
        ("degrees", "required", "1.5707963267948966", r"90^\circ", False),
        ("lists", "ordered", "1, 2", "1, 2", True),
        ("lists", "ordered", "1, 2", "1, 2, 3", False),
        ("lists", "ordered", r"\{1,2\}", r"\{2,1\}", True),
        ("lists", "ordered", "(1,2)", "(2,1)", False),
        ("assignment", "required", "x = 5", "x = 5", True),
        ("assignment", "required", "x > 5", r"x \in (5, \infty)", True),
        ("assignment", "required", "x<1 or x>2", r"x=(-\infty,1)\cup(2,\infty)", True),
        ("assignment", "required", "y<1 or y>2", r"x=(-\infty,1)\cup(2,\infty)", False),
        ("assignment", "required", "2x - y + 1 = 0", "y = 2x + 1", True),
        ("variables", "ignore", "y = 6", "x = 5", False),
        ("variables", "ignore", "y > 4", "x > 3", False),
        ("variables", "ignore", "x = 2y", "y = 2x + 1", False),
        ("intervals", "strict", "(1,2)", "(1, 2)", True),
        ("intervals", "strict", "1 < x < 2", "x > 1 and x < 2", True),
        ("intervals", "strict", r"(1,2)\cup(3,4)", r"(3,4)\cup(1,2)", True),
        ("vectors", "strict", r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1\\2\end{bmatrix}", True),
        ("vectors", "strict", "(1,2)", r"\langle 1,2\rangle", True),
        ("constant", "optional", "x^3", "x^2 + C", False),
        ("constant", "optional", "x^2 + K", "x^2 + C", True),
        ("constant", "optional", "5", "C", False),
        ("constant", "optional", "5", "5 + C", False),
        ("approximation", "exact", r"\frac13", r"\frac13 \approx 0.33", True),
        ("approximation", "exact", "0.34", r"\frac13 \approx 0.33", False),
        ("choices", "letter", "A", "(A) 12", True),
        ("choices", "letter", "(A) 12", "(A) 12", True),
        ("choices", "letter", "B", "(A) 12", False),
        ("text", "exact", "no  solution", "no solution", True),
        ("decimal_digits", 0, "0.5", r"\frac12", True),
        ("decimal_digits", 3, "0.335", r"\frac13", False),
        ("decimal_digits", 3, "0.33", r"\frac13", False),
        ("decimal_digits", 3, "3.14", r"\pi", True),
        ("decimal_digits", 3, "3.16", r"\pi", False),
    ],
)  # fmt: skip
def test_a_policy_option_changes_nothing_else(
    option: str, value: object, answer: str, reference: str, verdict: bool
) -> None:
    assert passes(answer, reference, **{option: value}) is verdict
    assert passes(reference, answer, **{option: value}) is verdict
