"""Reinforcement learning by TRL: trained, resumed, stopped."""

import json
import math
import subprocess
import sys
from statistics import fmean
from types import SimpleNamespace

import pytest
from extras import needs

import evoltune
from evoltune.errors import RecipeError, TrainingError
from evoltune.models.proof import read_template
from evoltune.recipe import load_recipe
from evoltune.rows.files import file_digest, read_json
from evoltune.train.job import Job, read_job
from evoltune.train.rl.launch import check_rl, train_policy

needs("trl", reason="TRL is not installed (pip install evoltune[rl]): RL was not run")

DPO = ("rl.algorithm=dpo", "rl.per_device_train_batch_size=2")
KILLED = """
import os, sys
from pathlib import Path
from evoltune.train.job import Watchdog, read_job
from evoltune.train.rl import callbacks, trainer
log, at = callbacks.GuardedRun.on_log, int(sys.argv[2])
def kill(self, args, state, control, **more):
    os.kill(os.getpid(), 9) if state.global_step == at else log(self, args, state, control, **more)
callbacks.GuardedRun.on_log = kill
job = read_job(Path(sys.argv[1]))
trainer.run(job, Watchdog(job))
"""


def lines_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def own_losses(job_file):
    """What the job's first policy loses on the chosen answer of each pair, in nats of a token."""
    from evoltune.models.load import load_tokenizer, prepare_tokenizer
    from evoltune.train.reward.likelihood import load_language_model, token_logs
    from evoltune.train.rl.dpo import read_pairs

    job = read_job(job_file)
    tokenizer = load_tokenizer(job.start)
    stop, _ = prepare_tokenizer(tokenizer, job.recipe.train.template)
    examples, _ = read_pairs(job, tokenizer, stop)
    model = load_language_model(job.base, job.start, len(tokenizer))
    return [-fmean(token_logs(model, e["prompt_ids"], [e["chosen_ids"]])[0]) for e in examples]


def test_an_adapter_is_trained_on_and_saved_in_the_form_that_sft_saves(rl_recipe, prompts, policy, tmp_path):
    start, out = policy("lora"), tmp_path / "rl"
    manifest = train_policy(rl_recipe(), prompts=prompts, start=start, out=out)
    assert manifest["steps"] == 6 and manifest["data"]["kept"] + len(lines_of(out)[0]["held_out"]) == 40
    assert {p.name for p in start.iterdir() if p.suffix in (".safetensors", ".json")} <= {p.name for p in out.iterdir()}
    assert read_template(out) == read_template(start)
    saved = [
        read_json(folder / "tokenizer_config.json")["eos_token"]
        for folder in (start, out, out / "steps" / "checkpoint-6")
    ]
    assert saved == ["</s>", "</s>", "<|im_end|>"]  # answers end where the template has them end
    assert file_digest(out / "adapter_model.safetensors") != file_digest(start / "adapter_model.safetensors")
    steps = [line for line in lines_of(out) if "reward" in line]
    assert [line["step"] for line in steps] == [1, 2, 3, 4, 5, 6]
    assert all({"reward", "kl", "length", "verifier", "unjudged"} <= line.keys() for line in steps)
    assert [line["step"] for line in lines_of(out) if "accuracy" in line] == [0, 3, 6]
    sampled = [json.loads(line) for line in (out / "sampled.jsonl").read_text().splitlines()]
    assert list(dict.fromkeys(row["step"] for row in sampled)) == [1, 3, 6] and len(sampled) <= 12
    for row in sampled:
        assert row["prompt"].startswith("Say ") and row["reward"] == row["verifier"] == float(row["status"] == "pass")
        assert not row.keys() & {"steps", "instruction"}
    assert train_policy(rl_recipe(), prompts=prompts, start=start, out=out) == manifest


def test_an_adapter_on_grown_embeddings_is_saved_without_them(rl_recipe, policy, tiny_base, tmp_path):
    """As where a template needs a token that the base has not; PEFT would add the embeddings, which are nobody's to load."""
    from safetensors.torch import load_file

    from evoltune.models.load import precision_of
    from evoltune.train.rl.trainer import load_policy

    recipe, start = rl_recipe(), policy("lora")
    job = Job(kind="rl", recipe=recipe, base=str(tiny_base), start=str(start), rows="", out="", fingerprint="")
    model = load_policy(job, precision_of("fp32"), tokens=300)
    assert model.get_input_embeddings().weight.shape[0] == 300
    model.save_pretrained(tmp_path)
    name = "adapter_model.safetensors"
    assert load_file(tmp_path / name).keys() == load_file(start / name).keys()


