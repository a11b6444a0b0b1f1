"""Arguments that several verbs share: a recipe with overrides, and where its run lives."""

from __future__ import annotations

import argparse
from pathlib import Path

from evoltune.pipeline import default_folder
from evoltune.recipe import Recipe, load_recipe


def add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="recipe file, or a shipped name such as smoke/math")
    parser.add_argument(
        "overrides", nargs="*", metavar="key.path=value", help="e.g. train.learning_rate=1e-5"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="run directory (default: runs/NAME)")


def recipe_of(args: argparse.Namespace) -> tuple[Recipe, Path]:
    """The checked recipe and its run directory."""
    recipe = load_recipe(args.recipe, args.overrides)
    return recipe, args.out or default_folder(recipe)
