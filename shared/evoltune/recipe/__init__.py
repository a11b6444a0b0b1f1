"""Recipes: typed, frozen sections read from YAML; errors name file, line, key path and the nearest known name.

    recipe = load_recipe("smoke/math", overrides=["train.max_steps=10"])

`extends:` inherits from another recipe (mappings are merged, everything else is replaced); `a.b=c` overrides. A recipe that
loads has no unknown key and no value of the wrong type; its `fingerprint` names its content.
"""

from evoltune.recipe.base import Section
from evoltune.recipe.evolution import Evolve, Optimise, PassRate
from evoltune.recipe.judging import System
from evoltune.recipe.load import dump_recipe, find_recipe, load_recipe, make_recipe, shipped
from evoltune.recipe.reinforcement import RL, InstructionReward, Reward, StepReward
from evoltune.recipe.sections import (
    Budget,
    Compute,
    Curate,
    Endpoint,
    Eval,
    Judge,
    Price,
    Recipe,
    Sandbox,
    Seeds,
    Source,
    Teacher,
    Train,
    Verification,
    fingerprint,
)

__all__ = [
    "RL", "Budget", "Compute", "Curate", "Endpoint", "Eval", "Evolve", "InstructionReward", "Judge", "Optimise", "PassRate", "Price", "Recipe", "Reward",
    "Sandbox", "Section", "Seeds", "Source", "StepReward", "System", "Teacher", "Train", "Verification", "dump_recipe", "find_recipe",
    "fingerprint", "load_recipe", "make_recipe", "shipped",
]  # fmt: skip
