"""The dev suite: it is never a reported suite, not even nearly, and gives one score."""

import pytest

from evoltune.errors import RecipeError
from evoltune.recipe import load_recipe
from evoltune.record import Task
from evoltune.run.dev_suite import dev_recipe, dev_score, refuse_overlap, refuse_reported

REPORTED = {
    "suite": [
        Task(instruction="Write a function that returns the sum of all even numbers in a list of integers.", name="e1")
    ]
}


def test_a_dev_task_that_nearly_is_a_reported_one_is_refused():
    near = Task(
        instruction="Write a function that returns the sum of all even numbers in a list of numbers.", name="d1"
    )
    with pytest.raises(RecipeError, match=r"'d1' and 'e1'.*choose a dev set that is not reported"):
        refuse_overlap("dev", [near], REPORTED)


def test_a_dev_task_of_its_own_is_accepted():
    other = Task(instruction="Reverse the words of a sentence without changing their letters.", name="d1")
    refuse_overlap("dev", [other], REPORTED)


def test_a_reported_suite_cannot_be_the_dev_suite():
    recipe = load_recipe("smoke/math", ["eval.suites=[gsm8k]"])
    with pytest.raises(RecipeError, match=r"evolve\.stop_on: 'gsm8k' is also one of eval\.suites"):
        refuse_reported("evolve.stop_on", "gsm8k", recipe)
    refuse_reported("evolve.stop_on", "svamp", recipe)


def test_the_dev_recipe_measures_the_dev_suite_alone():
    recipe = dev_recipe(load_recipe("smoke/math", ["eval.suites=[gsm8k]", "eval.limit=7"]), "svamp")
    assert (recipe.eval.suites, recipe.eval.baseline, recipe.eval.limit) == (("svamp",), False, 7)


def test_the_dev_score_is_the_first_measure():
    measures = {"pass@1": {"value": 0.25, "interval": [0, 1]}, "maj@4": {"value": 0.5, "interval": [0, 1]}}
    assert dev_score({"suites": {"svamp": {"measures": measures, "n": 4}}}) == 0.25


def test_a_dev_suite_that_nothing_judged_chooses_nothing():
    with pytest.raises(RecipeError, match="dev suite 'lima': nothing to judge by: it cannot choose"):
        dev_score({"suites": {"lima": {"measures": {}, "not_judged": "nothing to judge by"}}})
