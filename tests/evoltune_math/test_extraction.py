"""The final answer of a response is found where a reader would find it, and `method` says how."""

from __future__ import annotations

import pytest

from evoltune.record import Task
from evoltune_math import domain
from evoltune_math.extraction import find
from evoltune_math.verification import same_answer

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


RESPONSES = [
    ("Let me think.\n\nStep 1: 2+2=4.\n\n### Final Answer\n\n**42**","42"),
    ("Work.\n\n**Final Answer**\n\n\\[ \\boxed{\\frac{3}{4}} \\]","0.75"),
    ("Work.\n\n**Final Answer:** The train travels 60 miles.","60"),
    ("Work.\n\nAnswer: The train travels 60 miles.","60"),
    ("So we get 12.\n\nThus, the probability is $\\frac{1}{4}$.","1/4"),
    ("Compute.\n∴ x = 5","5"),
    ("First, 3 + 4 = 7. Then 7 * 6 = 42. She has 42 apples.","42"),
    ("First, 3 + 4 = 7.\nThen 7 * 6 = 42.\nShe has 42 apples left.","42"),
    ("Janet sells 16 - 3 - 4 = 9 duck eggs a day.\nShe makes 9 * 2 = $18 every day at the farmer's market.\n#### 18","18"),
    ("The total cost is $18.","18"),
    ("The total cost is \\$18.50.","18.5"),
    ("The answer is $18.","18"),
    ("The answer is $18","18"),
    ("The answer is 18 dollars per week.","18"),
    ("The answer is: $x = 3$ or $x = -2$.","3, -2"),
    ("The solutions are $x = 3$ and $x = -2$.","-2, 3"),
    ("Hence the interval is $[2, 5)$.","2 \\le x < 5"),
    ("We have $a=1$, $b=2$. So $a+b = 1+2 = 3$. ","3"),
    ("The remainder is 4.","4"),
    ("It follows that $n = 12$ is the smallest such integer.","12"),
    ("Therefore, there are $\\boxed{12}$ ways.","12"),
    ("Therefore, there are 12 ways.","12"),
    ("We conclude that the correct choice is **B**.","B"),
    ("The correct answer is (B) 12.","B"),
    ("The correct answer is **B) 12**.","B"),
    ("Answer: B","B"),
    ("Final answer: (C)","C"),
    ("So the answer is $\\textbf{(C)}\\ 12$.","C"),
    ("$\\boxed{\\textbf{(C)}\\ 12}$","C"),
    ("The answer is option D.","D"),
    ("I think the answer is D because the others are wrong.","D"),
    ("Thus, $f(x) = 2x + 1$.","2x+1"),
    ("So $\\sin x = \\frac{1}{2}$, giving $x = \\frac{\\pi}{6}$.","\\frac{\\pi}{6}"),
    ("```python\nprint(5)\n```\nThe output is 5.","5"),
    ("The area equals\n\\[\nA = \\frac{1}{2}bh = \\frac12 \\cdot 6 \\cdot 4 = 12.\n\\]","12"),
    ("The area equals\n$$\nA = 12\\text{ cm}^2.\n$$","12"),
    ("The answer is \\(\\frac{1}{2}\\).","0.5"),
    ("The answer is \\[\\frac{1}{2}.\\]","0.5"),
    ("**Answer**: \\( 3\\sqrt{2} \\)","\\sqrt{18}"),
    ("Answer:\n\n$$\\frac{7}{2}$$","3.5"),
    ("The final answer is $\\boxed{5}$. I hope it is correct.","5"),
    ("Final Answer: The final answer is $\\frac{1}{3}$. I hope it is correct.","1/3"),
    ("<think>Let me see \\boxed{3}</think>\n\nThe result is \\boxed{4}.","4"),
    ("So the final answer is \\boxed{x=1, y=2}.","(1,2)"),
    ("\\boxed{A}: because 5 > 3.","A"),
    ("Total = 5 × 3 = 15","15"),
    ("= 15","15"),
    ("x = 2 or x = 3. Both satisfy the equation.","2,3"),
    ("The answer is yes.","Yes"),
    ("No, it is not possible.","No"),
    ("Yes, the series converges.","Yes"),
    ("There is no solution.","no solution"),
    ("The equation has no real solutions.","no solution"),
    ("The limit does not exist.","DNE"),
    ("The answer is approximately 3.14.","3.14"),
    ("So John needs 3 1/2 hours.","3.5"),
    ("The price increased by 25%.","25\\%"),
    ("The ratio is 3:4.","3:4"),
    ("The coordinates are (3, 4).","(3,4)"),
    ("The vertex is at (3, -4).","(3,-4)"),
    ("The equation of the line is y = 2x + 3.","y=2x+3"),
    ("The equation of the line is $y = 2x + 3$.","y=2x+3"),
    ("The prime factorization is 2^3 * 3.","24"),
    ("所以答案是 $\\boxed{7}$。","7"),
    ("因此，答案为7。","7"),
    ("Por lo tanto, la respuesta es 7.","7"),
    ("Donc la réponse est 7.","7"),
    ("Also ist die Antwort 7.","7"),
    ("So the answer is 1,234,567.","1234567"),
    ("The answer is 3.50.","3.5"),
    ("The answer is -5.","-5"),
    ("The answer is −5.","-5"),
    ("The answer is 2/3 cups.","2/3"),
    ("The answer is 5! = 120.","120"),
    ("The answer is $5! = 120$.","120"),
    ("ANSWER: 17\n","17"),
    ("Answer = 17","17"),
    ("Ans: 17","17"),
    ("Ans. 17","17"),
    ("Result: 17","17"),
    ("Solution: x = 17","17"),
    ("Therefore the answer to the question is 17.","17"),
    ("**17**","17"),
    ("The value is **17**.","17"),
    ("So, 17 is the answer.","17"),
    ("17 is the final answer.","17"),
    ("$17$ is the answer.","17"),
    ("The answer: 17 (since 8+9=17).","17"),
    ("The answer is 17, which is prime.","17"),
    ("The answer is 17 because 8 + 9 = 17.","17"),
    ("The answer is 17 since 10 + 7 = 17.","17"),
]  # fmt: skip
WRONG = [
    ("The answer is 18.", "19"), ("\\boxed{5} is wrong. The answer is \\boxed{6}.", "5"), ("First 5 then 6.\n#### 7", "6"),
    ("The answer is (B).", "C"), ("x=2 or x=3", "2"), ("No, it is not possible.", "Yes"), ("We get 3. But the final answer is 4.", "3"),
]  # fmt: skip


def _passes(response: str, reference: str) -> bool:
    candidate = domain.extract(Task(instruction="?"), response)
    return candidate is not None and same_answer(candidate, reference)[0]


def test_right_responses_pass() -> None:
    assert [pair for pair in RESPONSES if not _passes(*pair)] == []


def test_wrong_responses_do_not_pass_by_a_number_that_they_mention() -> None:
    assert [pair for pair in WRONG if _passes(*pair)] == []


def test_signs_alone_are_no_formula_and_no_box() -> None:
    found = find(r"width $=$ height $=\operatorname{depth}=10"), find(r"\boxed... hence 5")
    assert [f.text for f in found if f is not None] == ["10", "5"]
