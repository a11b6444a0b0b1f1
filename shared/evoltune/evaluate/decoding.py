"""How a model is asked: the prompt of a problem, the template, and the sampling settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evoltune.domain import Profile
from evoltune.errors import DataError, RecipeError
from evoltune.generate.types import GenerationSettings, ModelSource
from evoltune.models.proof import read_template
from evoltune.recipe import Recipe
from evoltune.record import Task
from evoltune.text.prompts import fill_slots

DECODING_KEYS = ("n", "temperature", "top_p", "repetition_penalty", "max_tokens", "stop")


def prompt_of(profile: Profile, task: Task) -> str:
    """The profile's format string filled with the task's instruction and text fields, in one pass."""
    instruction = profile.render(task) if profile.render else task.instruction
    if profile.prompt is None:
        return instruction
    texts = {k: v for k, v in task.fields.items() if isinstance(v, str)}
    return fill_slots(profile.prompt, **{**texts, "instruction": instruction})


def settings_of(
    recipe: Recipe, profile: Profile, model: str, source: ModelSource, *, baseline: bool
) -> GenerationSettings:
    """The profile's decoding with the recipe's choices over it, and the template of this model.

    Args:
        baseline: the model is the base, with `eval.baseline_template` and `eval.baseline_max_new_tokens`.

    Raises:
        DataError: the profile has unknown decoding keys.
        RecipeError: several samples at temperature 0, which would all be equal.
    """
    chosen = recipe.eval
    decoding: Mapping[str, Any] = profile.decoding
    unknown = set(decoding) - set(DECODING_KEYS)
    if unknown:
        raise DataError(f"profile decoding has unknown keys {sorted(unknown)}: allowed: {', '.join(DECODING_KEYS)}")
    length = (baseline and chosen.baseline_max_new_tokens) or chosen.max_new_tokens
    temperature = decoding.get("temperature", 0.0) if chosen.temperature is None else chosen.temperature
    n = chosen.n or int(decoding.get("n", 1))
    if n > 1 and temperature == 0:
        raise RecipeError(f"eval.n: {n} samples at temperature 0 would all be the same: set eval.temperature above 0")
    template, system = ("raw", "") if profile.prompt is not None else _template(recipe, source, baseline=baseline)
    return GenerationSettings(
        model=model, weights=source.fingerprint, template=template, prompt=profile.prompt, system=system,
        n=n, temperature=float(temperature), top_p=float(chosen.top_p or decoding.get("top_p", 1.0)),
        repetition_penalty=float(decoding.get("repetition_penalty", 1.0)),
        max_new_tokens=int(length or decoding.get("max_tokens", 512)),
        stops=(*decoding.get("stop", ()), *chosen.stops), seed=recipe.seed, engine=chosen.engine,
    )  # fmt: skip


def _template(recipe: Recipe, source: ModelSource, *, baseline: bool) -> tuple[str, str]:
    """(template, system prompt): the base's own chat template, else what the checkpoint was trained with, else the recipe's."""
    if baseline and recipe.eval.baseline_template == "chat":
        return "chat", ""
    trained = read_template(Path(source.checkpoint)) if source.checkpoint else None
    if trained:
        return trained.template, trained.system_prompt
    return recipe.train.template, recipe.train.system_prompt
