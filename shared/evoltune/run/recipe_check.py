"""What can be checked of a recipe without data and without a server: names of policies, operators, suites and profiles, and
addresses. `evoltune recipes check` runs it."""

from evoltune.domain import load_domain, policy_of
from evoltune.errors import RecipeError, nearest
from evoltune.evaluate.suites import judging_domain
from evoltune.evolve.loop import operators_of
from evoltune.recipe import Recipe
from evoltune.teacher.dialects import chat_url


def check_recipe(recipe: Recipe) -> None:
    """Raises the first error: DomainError or RecipeError."""
    domain = load_domain(recipe.domain)
    policy_of(domain, recipe.verify.policy)
    if recipe.evolve.operators:
        operators_of(recipe, domain)
    if recipe.evolve.stop_on:
        judging_domain(recipe.evolve.stop_on, recipe.domain)
    for suite in recipe.eval.suites:
        known = load_domain(judging_domain(suite, recipe.domain)).profiles
        named = [("eval.profile", recipe.eval.profile), *(("eval.beside", name) for name in recipe.eval.beside)]
        for key, name in named:
            if name and name not in known:
                raise RecipeError(f"{key}: suite {suite!r} has no profile {name!r}: {nearest(name, known)}")
    for i, endpoint in enumerate(recipe.teacher.endpoints):
        chat_url(endpoint.url, f"teacher.endpoints.{i}")
    if recipe.eval.endpoint:
        chat_url(recipe.eval.endpoint, "eval.endpoint")
