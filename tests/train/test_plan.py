"""What a plan says about rows, steps, memory and the launch, before anything is loaded."""

from __future__ import annotations

import json

import pytest

from evoltune.errors import RecipeError
from evoltune.recipe import load_recipe
from evoltune.train.plan import describe, make_plan

ZERO3 = ("train.finetuning_type=full", "train.deepspeed=zero3", "compute.gpus_per_node=8")


def test_rows_and_steps_come_from_the_dataset_and_long_rows_are_counted(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"instruction": "q" * 36, "output": "a" * (36 if i else 3600)} for i in range(50)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    overrides = ["train.max_steps=-1", "train.num_train_epochs=2", "train.per_device_train_batch_size=8"]
    plan = make_plan(load_recipe("smoke/math", overrides), dataset=path)
    assert (plan.rows, plan.truncated) == (50, 1)
    assert plan.steps == 13  # 50 rows, 2 epochs, 8 rows a step


def test_accumulation_reaches_the_global_batch_and_an_impossible_one_is_refused():
    plan = make_plan(load_recipe("smoke/math", [*ZERO3, "train.global_batch_size=128"]))
    assert (plan.world, plan.micro_batch, plan.accumulation) == (8, 8, 2)
    with pytest.raises(RecipeError, match=r"global_batch_size: 100 is not a multiple of .* 8 x 8 ranks = 64"):
        make_plan(load_recipe("smoke/math", [*ZERO3, "train.global_batch_size=100"]))


def test_a_recipe_that_does_not_fit_is_said_with_what_would():
    recipe = load_recipe("code/wizardcoder-starcoder-15b")
    small, large = make_plan(recipe, gpu_gib=24), make_plan(recipe, gpu_gib=80)
    assert large.fits["zero3"] >= small.fits["zero3"] and large.fits["zero3"] >= 1
    assert small.fits["none"] == 0
    text = "\n".join(describe(small, "none"))
    assert "does not fit: micro-batch" in text and "<- this recipe" in text


def test_calls_and_rows_are_of_the_chains_that_grow_and_not_of_all_seeds():
    whole, few = (make_plan(load_recipe("smoke/math", [f"evolve.chains={n}", "evolve.rounds=2"])) for n in (0, 3))
    seeds = whole.rows // 3
    assert few.rows == seeds + 6
    assert few.calls * seeds == whole.calls * 3
    own = make_plan(load_recipe("smoke/math", ["train.dataset=rows.jsonl"]))  # starts at train
    assert own.calls == 0 and "teacher: none is asked" in describe(own, "none")


def test_chat_rows_and_packed_rows_are_counted_by_their_whole_text(tmp_path):
    path = tmp_path / "rows.jsonl"
    turns = [{"role": role, "content": "word " * 160} for role in ("system", "user", "assistant")]
    path.write_text("".join(json.dumps({"messages": turns}) + "\n" for _ in range(50)))
    settings = [
        "train.template=chat",
        "train.max_steps=-1",
        "train.num_train_epochs=1",
        "train.per_device_train_batch_size=1",
    ]
    plan = make_plan(load_recipe("smoke/math", [*settings, "train.max_length=512"]), dataset=path)
    assert (plan.rows, plan.truncated, plan.step_tokens, plan.packed) == (50, 50, 512, None)
    plan = make_plan(
        load_recipe("smoke/math", [*settings, "train.max_length=8192", "train.packing=true"]), dataset=path
    )
    assert plan.truncated == 0 and 5 <= plan.packed <= 6 and plan.steps == plan.packed


def test_lora_targets_are_planned_by_name_by_pattern_or_refused():
    trained = [
        make_plan(load_recipe("smoke/math", [f"train.lora_target_modules={targets!r}"])).trained
        for targets in ("q_proj", "q_proj,v_proj", ".*[.](q|v)_proj", ["q_proj", "v_proj"])
    ]
    assert trained[0] < trained[1] == trained[2] == trained[3]
    for targets in ("v_porj", ".*porj"):
        with pytest.raises(RecipeError, match="lora_target_modules: "):
            make_plan(load_recipe("smoke/math", [f"train.lora_target_modules={targets!r}"]))


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ("{protocol: scores}", "2 calls for each turn of an open problem (scores, 2 systems), and at most 108 a suite"),
        ("{protocol: grades, planted: 0, repeats: 0}", "2 calls for each turn of an open problem (grades, 2 systems), and at most 0 a suite"),
        (
            "{protocol: preference, baselines: [{name: a, answers: a.jsonl}, {name: b, answers: b.jsonl}]}",
            "6 calls for each turn of an open problem (preference, 4 systems)",
        ),
        ("{protocol: ranks, baselines: [{name: a, answers: a.jsonl}]}", "2 calls for each turn of an open problem (ranks, 3 systems)"),
    ],
)  # fmt: skip
def test_calls_to_the_judge_are_planned(judge, said):
    recipe = load_recipe(
        "general/wizardlm-llama-7b", [f"eval.judge={judge.replace('{', '{teacher: {kind: http}, ', 1)}"]
    )
    (line,) = (line for line in describe(make_plan(recipe), "zero3") if line.startswith("judge: "))
    assert said in line
    assert make_plan(load_recipe("general/wizardlm-llama-7b", ["eval.judge=null"])).judge == ""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            ["evolve.stop_on=dev"],
            "at most 6 to choose a round (evolve.stop_on)",
        ),  # four rounds, three of them after the first
        (["evolve.stop_on=dev", "evolve.stop_by=verify_rate"], None),
        (["train.max_steps=10", "train.save_steps=4"], "at most 4 to choose a checkpoint (train.dev_suite)"),  # 4 and 8
        (["train.max_steps=8", "train.save_steps=4"], "at most 2 to choose a checkpoint"),
        (
            ["evolve.stop_on=dev", "train.max_steps=100", "train.save_steps=4"],
            "at most 6 to choose a round (evolve.stop_on) and 16 to choose a checkpoint",  # two kept of each of four rounds
        ),
    ],
)
def test_calls_by_which_the_judge_chooses_are_planned(more, said):
    select = [] if said and "checkpoint" not in said else ["train.checkpoint_select=generations", "train.dev_suite=dev"]
    judge = "eval.judge={teacher: {kind: http}}"
    line = make_plan(load_recipe("general/wizardlm-llama-7b", [judge, *select, *more])).judge
    assert said in line if said else "choose" not in line
