"""The prompts of the maths operators, and the domain that carries them."""

from collections import Counter
from dataclasses import replace
from importlib.resources import files
from itertools import islice

import pytest
from towns import grown, recipe

from evoltune.domain import Context, load_domain
from evoltune_math.operators import ANSWER_PROMPT, EVIDENCE, OPERATORS, REASONING, prompt


def test_every_prompt_gives_its_reason_and_sends_only_the_rest():
    prompts = list((files("evoltune_math") / "prompts").iterdir())
    assert len(prompts) >= 5
    for path in prompts:
        reason = path.read_text(encoding="utf-8").splitlines()[0]
        assert reason.startswith("# ") and len(reason) > 40
        assert reason not in prompt(path.name.removesuffix(".txt")) and "{instruction}" in prompt(
            path.name.removesuffix(".txt")
        )


def test_operators_go_up_and_down_and_fuse():
    assert Counter(o.kind for o in OPERATORS if o.weight) == {"depth": 3, "down": 2, "fuse": 1}
    assert all(("{other}" in o.template) == (o.kind == "fuse") for o in OPERATORS if o.rewrite is None)
    assert "####" in ANSWER_PROMPT and set(EVIDENCE) == {"program", "check"}


def test_the_domain_has_all_operators_and_suites_and_passes_its_own_seeds():
    domain = load_domain("math")
    context = Context(run=lambda job: pytest.fail("no program here"), policy=domain.policy)
    assert {o.name for o in domain.operators} >= {"constraints", "concretize", "deepen", "easier", "easier_new"}
    assert set(domain.benchmarks) >= {"gsm8k", "gsm-hard", "svamp", "math", "math-500", "gradeschool-heldout"}
    for seed in list(domain.seeds())[::10]:
        candidate = domain.extract(seed.task, seed.answers[0].text)
        assert domain.verify(seed.task, candidate, context).status == "pass"
        assert not [rule for rule in domain.eliminators if rule(None, seed.task, None)]


def test_children_of_functions_name_the_kind_of_reasoning_that_the_operator_asks_for(tmp_path):
    domain = load_domain("math")
    drawn = [replace(o, weight=1.0) for o in OPERATORS if o.name in ("renumber", "invert", "extend", "chain")]
    few = replace(domain, seeds=lambda: islice(domain.seeds(), 12), operators=tuple(drawn))
    rows, _, teacher = grown(
        tmp_path, recipe(domain="math", rounds=2, variants=2, fuse_after=2, equal_check=False), few
    )
    kinds = {
        name: {row["task"]["fields"].get("reasoning") for row in rows if row["operator"] == name} for name in REASONING
    }
    assert kinds["invert"] == {"backward"} and kinds["extend"] == {"multi-step"} and kinds["chain"] == {"compositional"}
    assert teacher.asked == []
