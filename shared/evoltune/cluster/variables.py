"""The environment variables that a recipe sets for its trainers (`compute.env`).

    compute: {env: {WANDB_API_KEY: "${MY_WANDB_KEY}", HF_HOME: "${SCRATCH}/hub", NCCL_DEBUG: WARN}}
    chosen_variables(recipe)     # {"WANDB_API_KEY": "7f3...", "HF_HOME": "/scratch/ada/hub", "NCCL_DEBUG": "WARN"}

The recipe that is kept with a run holds `${NAME}` as it stands, and `***` in place of a secret that was written into it.
"""

import os

from evoltune.errors import RecipeError
from evoltune.recipe import Recipe
from evoltune.text.credentials import cuts_in, expand, is_secret_variable


def chosen_variables(recipe: Recipe) -> dict[str, str]:
    """The variables with their values. Raises RecipeError where a `${NAME}` is not set, or a value was cut out and this
    environment does not have the variable."""
    chosen, missing = {}, []
    for name, value in recipe.compute.env.items():
        if not any(cuts_in(value, "compute.env", "secret")):
            chosen[name] = expand(value, f"compute.env.{name}", is_secret=is_secret_variable(name))
        elif name not in os.environ:
            missing.append(name)
    if missing:
        raise RecipeError(
            f"compute.env: {', '.join(sorted(missing))}: cut out when the recipe was kept: set it in the environment"
        )
    return chosen


def written_variables(recipe: Recipe) -> dict[str, str]:
    """Those that may be written into a script: neither secrets nor what is taken from the environment, which sbatch passes on."""
    variables = recipe.compute.env.items()
    return {name: value for name, value in variables if "${" not in value and not is_secret_variable(name)}
