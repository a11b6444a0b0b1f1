"""Published forms of process-reward data, in rows of their real layout."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.errors import DataError
from evoltune.train.reward.formats import (
    from_math_shepherd,
    from_prm800k,
    from_processbench,
    read_solutions,
    to_math_shepherd,
    to_prm800k,
    to_processbench,
    write_solutions,
)
from evoltune.train.reward.steps import Label, Solution, hard_labels

WORDS = st.text("abc 0123456789=*", min_size=1).map(str.strip).filter(bool)


def values(solution: Solution) -> list[float | None]:
    return [label.value for label in solution.labels]


def test_prm800k_follows_the_labellers_path_to_the_step_that_ended_it():
    def completion(text: str, rating: int | None) -> dict:
        return {"text": text, "rating": rating, "flagged": False}

    row = {
        "labeler": "e90a", "timestamp": "2022-07-17T16:56:51", "generation": None, "is_quality_control_question": False,
        "question": {"problem": "How many?", "ground_truth_answer": "7"},
        "label": {
            "steps": [
                {"completions": [completion("bad", -1), completion("good", 1)], "human_completion": None, "chosen_completion": 1},
                {"completions": [completion("wrong", -1)], "human_completion": {"text": "mine", "rating": None}, "chosen_completion": None},
                {"completions": [completion("so so", 0)], "human_completion": None, "chosen_completion": 0},
                {"completions": [completion("no", -1)], "human_completion": None, "chosen_completion": None},
            ],
            "total_time": 9, "finish_reason": "found_error",
        },
    }  # fmt: skip
    solution = from_prm800k(row)
    assert solution.steps == ("good", "mine", "so so", "no") and values(solution) == [1.0, 1.0, 1.0, 0.0]
    assert solution.extra == {"reference": "7"} and solution.first_error == 3


def test_math_shepherd_has_a_mark_after_each_step_and_a_sign_there():
    question = "Ducks lay 16 eggs. How many are left?"
    row = {
        "input": f"{question} Step 1: 16 - 3 = 13. ки\nStep 2: 13 - 4 = 8. The answer is: 8 ки",
        "label": f"{question} Step 1: 16 - 3 = 13. +\nStep 2: 13 - 4 = 8. The answer is: 8 -",
        "task": "GSM8K",
    }
    solution = from_math_shepherd(row)
    assert solution.prompt == question and values(solution) == [1.0, 0.0]
    assert solution.steps == ("Step 1: 16 - 3 = 13.", "Step 2: 13 - 4 = 8. The answer is: 8")
    assert to_math_shepherd(solution) == row


def test_a_plus_or_minus_at_a_lines_end_of_math_shepherd_is_the_texts_own():
    text = "Is y = x -\n3 above 2 +\n1? Step 1: y = x -\n3 {0}\nStep 2: no {1} \n"
    row = {"input": text.format("ки", "ки"), "label": text.format("+", "-"), "task": "MATH"}
    solution = from_math_shepherd(row)
    assert solution.prompt == "Is y = x -\n3 above 2 +\n1?" and solution.steps == ("Step 1: y = x -\n3", "Step 2: no")
    assert values(solution) == [1.0, 0.0] and from_math_shepherd(to_math_shepherd(solution)).steps == solution.steps
    for changed in (
        {"label": text.format("+", "*")},
        {"label": text.format("+", "-") + "More"},
        {"input": text.format("ки", "")},
    ):
        with pytest.raises(DataError, match="not a row of Math-Shepherd"):
            from_math_shepherd({**row, **changed})


def test_processbench_names_the_first_wrong_step():
    row = {
        "id": "gsm8k-0", "generator": "Qwen2-7B-Instruct", "problem": "Sue lives ...", "steps": ["To find", "So", "Thus"],
        "final_answer_correct": False, "label": 1,
    }  # fmt: skip
    solution = from_processbench(row)
    assert values(solution) == [1.0, 0.0, None] and to_processbench(solution) == row
    assert values(from_processbench({**row, "label": -1})) == [1.0, 1.0, 1.0]
    with pytest.raises(DataError, match="label 3"):
        from_processbench({**row, "label": 3}, "r")


@given(st.lists(WORDS, min_size=1, max_size=6), st.integers(-1, 5))
def test_every_form_gives_back_hard_labels(texts: list[str], error: int):
    error = min(error, len(texts) - 1)
    steps = tuple(f"Step {i}: {text}" for i, text in enumerate(texts, 1))
    labels = hard_labels(len(steps), first_error=error, method="judge")
    solution = Solution(prompt="How many", steps=steps, labels=labels, name="a")
    for read, write in ((from_prm800k, to_prm800k), (from_processbench, to_processbench)):
        again = read(json.loads(json.dumps(write(solution))))
        assert (again.prompt, again.steps, values(again)) == (solution.prompt, steps, values(solution))
    if error in (-1, len(steps) - 1):  # it has no way to leave a step without a label
        again = from_math_shepherd(to_math_shepherd(solution))
        assert (again.prompt, again.steps, values(again)) == (solution.prompt, steps, values(solution))


@pytest.mark.parametrize("form", ["prm800k", "math-shepherd", "processbench"])
def test_soft_labels_are_refused_where_they_would_be_rounded(tmp_path, form: str):
    soft = Solution(prompt="p", steps=("Step 1: a",), labels=(Label(value=0.875),), name="row 4")
    with pytest.raises(DataError, match="row 4: form"):
        write_solutions(tmp_path / "out.jsonl", [soft], form)
    assert not (tmp_path / "out.jsonl").exists()


def test_a_file_is_read_in_the_form_that_its_fields_show(tmp_path):
    solution = Solution(
        prompt="p", steps=("Step 1: a",), labels=hard_labels(1, first_error=0, method="judge"), name="x"
    )
    for form in ("steps", "prm800k", "math-shepherd", "processbench"):
        assert write_solutions(tmp_path / f"{form}.jsonl", [solution] * 2, form) == 2
        found = list(read_solutions(tmp_path / f"{form}.jsonl"))
        assert [(s.prompt, s.steps, values(s)) for s in found] == [("p", solution.steps, [0.0])] * 2
    (tmp_path / "other.jsonl").write_text('{"question": "a", "answer": "b"}\n')
    with pytest.raises(DataError, match=r"other.jsonl:1: fields question, answer"):
        list(read_solutions(tmp_path / "other.jsonl"))
