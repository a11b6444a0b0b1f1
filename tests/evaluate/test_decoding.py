"""How a model is asked: prompt, template and sampling settings."""

from __future__ import annotations

import pytest

from evoltune.domain import Profile
from evoltune.errors import RecipeError
from evoltune.evaluate.decoding import prompt_of, settings_of
from evoltune.generate.types import ModelSource
from evoltune.recipe import Recipe
from evoltune.record import Task


def test_the_profile_decides_decoding_and_the_recipe_may_choose_over_it(recipe):
    weights = ModelSource(model="m", fingerprint="w")
    profile = Profile(version=1, decoding={"n": 4, "temperature": 0.2, "top_p": 0.95, "max_tokens": 99, "stop": ["X"]})
    plain = settings_of(Recipe(domain="math"), profile, "m", weights, baseline=False)
    assert (plain.n, plain.temperature, plain.top_p, plain.max_new_tokens, plain.stops) == (4, 0.2, 0.95, 99, ("X",))
    chosen = recipe(n=2, temperature=0.8, stops=("Y",), baseline_max_new_tokens=7)
    over = settings_of(chosen, profile, "m", weights, baseline=False)
    assert (over.n, over.temperature, over.max_new_tokens, over.stops, over.template) == (
        2,
        0.8,
        12,
        ("X", "Y"),
        "alpaca",
    )
    base = settings_of(chosen, profile, "m", weights, baseline=True)
    assert (base.template, base.max_new_tokens) == ("chat", 7)
    same = settings_of(recipe(baseline_template="same"), profile, "m", weights, baseline=True)
    assert same.template == "alpaca"
    raw = settings_of(chosen, Profile(version=1, prompt="{instruction}"), "m", weights, baseline=True)
    assert (raw.template, raw.prompt, raw.system) == ("raw", "{instruction}", "")


def test_several_greedy_samples_are_refused(recipe):
    with pytest.raises(RecipeError, match="would all be the same"):
        settings_of(recipe(n=5), Profile(version=1), "m", ModelSource(model="m"), baseline=False)


def test_a_prompt_is_filled_in_one_pass():
    fields = {"entry_point": "f", "template": "t"}
    task = Task(instruction="use {entry_point}", fields=fields)
    profile = Profile(version=1, prompt="Q: {instruction} / {entry_point} {template} {x}")
    assert prompt_of(profile, task) == "Q: use {entry_point} / f t {x}"
    assert prompt_of(Profile(version=1, render=lambda t: t.instruction.upper()), task) == "USE {ENTRY_POINT}"
