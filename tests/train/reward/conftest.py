"""A tiny base, and rows that a reward model can learn from it: sums that are right, or wrong in one step."""

import json

import pytest
from extras import needs

from evoltune.recipe import load_recipe

OVERRIDES = (
    "eval.suites=[]", "train.max_length=192", "train.per_device_train_batch_size=8", "train.learning_rate=3e-3",
    "train.warmup_steps=2", "train.precision=fp32", "train.finetuning_type=full", "train.max_steps=12", "compute.hang_timeout_s=120",
    "reward.steps.validation=0.25", "reward.instructions.validation=0.25",
)  # fmt: skip


@pytest.fixture(scope="session")
def reward_recipe(tiny_base):
    return lambda *more: load_recipe("smoke/math", [f"train.model_name_or_path={tiny_base}", *OVERRIDES, *more])


@pytest.fixture(scope="session")
def step_rows(tmp_path_factory):
    """48 solutions of three steps; every other one says BAD in one of them, which a byte-level model can learn to see."""
    path = tmp_path_factory.mktemp("steps") / "steps.jsonl"
    rows = []
    for i in range(48):
        wrong = i % 3 if i % 2 else -1
        steps = [f"step {n}: {'BAD' if n == wrong else 'good'}" for n in range(3)]
        labels = [1.0 if wrong < 0 or n < wrong else 0.0 if n == wrong else None for n in range(3)]
        rows.append({"prompt": f"Task {i}?", "completions": steps, "labels": labels})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def pair_rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [{"chosen": f"Work out {i} + {i}, please.", "rejected": f"{i} XXXX"} for i in range(48)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def step_model(reward_recipe, step_rows, made_once):
    return made_once("step-model", lambda out: _trained(reward_recipe("train.max_steps=60"), "steps", step_rows, out))


@pytest.fixture(scope="session")
def instruction_model(reward_recipe, pair_rows, made_once):
    recipe = reward_recipe("train.max_steps=30")
    return made_once("instruction-model", lambda out: _trained(recipe, "instructions", pair_rows, out))


def _trained(recipe, kind, rows, out):
    needs("torch")
    from evoltune.train.reward.launch import train_reward_model

    train_reward_model(recipe, kind, rows=rows, out=out, start=None)
