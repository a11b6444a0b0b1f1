"""The exact check of a solution's steps."""

import gzip
import json
import os
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.record import Task
from evoltune_math.steps import check_steps, route

DATA = Path(os.environ.get("EVOLTUNE_DATA", "no such folder")) / "gsm8k_model_solutions"
ANY = Task(instruction="Tom has 20 pens at $3, 48 cups, 520 nuts, 350 and 4.2 and 9.45 and 1.35.")


@pytest.mark.parametrize(
    "step",
    [
        "20 * 3 = 60", "He pays 20 x $3 = $60.", "<<20*3=60>>60", "So 20*3=<<20*3=60>>60 dollars", "20 × 3 = 60", r"\(20 \times 3 = 60\)",
        r"$\frac{1}{2} \cdot 20 = 10$", "48 ÷ 20 = 2.4", "50% of 20 = 10", "1/2 of 20 = 10", "20 + 3 = 23 = 23", "20 * 3 = 60 + 3 = 63",
        "4.2+9.45+1.35=<<4.2+9.45+1.35=14.999999999999998>>15", "20 / 3 = 6.67", "20/3 = 6.66", "Step 2: 20 - 3 = 17", "2. 20 - 3 = 17",
        "520 * 20 = 10,400", "20 - 3 = 17 and 48 - 20 = 28", "20^2 = 400",
    ],
)  # fmt: skip
def test_right_arithmetic_is_true(step: str):
    assert check_steps(ANY, [step]) == (True,)


@pytest.mark.parametrize(
    "step",
    [
        "20 * 3 = 61", "He pays 20 x $3 = $63.", "<<20*3=61>>61", "20*3=<<20*3=60>>61", r"\(20 \times 3 = 62\)", "50% of 20 = 11",
        "20 / 3 = 6.7777", "48 / 20 = 2.5", "20 - 3 = 17 and 48 - 20 = 29", "520 * 20 = 10,401", "20 * 3 = 60 + 3 = 64",
    ],
)  # fmt: skip
def test_wrong_arithmetic_is_false(step: str):
    assert check_steps(ANY, [step]) == (False,)


@pytest.mark.parametrize(
    "step",
    [
        "Let us think.", "x + 3 = 20", "2x = 20", "half of 20 + 3 = 13", "the sum of 3 and 20 * 2 = 46", "0.25 * 100 = 25%", "20 - 50% = 10",
        "twice 20 - 3 = 37", "7 / 2 = 3", "total - 3 = 17", "3 * 4 = 12 dozen", "f(3) = 20", "20 ≈ 19", "3 hundred + 4 = 304",
        "3 * 350 000 = 1 050 000", "3 + 20 = 23x", "1 = 1", "=", "= 20", "2 ^ = 3", "3:20 = 4", "3 * 17 = 51",
    ],
)  # fmt: skip
def test_what_cannot_be_read_for_sure_is_none(step: str):
    assert check_steps(ANY, [step]) == (None,)


def test_a_value_is_carried_over_and_one_from_nowhere_is_not_vouched_for():
    assert check_steps(ANY, ["20 * 3 = 60", "60 + 17 = 77"]) == (True, None)
    assert check_steps(ANY, ["20 * 3 = 60", "60 - 20 = 40", "#### 40"]) == (True, True, True)
    assert check_steps(ANY, ["20 * 3 = 60", "#### 61"]) == (True, None)
    assert check_steps(ANY, ["#### 61"]) == (None,)


NUMBER = st.one_of(st.integers(0, 10**6).map(Fraction), st.decimals(0, 999, places=2).map(Fraction))


def decimal(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.4f}".rstrip("0")


@given(
    NUMBER, st.sampled_from("+-*"), NUMBER, st.integers(2, 999), st.sampled_from(["{}", "She gets {} now", "<<{}>>"])
)
def test_exact_results_are_true_and_shifted_ones_false(a: Fraction, sign: str, b: Fraction, by: int, frame: str):
    result = {"+": a + b, "-": a - b, "*": a * b}[sign]
    task = Task(instruction=f"{decimal(a)} and {decimal(b)}")
    left = f"{decimal(a)} {sign} {decimal(b)}"
    right = decimal(result)
    assert check_steps(task, [frame.format(f"{left} = {right}").replace(" = ", "=" if "<<" in frame else " = ")]) == (
        True,
    )
    wrong = decimal(result + by)
    if result + by not in (100 * result, result / 100):
        found = check_steps(task, [frame.format(f"{left} = {wrong}").replace(" = ", "=" if "<<" in frame else " = ")])
        assert found == (False,)


@given(st.lists(st.text("0123456789+-*/=().,%$ xof<>^\\{}\n", max_size=40), max_size=4))
def test_every_step_gets_one_verdict_whatever_it_holds(steps: list[str]):
    assert len(check_steps(ANY, steps)) == len(steps)


@pytest.mark.skipif(not DATA.is_dir(), reason="EVOLTUNE_DATA names no folder of suites: no real solutions were checked")
def test_of_real_solutions_only_wrong_equations_are_called_wrong():
    with gzip.open(DATA / "openai_gpt3_solutions.jsonl.gz") as file:
        rows = [json.loads(line) for line in file]
    names = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    gold_flagged, flagged = 0, {True: [0, 0], False: [0, 0]}
    for row in rows:
        for solution in (row[name] for name in names):
            steps = [step for step in solution["solution"].split("\n") if step.strip()]
            is_flagged = False in check_steps(Task(instruction=row["question"]), steps)
            flagged[solution["is_correct"]][0] += is_flagged
            flagged[solution["is_correct"]][1] += 1
        gold_flagged += False in check_steps(Task(instruction=row["question"]), row["ground_truth"].split("\n"))
    # The few among right answers do state a wrong equation (0.5 - 0.4 = 0.5), and end at the right number.
    assert gold_flagged <= 1  # a slip of the key: 32 - 20 = 300
    assert flagged[True][0] <= 6 < 30 < flagged[False][0]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("3 * 4 = 12, and 12 + 5 = 17.", "First 4 x 3 = 12. Then we add: 5 + 12 = 17.", True),
        ("<<3*4=12>>12 then <<12+5=17>>17", "So $3 \\times 4 = 12$ and $12 + 5 = 17$.", True),
        ("12 + 5 = 17 after 3 * 4 = 12", "3 * 4 = 12, and 12 + 5 = 17.", True),
        ("3 * 4 + 5 = 17", "3 * 4 = 12, and 12 + 5 = 17.", False),
        ("20 - 3 = 17", "3 * 4 = 12, and 12 + 5 = 17.", False),
        ("The answer is 17.", "It is 17, clearly.", True),
        ("", "words", True),
    ],
)
def test_a_route_is_what_is_computed_and_not_how_it_is_worded(one, other, is_same):
    assert (route(ANY, one) == route(ANY, other)) is is_same
