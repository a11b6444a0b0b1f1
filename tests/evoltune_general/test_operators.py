"""The operators of the general domain and their prompts."""

from collections import Counter
from importlib.resources import files

import pytest

from evoltune.domain import load_domain
from evoltune_general import domain
from evoltune_general.operators import FORMS, prompt


def test_the_domain_is_found_by_its_name():
    assert load_domain("general") is domain


def test_operators_are_those_of_the_paper():
    kinds = Counter(o.kind for o in domain.operators)
    assert kinds == {"depth": 4 + len(FORMS), "breadth": 1, "fuse": 1}
    chances = {o.name: o.weight for o in domain.operators}
    assert sum(chances[f"complicate_{form}"] for form in FORMS) == pytest.approx(chances["deepen"])


def test_operator_templates_have_only_their_slots():
    for operator in domain.operators:
        assert operator.template.count("{instruction}") == 1
        assert operator.template.count("{other}") == (operator.kind == "fuse")
        assert "{form}" not in operator.template and "{example}" not in operator.template


def test_every_prompt_gives_its_reason_and_sends_only_the_rest():
    prompts = list((files("evoltune_general") / "prompts").iterdir())
    assert len(prompts) >= 5
    for path in prompts:
        reason = path.read_text(encoding="utf-8").splitlines()[0]
        assert reason.startswith("# ") and len(reason) > 40
        assert reason not in prompt(path.name.removesuffix(".txt"))
