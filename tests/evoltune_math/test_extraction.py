"""The final answer of a response is found where a reader would find it, and `method` says how.

responses.jsonl has responses with the `answer` that is found and the `method`, or with a reference that the answer `equals`
or from which it `differs`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evoltune.record import Task
from evoltune_math import domain
from evoltune_math.answers.reading.cleanup import shorten_blanks
from evoltune_math.extraction import Found, find
from evoltune_math.references import stated_reference
from evoltune_math.verification import same_answer

ROWS = [
    json.loads(line) for line in Path(__file__).with_name("responses.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("blanks", ["\n" * 12_000, " " * 12_000, "\r\n" * 6_000, " \n" * 6_000])
def test_blanks_by_the_thousand_are_few_before_anything_is_searched(blanks):
    assert len(shorten_blanks(f"24{blanks}Question")) < 20
    assert domain.extract(Task(instruction="?"), f"The answer is 24.{blanks}") == "24"


def _passes(response: str, reference: str) -> bool:
    candidate = domain.extract(Task(instruction="?"), response)
    return candidate is not None and same_answer(candidate, reference)[0]


@pytest.mark.parametrize(
    "row", [r for r in ROWS if "method" in r], ids=lambda row: f"{row['method']} {row['answer'][:20]}"
)
def test_the_final_answer_is_found_by_the_right_method(row: dict[str, str]) -> None:
    found = find(row["response"])
    assert found is not None
    assert found.text.strip("\\[] ") == row["answer"].strip("\\[] ")
    assert found.method == row["method"]


def test_right_responses_pass() -> None:
    right = [(r["response"], r["equals"]) for r in ROWS if "equals" in r]
    assert len(right) > 90
    assert [pair for pair in right if not _passes(*pair)] == []


def test_wrong_responses_do_not_pass_by_a_number_that_they_mention() -> None:
    wrong = [(r["response"], r["differs"]) for r in ROWS if "differs" in r]
    assert len(wrong) > 6
    assert [pair for pair in wrong if _passes(*pair)] == []


def test_signs_alone_are_no_formula_and_no_box() -> None:
    found = find(r"width $=$ height $=\operatorname{depth}=10"), find(r"\boxed... hence 5")
    assert [f.text for f in found if f is not None] == ["10", "5"]


@pytest.mark.parametrize(
    "response", ["", "   ", "\n\n", "We think about it.\n" * 40, "<think>", "<think>So \\boxed{4}."]
)
def test_a_response_that_never_answers_has_no_answer(response: str) -> None:
    assert find(response) is None


def test_an_empty_box_is_taken_as_it_is() -> None:
    assert find("\\boxed{}") == Found("\\boxed{}", "bare")


def test_the_marks_of_a_family_round_the_answer_are_a_box() -> None:
    response = (
        "5 or 4? <|begin_of_box|>5<|end_of_box|> No: the answer is <|begin_of_box|>4<|end_of_box|>, as 2 + 2 = 4."
    )
    assert find(response) == Found("4", "tagged")


@pytest.mark.parametrize(
    "mark", ["<|im_end|>", "<|eot_id|>", "</s>", "<|end|>", "<end_of_turn>", "<|EOT|>", "[|endofturn|]"]
)
def test_what_follows_an_end_mark_is_no_answer(mark: str) -> None:
    assert find(f"The answer is \\boxed{{4}}.{mark}\nNext: \\boxed{{5}}") == Found("4", "boxed")


def test_a_truncated_response_states_no_number() -> None:
    response = "First we add 3 and 4 to get 7.\n\nThen we multiply that by 6, which is"
    assert find(response) == Found("no value: Then we multiply that by 6, which is", "prose")
    assert find("The answer is 42. To check this, we add 3 to the") == Found("42", "phrase")


@pytest.mark.parametrize(
    ("solution", "stated"),
    [
        ("He has 3 + 4 = <<3+4=7>>7 apples.\n#### 7", "7"),
        ("It costs 1,200 dollars.\n#### 1,200", "1,200"),
        (r"We add: $1+1=2$. So the answer is $\boxed{2}$.", "2"),
        (r"Hence $\boxed{\frac{1}{2}}$ and $\boxed{3}$", r"\frac{1}{2}, 3"),
        ("We get 5.\nThe answer is: 5", "5"),
        ("We get 5.\nFinal answer: 5", "5"),
        ("Think. <answer>4</answer>", "4"),
        ("It is 5 apples in all.", None),
        ("x = 5", None),
        ("The answer is not easy to find.", None),
        ("", None),
        ("####", None),
    ],
)
def test_a_worked_solution_states_its_reference_or_it_is_not_guessed(solution, stated):
    assert stated_reference(solution) == stated