def test_pairs_train_an_adapter_under_the_same_guards_and_in_the_same_form(rl_recipe, prompts, pairs, policy, tmp_path):
    recipe, start, out = rl_recipe(*DPO, "rl.max_kl=20", "rl.sft_weight=0.5"), policy("lora"), tmp_path / "rl"
    manifest = train_policy(recipe, prompts=prompts, start=start, out=out, pairs=pairs)
    assert manifest["steps"] == 6 and manifest["data"]["kept"] == 40
    assert {p.name for p in start.iterdir() if p.suffix in (".safetensors", ".json")} <= {p.name for p in out.iterdir()}
    steps = [line for line in lines_of(out) if "reward" in line]
    assert [line["step"] for line in steps] == [1, 2, 3, 4, 5, 6]
    # The policy is its own reference, so that DPO's part is log 2; the rest is half of the chosen answers' own loss.
    own = own_losses(out / "job.json")
    assert steps[0]["reward"] == 0 and min(own) <= (steps[0]["loss"] - math.log(2)) / 0.5 <= max(own)
    assert steps[-1]["loss"] < steps[0]["loss"] and steps[-1]["preferred"] == 1 and steps[-1]["reward"] > 0
    measured = [line for line in lines_of(out) if "accuracy" in line]
    assert [line["step"] for line in measured] == [0, 3, 6]
    assert measured[0]["kl"] == pytest.approx(0, abs=1e-6) and measured[-1]["kl"] > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lora", "full"])
@pytest.mark.parametrize("algorithm", ["grpo", "rloo", "dpo"])
def test_a_killed_run_ends_in_the_weights_of_one_that_was_not(
    rl_recipe, prompts, pairs, policy, tmp_path, kind, algorithm
):
    more = DPO if algorithm == "dpo" else [f"rl.algorithm={algorithm}"]
    recipe = rl_recipe(*more, f"train.finetuning_type={kind}", "rl.max_kl=1000")
    whole, part = tmp_path / "whole", tmp_path / "part"
    files = {"prompts": prompts, "pairs": pairs if algorithm == "dpo" else None}
    train_policy(recipe, **files, start=policy(kind), out=whole)
    job = json.loads((whole / "job.json").read_text())
    part.mkdir()
    (part / "job.json").write_text(json.dumps({**job, "out": str(part)}))
    for at in (1, 3, 5):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, str(part / "job.json"), str(at)], capture_output=True, text=True
        )
        assert killed.returncode == -9, killed.stderr[-2000:]
    train_policy(recipe, **files, start=policy(kind), out=part)
    name = "adapter_model.safetensors" if kind == "lora" else "model.safetensors"
    assert file_digest(part / name) == file_digest(whole / name)
    assert [line["step"] for line in lines_of(part)] == [line["step"] for line in lines_of(whole)]


@pytest.mark.slow
def test_a_run_whose_reward_was_sabotaged_is_stopped_while_its_reward_rises(
    rl_recipe, prompts, pairs, policy, tmp_path
):
    """A policy that solves the held-out prompts, then pairs in which the wrong answer is the chosen one."""
    recipe = rl_recipe(*DPO, "rl.max_steps=10", "rl.eval_steps=5")
    good, out = tmp_path / "good", tmp_path / "sabotaged"
    train_policy(recipe, prompts=prompts, start=policy("lora"), out=good, pairs=pairs)
    assert lines_of(good)[-1]["accuracy"] == 1.0
    swapped = tmp_path / "swapped.jsonl"
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    swapped.write_text("".join(
        json.dumps({**row, "chosen": row["rejected"], "rejected": row["chosen"], "cut": False}) + "\n" for row in rows
    ))  # fmt: skip
    longer = rl_recipe(*DPO, "rl.max_steps=60", "rl.eval_steps=5")
    with pytest.raises(TrainingError, match=r"fell from 100.0% to 0.0% .* while the reward rose .*reward hacking"):
        train_policy(longer, prompts=prompts, start=good, out=out, pairs=swapped)
    rewards = [line["reward"] for line in lines_of(out) if "reward" in line]
    assert rewards[-1] > rewards[0] == 0 and len(rewards) < 60
    assert list((out / "steps").glob("checkpoint-*")) and not (out / "manifest.json").exists()


