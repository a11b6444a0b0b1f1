"""Jobs for trainers on many GPUs: what is refused, and a reward file that works by itself."""

import json
import runpy
from pathlib import Path

import pytest

from evoltune.cli import main
from evoltune.errors import RecipeError
from evoltune.train.rl.external import ALGORITHMS, ExternalRL, command_of, reward_file, write_job


def job(tmp_path: Path, **changes):
    given = {"trainer": "verl", "model": "org/base", "domains": ("math",), "out": tmp_path / "rl"}
    return ExternalRL(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trainer": "very"}, "did you mean 'verl'"),
        ({"algorithm": "dpo"}, "allowed: ppo, grpo, rloo"),
        ({"algorithm": "grpo", "rollouts": 1}, "at least 2"),
        ({"tensor_parallel": 3}, "does not divide 8 GPUs"),
        ({"batch": 3, "rollouts": 1}, "no multiple of 8 GPUs"),
    ],
)
def test_a_job_that_the_trainer_would_refuse_hours_later_is_refused_now(tmp_path, changes, said):
    with pytest.raises(RecipeError, match=said):
        job(tmp_path, **changes)


@pytest.mark.parametrize("trainer", sorted(ALGORITHMS))
def test_the_reward_file_scores_by_the_domain_and_its_policy(tmp_path, trainer):
    pytest.importorskip("torch")
    given = job(tmp_path, trainer=trainer, options={"policy": {"units": "required"}})
    write_job(given)
    space = runpy.run_path(str(tmp_path / "rl" / "reward.py"))
    if trainer == "verl":
        found = [
            space["compute_score"]("evoltune/math", text, '{"reference": "5 cm"}')["score"] for text in ("5 cm", "5")
        ]
    else:
        found = [space["reward_func"]([f"Q{text}</s>"], ["Q"], ["5 cm"])["rewards"].item() for text in ("5 cm", "5")]
    assert found == [1.0, 0.0]


def test_a_service_is_read_from_the_environment_of_the_reward_process(tmp_path):
    assert "os.environ.get('EVOLTUNE_SERVICE', 'http://h:1')" in reward_file(job(tmp_path, service="http://h:1"))


def launched(folder: Path, rows: Path, capsys, *more: str) -> tuple[int, str]:
    """Exit code and what was said of `evoltune rl --print-launch` with a recipe of reward models."""
    keys = [
        "eval.suites=[]",
        "verify.program_s=3",
        "reward={steps: {}, instructions: {}}",
        "rl={learning_rate: 1.0e-7}",
    ]
    given = ["--trainer", "verl", "--rows", str(rows), "--out", str(folder), "--print-launch", *more]
    code = main(["rl", "smoke/math", *keys, *given])
    return code, "".join(capsys.readouterr())


def test_the_reward_is_the_recipes_its_models_limits_and_numbers_included(tmp_path, capsys):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "2 + 2?", "answer": "4"}\n')
    code, said = launched(tmp_path, rows, capsys, "--model", "org/m")
    assert code == 2 and "reward-steps: the reward model of steps is not trained" in said
    for kind in ("steps", "instructions"):
        (tmp_path / f"reward-{kind}").mkdir()
        (tmp_path / f"reward-{kind}" / "manifest.json").write_text("{}")
    code, said = launched(
        tmp_path, rows, capsys, "--model", "org/m", "--rollouts", "8", "train.system_prompt=Be brief."
    )
    assert code == 0 and "optim.lr=1e-07" in said and "rollout.n=8" in said and "train_batch_size=8" in said
    made = (tmp_path / "rl-verl" / "reward.py").read_text()
    assert f"ProductReward('math', check_s=2.0, instructions='{tmp_path}/reward-instructions'" in made
    assert "program_s=3.0" in made and f"steps='{tmp_path}/reward-steps'" in made
    row = json.loads((tmp_path / "rl-verl" / "train.jsonl").read_text())
    assert [message["role"] for message in row["prompt"]] == ["system", "user"] and row["extra_info"][
        "prompt"
    ] == "2 + 2?"
    assert launched(tmp_path, rows, capsys, "--model", "org/m", "--service", "http://h:1")[0] == 0
    made = (tmp_path / "rl-verl" / "reward.py").read_text()
    assert "parts=['steps', 'instruction'], reward='product')" in made and "program_s" not in made


def test_an_adapter_is_refused_until_it_is_merged_and_a_group_may_not_cancel_the_instruction_reward(tmp_path, capsys):
    rows, adapter = tmp_path / "rows.jsonl", tmp_path / "checkpoint"
    rows.write_text('{"question": "2 + 2?", "answer": "4"}\n')
    for folder, name in ((adapter, "adapter_config.json"), (tmp_path / "checkpoint-merged", "config.json")):
        folder.mkdir()
        (folder / name).write_text("{}")
        (adapter / "manifest.json").write_text("{}")
        code, said = launched(tmp_path, rows, capsys, "reward=null")
        assert code == 2 and f"evoltune model merge {adapter}" in said
    (tmp_path / "checkpoint-merged" / "manifest.json").write_text("{}")
    code, said = launched(tmp_path, rows, capsys, "reward=null")
    assert code == 0 and f"actor_rollout_ref.model.path={tmp_path}/checkpoint-merged" in said
    with pytest.raises(RecipeError, match="cancels the instruction reward"):
        job(tmp_path, trainer="openrlhf", algorithm="grpo", models={"instructions": "m"})
    assert job(tmp_path, trainer="openrlhf", algorithm="dr_grpo", models={"instructions": "m"}).models


@pytest.mark.parametrize("trainer", sorted(ALGORITHMS))
def test_the_critic_is_set_for_ppo_alone(tmp_path, trainer):
    for algorithm in ALGORITHMS[trainer]:
        words = " ".join(command_of(job(tmp_path, trainer=trainer, algorithm=algorithm)))
        assert ("critic.model" in words) == (algorithm == "ppo")
