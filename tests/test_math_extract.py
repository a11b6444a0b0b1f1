"""The final answer of a response is found as a reader would find it, and how it was found is said."""

from __future__ import annotations

import pytest

from evoltune.record import Task
from evoltune_math import domain
from evoltune_math.extract import find

CASES = [
    (r"We get $x=3$, hence the result is $\boxed{(2,7)}$.", "(2,7)", "boxed"),
    (r"\boxed{\frac{1}{\sqrt{2}}} is it", r"\frac{1}{\sqrt{2}}", "boxed"),
    (r"First guess $\boxed{99}$, but that is wrong. The correct one is $\boxed{7}$.", "7", "boxed"),
    (r"$\boxed{2}, \boxed{3}$ and $\boxed{5}$", "2, 3, 5", "boxed"),
    (r"It is $\boxed{28}\%$.", r"28\%", "boxed"),
    (r"\boxed{7", "7", "boxed"),
    (r"So $\boxed 5$", "5", "boxed"),
    ("<think>maybe \\boxed{17}</think> The answer is 4", "4", "phrase"),
    ("Some work.\n#### 1,234", "1,234", "hashes"),
    ("It takes <<2+1=3>>3 bolts\nA: 3", "3", "phrase"),
    ("Final Answer: The final answer is $(-6, 10)$. I hope it is correct.", "$(-6, 10)$", "phrase"),
    ("The answer is 8677.", "8677", "phrase"),
    ("**Answer:** 3/4", "3/4", "phrase"),
    ("Answer \\[ 9 \\]", "9", "phrase"),
    ("Reasoning ... <answer> 12 </answer>", "12", "tagged"),
    ("答案是5", "5", "phrase"),
    ("La réponse est 5.", "5", "phrase"),
    ("Die Antwort lautet 5.", "5", "phrase"),
    ("Ответ: 5", "5", "phrase"),
    ("Therefore $x \\geq 5$ is the solution.", "x \\geq 5", "formula"),
    ("After all that had happened there were 12 of them left in the room", "12", "number"),
    ("3/4", "3/4", "bare"),
    ("no solution", "no solution", "bare"),
    (r"x = 5 \text{ or } x = 6", r"x = 5 \text{ or } x = 6", "bare"),
]


@pytest.mark.parametrize(("response", "answer", "method"), CASES)
def test_the_final_answer_is_found(response: str, answer: str, method: str) -> None:
    found = find(response)
    assert found is not None
    assert found.text.strip("\\[] ") == answer.strip("\\[] ")
    assert found.method == method


@pytest.mark.parametrize("response", ["", "   ", "\n\n", "<think>", "\\boxed{}"])
def test_a_response_without_an_answer_gives_none_or_no_value(response: str) -> None:
    found = find(response)
    assert found is None or found.text == response.strip()


def test_a_long_response_that_never_answers_has_no_answer() -> None:
    assert find("We think about it.\n" * 40) is None


def test_a_truncated_response_is_not_given_its_last_number_twice() -> None:
    found = find("First we add 3 and 4 to get 7.\n\nThen we multiply that by 6, which is")
    assert found is None or found.method == "number"


def test_the_domain_extracts_the_same() -> None:
    assert domain.extract(Task(instruction="?"), r"so \boxed{5}") == "5"
