"""Planted errors: a right solution and its twin with one wrong number."""

import json
import random
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.domain import load_domain
from evoltune.errors import RecipeError
from evoltune.pipeline import run
from evoltune.recipe import load_recipe
from evoltune.record import Task
from evoltune.run.run import Run
from evoltune.train.reward.labelling import checked
from evoltune.train.reward.planting import plant
from evoltune.train.reward.stage import check_rewards, dataset_solutions, planted_twins
from evoltune.train.reward.steps import PLANTED, Solution, hard_labels, split_steps

MATH = load_domain("math")
SEEDS = [
    json.loads(line)
    for line in (files("evoltune_math") / "seeds" / "gradeschool_seeds.jsonl").read_text(encoding="utf-8").splitlines()
]


def solution_of(seed):
    steps, separator = split_steps(seed["answer"])
    return Solution(
        prompt=seed["instruction"], steps=steps, separator=separator,
        labels=hard_labels(len(steps), first_error=-1, method="verdict"),
    )  # fmt: skip


@given(st.sampled_from(SEEDS), st.integers())
def test_a_twin_differs_in_one_step_which_the_check_refuses(seed, draw):
    task, right = Task(instruction=seed["instruction"]), solution_of(seed)
    twin = plant(MATH, task, right, random.Random(draw))
    assert twin == plant(MATH, task, right, random.Random(draw))
    assert twin is not None, "these solutions are equations"
    (place,) = (i for i, (a, b) in enumerate(zip(twin.steps, right.steps, strict=True)) if a != b)
    values = [label.value for label in checked(MATH, task, twin.steps)]
    assert values[place] == 0.0 and 0.0 not in values[:place]
    assert twin.first_error == place and twin.labels == hard_labels(len(right.steps), first_error=place, method=PLANTED)


def test_nothing_is_planted_where_the_check_sees_no_equation():
    steps = ("He has some pens.", "So there are a few.")
    words = Solution(prompt="How many?", steps=steps, labels=hard_labels(2, first_error=-1, method="verdict"))
    assert plant(MATH, Task(instruction="How many?"), words, random.Random(0)) is None
    assert planted_twins(MATH, [words], 3, seed=0) == []


def test_only_right_solutions_have_twins_and_the_same_seed_gives_the_same():
    right, other = solution_of(SEEDS[0]), solution_of(SEEDS[1])
    wrong = Solution(prompt="?", steps=("1 + 1 = 3",), labels=hard_labels(1, first_error=0, method="check"))
    twins = planted_twins(MATH, [right, wrong, other], 2, seed=4)
    assert {twin.prompt for twin in twins} == {right.prompt, other.prompt} and len(twins) <= 4
    again = planted_twins(MATH, [other, right], 2, seed=4)  # also in another order
    assert sorted(twin.text for twin in again) == sorted(twin.text for twin in twins)


def test_a_domain_without_a_check_of_steps_is_refused_at_the_start(tmp_path):
    recipe = load_recipe("smoke/code", ["reward.steps={labels: verdict, planted: 1}"])
    with pytest.raises(RecipeError, match=r"reward.steps.planted: 1: domain 'code' has no check of steps"):
        check_rewards(Run(recipe=recipe, folder=tmp_path))


def test_answers_of_the_dataset_are_right_solutions(tmp_path):
    recipe = load_recipe("smoke/math", ["evolve.chains=4", "eval.suites=[]", "seeds.limit=12", "verify.workers=1"])
    work = Run(recipe=recipe, folder=tmp_path / "run")
    run(recipe, work.folder, ("evolve", "verify", "build"))
    rows = [json.loads(line) for line in (work.dataset / "alpaca" / "train.jsonl").read_text().splitlines()]
    ids = {row["id"] for row in rows}
    found = dataset_solutions(work, ids)
    assert {s.text for s in found} == {row["output"] for row in rows} and len(found) == len(ids)
    assert all(s.first_error == -1 for s in found)
    assert len(dataset_solutions(work, set(list(ids)[:3]))) == 3