def test_answers_that_could_not_be_judged_stop_the_run_of_which_trl_then_logs_no_reward(rl_recipe, tiny_base, tmp_path):
    from evoltune.train.job import Watchdog
    from evoltune.train.rl.callbacks import GuardedRun
    from evoltune.train.rl.held_out import Measured

    job = Job(kind="rl", recipe=rl_recipe(), base=str(tiny_base), rows="", out=str(tmp_path), fingerprint="")
    guarded = GuardedRun(job, Watchdog(job), "halves_product", lambda model: Measured())
    logs = {
        "reward": None,
        "completions/mean_length": 8.0,
        "halves_product/unjudged": 1.0,
        "halves_product/verifier": None,
    }
    for step in (1, 2):
        guarded.on_log(None, SimpleNamespace(global_step=step, max_steps=9), None, logs=logs, model=None)
    with pytest.raises(TrainingError, match="100% of the answers or more could not be judged in 3 steps"):
        guarded.on_log(None, SimpleNamespace(global_step=3, max_steps=9), None, logs=logs, model=None)
    assert lines_of(tmp_path) == [{"step": step, "length": 8.0, "unjudged": 1.0} for step in (1, 2, 3)]


def test_what_cannot_work_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(RecipeError, match="rl: not in the recipe"):
        check_rl(load_recipe("smoke/math"))
    both = ["reward.instructions={}", "rl.scale_rewards=group"]
    with pytest.raises(RecipeError, match="cancels the instruction reward exactly"):
        check_rl(load_recipe("smoke/math", both))
    for algorithm, idle, told in (
        ("rloo", "rl.scale_rewards=group", "rl.scale_rewards: group: has no effect with rl.algorithm rloo"),
        ("rloo", "rl.scale_rewards=batch", "rl.scale_rewards: batch: has no effect with rl.algorithm rloo"),
        ("grpo", "rl.pairs_per_prompt=2", "rl.pairs_per_prompt: 2: has no effect with rl.algorithm grpo"),
        ("grpo", "rl.sft_weight=1", "rl.sft_weight: 1.0: has no effect with rl.algorithm grpo"),
        ("grpo", "rl.warmup_steps=5", "rl.warmup_steps: 5: has no effect with rl.lr_scheduler_type constant"),
    ):
        with pytest.raises(RecipeError, match=told):
            check_rl(load_recipe("smoke/math", [f"rl.algorithm={algorithm}", idle]))
    rloo = ["rl.algorithm=rloo", "rl.warmup_steps=5", "rl.lr_scheduler_type=constant_with_warmup"]
    assert check_rl(load_recipe("smoke/math", [*both[:1], *rloo])).algorithm == "rloo"
    for wrong, told in (
        ("reward={steps: {}}", "models of `reward:` would have no effect"), ("rl.beta=0", r"rl.beta: 0: .*above 0"),
        ("rl.scale_rewards=batch", "has no effect with rl.algorithm dpo"),
        ("rl.prompts_per_step=3", "rl.prompts_per_step: 3 pairs are no multiple of rl.per_device_train_batch_size 2 x 1 devices"),
    ):  # fmt: skip
        with pytest.raises(RecipeError, match=told):
            check_rl(load_recipe("smoke/math", [*DPO, wrong]))
    with pytest.raises(RecipeError, match=r"train.deepspeed: zero3"):
        check_rl(load_recipe("smoke/math", ["rl={}", "train.deepspeed=zero3"]))
    with pytest.raises(RecipeError, match="no finished checkpoint"):
        train_policy(load_recipe("smoke/math", ["rl={}"]), prompts=tmp_path / "p", start=tmp_path, out=tmp_path / "o")


def test_rows_keep_columns_that_the_first_one_lacks_and_tests_of_another_kind():
    pytest.importorskip("trl")
    from evoltune.train.rl.trainer import as_dataset

    ask = [{"role": "user", "content": "Double it."}]
    rows = [
        {"prompt": ask, "tests": {"inputs": ["2\n"], "outputs": ["4\n"]}},
        {"prompt": ask, "tests": "def check(candidate):\n    assert candidate(2) == 4", "entry_point": "f"},
        {"prompt": ask, "tests": {"inputs": ["3\n", "5\n"], "outputs": ["6\n", "10\n"]}, "reference": "x"},
    ]
    read = list(as_dataset(rows))
    assert [{name: value for name, value in row.items() if value is not None} for row in read] == rows
    answers = ["print(2 * int(input()))", "def f(x):\n    return 2 * x", "print(int(input()))"]
    completions = [f"```python\n{answer}\n```" for answer in answers]
    columns = {name: [row[name] for row in read] for name in ("tests", "entry_point", "reference")}
    reward = evoltune.reward("code", workers=1)
    assert reward(completions, [row["prompt"] for row in read], **columns) == [1, 1, 0]
    reward.close()
