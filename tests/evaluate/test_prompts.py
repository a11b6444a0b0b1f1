"""A prompt at evaluation that training never saw is refused, unless the recipe allows it."""

from __future__ import annotations

import pytest

from evoltune.cli import main
from evoltune.domain import Profile
from evoltune.errors import RecipeError
from evoltune.evaluate.prompts import refuse_other_prompt
from evoltune.models.template import ALPACA, FORMATS
from evoltune.recipe import Eval, shipped

OWN = Profile(version=1, prompt=ALPACA.preamble + ALPACA.turn)
RAW = Profile(version=1, prompt="{instruction}")


@pytest.mark.parametrize("template", ["chat", *FORMATS])
def test_only_the_text_of_training_may_be_asked(template: str) -> None:
    refuse_other_prompt("p", Profile(version=1), template, Eval())  # the model's own template
    same = template in ("alpaca", "wizardcoder")
    for profile, allowed in ((OWN, same), (RAW, False)):
        refuse_other_prompt("p", profile, template, Eval(other_prompt=True))
        if allowed:
            refuse_other_prompt("p", profile, template, Eval())
            with pytest.raises(RecipeError, match="prompt at evaluation differs from training"):
                refuse_other_prompt("p", profile, template, Eval(), system="Be brief.")
        else:
            with pytest.raises(
                RecipeError, match=r"eval\.profile: p has a prompt of its own.*eval\.other_prompt: true"
            ):
                refuse_other_prompt("p", profile, template, Eval())


def test_every_shipped_recipe_asks_as_it_trains(capsys, tmp_path) -> None:
    assert main(["recipes", "check", *(name for name in shipped() if not name.startswith("base/"))]) == 0
    other = tmp_path / "r.yaml"
    other.write_text("extends: code/wizardcoder-starcoder-1b\ntrain: {template: chat}\n")
    assert main(["recipes", "check", str(other)]) == 2
    assert "prompt at evaluation differs from training" in capsys.readouterr().err
