"""Jobs for trainers on many GPUs: what is refused, and a reward file that works by itself."""

import runpy
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("trainer", sorted(ALGORITHMS))
def test_the_critic_is_set_for_ppo_alone(tmp_path, trainer):
    for algorithm in ALGORITHMS[trainer]:
        words = " ".join(command_of(job(tmp_path, trainer=trainer, algorithm=algorithm)))
        assert ("critic.model" in words) == (algorithm == "ppo")
