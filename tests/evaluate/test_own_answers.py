"""What is trained is what is scored: a recipe's own verified answers pass under the recipe's own scorer."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest

from evoltune.domain import load_domain
from evoltune.evaluate.suites import judging_domain
from evoltune.recipe import Verification, load_recipe, shipped
from evoltune.verification.checker import open_checker

RECIPES = [name for name in shipped() if name.startswith(("code/", "math/", "smoke/"))]
ROWS = {"math": 60, "code": 12}


def scorers(domain: str) -> dict[str, list[str]]:
    """The profiles that the recipes of a domain score by -> these recipes."""
    found: dict[str, list[str]] = {}
    for name in RECIPES:
        recipe = load_recipe(name)
        for suite in recipe.eval.suites if recipe.domain == domain else ():
            own = load_domain(judging_domain(suite, domain)).benchmarks[suite.rpartition("/")[2]]
            found.setdefault(recipe.eval.profile or own.profile, []).append(name)
    return found


@pytest.mark.parametrize("domain", ["math", "code"])
def test_a_recipes_own_verified_answers_pass_under_its_own_scorer(domain: str) -> None:
    seeds = islice((record for record in load_domain(domain).seeds() if record.answers), ROWS[domain])
    records = [replace(record, answers=record.answers[:1]) for record in seeds]
    profiles = scorers(domain)
    assert len(records) == ROWS[domain] and sum(map(len, profiles.values())) >= 6
    with open_checker(domain, Verification(workers=2)) as checker:
        for profile, recipes in profiles.items():
            judged = [record.answers[0].verdict for record in checker.with_profile(profile).verify(iter(records))]
            passed = sum(verdict is not None and verdict.status == "pass" for verdict in judged)
            assert passed >= 0.99 * len(records), f"{profile} of {recipes}: {passed} of {len(records)}"
