"""A tiny policy, and a task that random text solves half of the time: answers in which letters of the first half prevail."""

import json
import sys

import pytest
from extras import needs

from evoltune.recipe import load_recipe

DOMAIN = '''
"""A domain whose answers pass when they hold at least as many characters below `T` as above."""
from evoltune.domain import Domain
from evoltune.record import Record, Task, Verdict

def verify(task, candidate, context):
    low = sum(c < "T" for c in candidate)
    return Verdict(status="pass" if 2 * low >= len(candidate) else "fail")

domain = Domain(
    name="halves", verify=verify, operators=(), extract=lambda task, response: response or " ",
    seeds=lambda: [Record(domain="halves", task=Task(instruction="Say something.", reference="x"))],
)
'''
OVERRIDES = (
    "eval.suites=[]", "train.precision=fp32", "train.max_length=256", "compute.hang_timeout_s=240", "verify.workers=1",
    "rl.max_completion_length=8", "rl.num_generations=4", "rl.prompts_per_step=2", "rl.per_device_train_batch_size=8",
    "rl.learning_rate=1e-2", "rl.max_steps=6", "rl.save_steps=2", "rl.eval_steps=3", "rl.held_out=0.3", "rl.max_kl=0",
    "rl.max_length_growth=0",
)  # fmt: skip


@pytest.fixture(scope="session")
def halves(tmp_path_factory):
    """The path of the domain's package."""
    folder = tmp_path_factory.mktemp("domain") / "halves_domain"
    folder.mkdir()
    (folder / "__init__.py").write_text(DOMAIN)
    yield folder
    sys.modules.pop("halves_domain", None)


@pytest.fixture(scope="session")
def rl_recipe(tiny_base, halves):
    return lambda *more: load_recipe(
        "smoke/math", [f"domain={halves}", f"train.model_name_or_path={tiny_base}", *OVERRIDES, *more]
    )


@pytest.fixture(scope="session")
def prompts(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    rows = [{"prompt": [{"role": "user", "content": f"Say {i}."}], "reference": "x"} for i in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """Of the same prompts; in a good answer letters of the first half prevail."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [
        {"id": f"{i}.0", "prompt": [{"role": "user", "content": f"Say {i}."}],
         "chosen": [{"role": "assistant", "content": "ABAB"}], "rejected": [{"role": "assistant", "content": "zyzyzy"}],
         "origin": "sampled", "cut": i % 2 == 0}
        for i in range(40)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def policy(tiny_base, tiny_rows, adapter, made_once):
    """policy(kind): a checkpoint of SFT, `lora` or `full`."""
    needs("trl", reason="TRL is not installed (pip install evoltune[rl]): no policy was trained")
    from evoltune.train.launch import train

    full = ["train.precision=fp32", "train.max_steps=1", "train.finetuning_type=full", "train.max_length=256"]
    recipe = load_recipe("smoke/math", [f"train.model_name_or_path={tiny_base}", "eval.suites=[]", *full])

    def of(kind: str):
        return (
            adapter
            if kind == "lora"
            else made_once("policy-full", lambda out: train(recipe, tiny_rows, out, suites={}))
        )

    return of
