"""A recipe: typed YAML in, frozen sections out; strict, with file, line, key path and the nearest known name.

    recipe = load_recipe("smoke/math", overrides=["train.max_steps=10"])

`extends:` inherits from another recipe (mappings merge, everything else replaces); `a.b=c` overrides. Loads no torch.
Invariant: a recipe that loads has no unknown key and no value of the wrong type; its `fingerprint` names its content.
"""

from evoltune.recipe.load import dump_recipe, find_recipe, load_recipe, recipes_root, shipped
from evoltune.recipe.sections import (
    Budget,
    Compute,
    Count,
    Curate,
    Endpoint,
    Eval,
    Evolve,
    Positive,
    Price,
    Recipe,
    Sandbox,
    Section,
    Seeds,
    Source,
    Teacher,
    Train,
    Verification,
    fingerprint,
)

__all__ = [
    "Budget",
    "Compute",
    "Count",
    "Curate",
    "Endpoint",
    "Eval",
    "Evolve",
    "Positive",
    "Price",
    "Recipe",
    "Sandbox",
    "Section",
    "Seeds",
    "Source",
    "Teacher",
    "Train",
    "Verification",
    "dump_recipe",
    "find_recipe",
    "fingerprint",
    "load_recipe",
    "recipes_root",
    "shipped",
]
