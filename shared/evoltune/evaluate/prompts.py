"""The prompt of an evaluation against the one of training: a score under another prompt is a score of another model.

refuse_other_prompt("code/wizardcoder-greedy@1", profile, "chat", recipe.eval)    # RecipeError
"""

from evoltune.domain import Profile
from evoltune.errors import RecipeError
from evoltune.models.template import render_prompt
from evoltune.recipe import Eval
from evoltune.text.prompts import fill_slots

DECODING_KEYS = ("n", "temperature", "top_p", "repetition_penalty", "max_tokens", "stop")
"""What `Profile.decoding` may hold."""
_PROBE = "Add 2 and 3.\n\nShow {each} step."


def refuse_other_prompt(label: str, profile: Profile, template: str, chosen: Eval, system: str = "") -> None:
    """Raises RecipeError where the profile's own prompt differs from the template that a model was trained with, unless
    `eval.other_prompt` allows it. A profile without a prompt uses the model's template."""
    if profile.prompt is None or chosen.other_prompt:
        return
    asked = fill_slots(profile.prompt, instruction=_PROBE)
    if template != "chat" and asked == render_prompt(template, _PROBE, system):
        return
    raise RecipeError(
        f"eval.profile: {label} has a prompt of its own ({profile.prompt[:50]!r} ...), and the model is trained with "
        f"train.template: {template}: prompt at evaluation differs from training: choose a profile without a prompt of its own "
        "(`evoltune profiles` lists them), or set eval.other_prompt: true"
    )
