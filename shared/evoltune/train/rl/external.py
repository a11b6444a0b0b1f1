"""RL on many GPUs by verl or OpenRLHF: the files that either reads, and the command that starts it.

    job = ExternalRL(trainer="verl", model="runs/x/checkpoint", domains=("math",), out=Path("runs/x/rl"))
    write_job(job)              # reward.py and launch.sh beside the prompts; started with `bash runs/x/rl/launch.sh`

There is no distributed RL here. This module writes the reward, which both trainers load from `reward.py`, and settings that make
them use it. tests/contracts checks both with the released trainers: their parsers read the settings, their loaders call the reward.

Values that no paper gives are ours: the KL coefficient (Math-Shepherd used 0.04 with the same learning rates), rollouts a prompt
and the batch. WizardMath's are 4e-7 for Llama-2 and 1e-7 for Mistral, one epoch, PPO.

Sources: verl 0.9.1 (trainer/config/ppo_trainer.yaml), OpenRLHF 0.11.2 (cli/train_ppo_ray.py).
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoltune.errors import RecipeError, nearest
from evoltune.rows.files import write_file

PROMPTS, REWARD, LAUNCH = "train.jsonl", "reward.py", "launch.sh"
VERSIONS: Mapping[str, str] = {"verl": ">=0.9,<0.10", "openrlhf": ">=0.11,<0.12"}
"""What the settings were read from and are tested against."""
ALGORITHMS: Mapping[str, Mapping[str, str]] = {
    "verl": {"ppo": "gae", "grpo": "grpo", "rloo": "rloo"},
    "openrlhf": {"ppo": "gae", "grpo": "group_norm", "dr_grpo": "dr_grpo", "rloo": "rloo"},
}
"""Trainer -> our name -> its own."""


@dataclass(frozen=True, kw_only=True)
class ExternalRL:
    """One RL training. Lengths are tokens; `batch` counts prompts, of each of which `rollouts` answers are drawn."""

    trainer: str
    model: str
    domains: tuple[str, ...]
    out: Path
    algorithm: str = "ppo"
    learning_rate: float = 4e-7
    kl: float = 0.04
    rollouts: int = 4
    batch: int = 128
    epochs: int = 1
    max_prompt_length: int = 1024
    max_answer_length: int = 1024
    nodes: int = 1
    gpus_per_node: int = 8
    tensor_parallel: int = 1
    """GPUs that one engine of vLLM uses."""
    service: str = ""
    """A verifier service; without one each reward process verifies with workers of its own."""
    options: Mapping[str, Any] | None = None
    """Further options of `evoltune.reward`, e.g. a profile or policy."""
    models: Mapping[str, Any] | None = None
    """What `ProductReward` gets besides: the folders of `steps` and `instructions`, `fail_share`. With a service it has the models,
    and here they are only named."""

    def __post_init__(self) -> None:
        if self.trainer not in ALGORITHMS:
            raise RecipeError(f"trainer {self.trainer!r}: {nearest(self.trainer, ALGORITHMS)}")
        if self.algorithm not in ALGORITHMS[self.trainer]:
            allowed = ", ".join(ALGORITHMS[self.trainer])
            raise RecipeError(f"algorithm {self.algorithm!r} of {self.trainer}: allowed: {allowed}")
        if self.algorithm != "ppo" and self.rollouts < 2:
            raise RecipeError(f"rollouts {self.rollouts}: {self.algorithm} compares answers to one prompt: at least 2")
        if self.models and self.models.get("instructions") and ALGORITHMS[self.trainer][self.algorithm] == "group_norm":
            raise RecipeError(
                f"algorithm {self.algorithm} of {self.trainer} divides each prompt's rewards by their deviation, which cancels the "
                "instruction reward exactly: use ppo, rloo or dr_grpo, or remove reward.instructions"
            )
        gpus = self.nodes * self.gpus_per_node
        if gpus % self.tensor_parallel:
            raise RecipeError(f"tensor_parallel {self.tensor_parallel} does not divide {gpus} GPUs")
        if (self.batch * self.rollouts) % gpus:
            raise RecipeError(f"batch {self.batch} x rollouts {self.rollouts} answers are no multiple of {gpus} GPUs")


def write_job(job: ExternalRL) -> Path:
    """Writes reward file and launch script into `job.out`, beside the prompts; returns the script."""
    write_file(job.out / REWARD, reward_file(job))
    write_file(job.out / LAUNCH, launch_script(job))
    (job.out / LAUNCH).chmod(0o755)
    return job.out / LAUNCH


def reward_file(job: ExternalRL) -> str:
    """The Python file that the trainer loads its reward from, in each of its reward processes."""
    name, form = ("compute_score", "for_verl") if job.trainer == "verl" else ("reward_func", "for_openrlhf")
    maker, given = "evoltune.reward", dict(job.options or {})
    if job.models and job.service:
        parts = {"steps": "steps", "instructions": "instruction"}
        given |= {"reward": "product", "parts": [part for kind, part in parts.items() if job.models.get(kind)]}
    elif job.models:
        maker, given = "ProductReward", {**given, **job.models}
    options = "".join(f", {key}={value!r}" for key, value in sorted(given.items()))
    service = f", service=os.environ.get('EVOLTUNE_SERVICE', {job.service!r})" if job.service else ""
    rewards = ", ".join(f"{domain!r}: {maker}({domain!r}{service}{options})" for domain in job.domains)
    source = (
        "from evoltune.train.reward.product import ProductReward" if maker == "ProductReward" else "import evoltune"
    )
    return (
        f'"""The reward of this training, as {job.trainer} {VERSIONS[job.trainer]} loads it."""\n\n'
        + ("import os\n\n" if service else "")
        + f"{source}\n"
        + f"from evoltune.train.rl.trainer_rewards import {form}\n\n"
        + f"{name} = {form}({{{rewards}}})\n"
    )


def launch_script(job: ExternalRL) -> str:
    """A shell script that starts the trainer on the head node of a Ray cluster (or on one machine)."""
    start, *words = command_of(job)
    lines: list[str] = []
    for word in words:
        if lines and "=" not in word and not word.startswith("--"):
            lines[-1] += f" {shlex.quote(word)}"  # the value of a flag
        else:
            lines.append(shlex.quote(word))
    command = " \\\n    ".join([f"{start} {lines[0]}", *lines[1:]])
    return (
        "#!/usr/bin/env bash\n"
        f"# {job.trainer} {VERSIONS[job.trainer]}, {job.algorithm}, {job.nodes} x {job.gpus_per_node} GPUs. On several "
        "nodes start Ray first: `ray start --head` here,\n# `ray start --address=HEAD:6379` on the others; all nodes must "
        "see this folder and have evoltune installed.\nset -euo pipefail\n"
        f"python -c 'import evoltune, {job.trainer}'\n"
        f"exec {command}\n"
    )


def command_of(job: ExternalRL) -> list[str]:
    """The trainer's command line as a list of arguments."""
    return _verl(job) if job.trainer == "verl" else _openrlhf(job)


def _verl(job: ExternalRL) -> list[str]:
    out = job.out.resolve()
    estimator = ALGORITHMS["verl"][job.algorithm]
    settings: dict[str, Any] = {
        "reward.custom_reward_function.path": out / REWARD,
        "reward.custom_reward_function.name": "compute_score",
        "algorithm.adv_estimator": estimator,
        # Dividing by a group's deviation cancels every factor that depends on the prompt alone, as the instruction reward.
        "algorithm.norm_adv_by_std_in_grpo": False,
        "algorithm.use_kl_in_reward": True,
        "algorithm.kl_ctrl.kl_coef": job.kl,
        "data.train_files": out / PROMPTS,
        "data.val_files": out / PROMPTS,
        "data.train_batch_size": job.batch,
        "data.max_prompt_length": job.max_prompt_length,
        "data.max_response_length": job.max_answer_length,
        "data.filter_overlong_prompts": True,
        "actor_rollout_ref.model.path": job.model,
        "actor_rollout_ref.model.enable_gradient_checkpointing": True,
        "actor_rollout_ref.actor.optim.lr": job.learning_rate,
        "actor_rollout_ref.actor.ppo_mini_batch_size": job.batch,
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": 1,
        "actor_rollout_ref.rollout.name": "vllm",
        "actor_rollout_ref.rollout.n": job.rollouts,
        "actor_rollout_ref.rollout.tensor_model_parallel_size": job.tensor_parallel,
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu": 1,
        "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu": 1,
        "trainer.nnodes": job.nodes,
        "trainer.n_gpus_per_node": job.gpus_per_node,
        "trainer.total_epochs": job.epochs,
        "trainer.save_freq": 20,
        "trainer.test_freq": -1,
        "trainer.val_before_train": False,
        "trainer.default_local_dir": out / "checkpoints",
        "trainer.project_name": "evoltune",
        "trainer.experiment_name": out.parent.name,
        "trainer.logger": "[console]",
    }
    if estimator == "gae":
        settings |= {"critic.model.path": job.model, "critic.ppo_micro_batch_size_per_gpu": 1}
    return ["python", "-m", "verl.trainer.main_ppo", *(f"{key}={value}" for key, value in settings.items())]


def _openrlhf(job: ExternalRL) -> list[str]:
    out = job.out.resolve()
    gpus = job.nodes * job.gpus_per_node
    settings: dict[str, Any] = {
        "--reward.remote_url": out / REWARD,
        "--actor.model_name_or_path": job.model,
        "--actor.num_nodes": job.nodes,
        "--actor.num_gpus_per_node": job.gpus_per_node,
        "--ref.num_nodes": job.nodes,
        "--ref.num_gpus_per_node": job.gpus_per_node,
        "--actor.adam.lr": job.learning_rate,
        "--algo.advantage.estimator": ALGORITHMS["openrlhf"][job.algorithm],
        "--algo.kl.init_coef": job.kl,
        "--data.prompt_dataset": out / PROMPTS,
        "--data.input_key": "prompt",
        "--data.label_key": "label",
        "--data.max_len": job.max_prompt_length + job.max_answer_length,
        "--rollout.max_new_tokens": job.max_answer_length,
        "--rollout.batch_size": job.batch,
        "--rollout.n_samples_per_prompt": job.rollouts,
        "--train.batch_size": job.batch,
        "--train.num_episodes": job.epochs,
        "--vllm.num_engines": gpus // job.tensor_parallel,
        "--vllm.tensor_parallel_size": job.tensor_parallel,
        "--ds.zero_stage": 2 if job.nodes > 1 else 3,
        "--ckpt.output_dir": out / "model",
        "--ckpt.path": out / "checkpoints",
        "--ckpt.save_steps": 20,
    }
    if job.algorithm == "ppo":
        settings |= {
            "--critic.model_name_or_path": job.model,
            "--critic.num_nodes": job.nodes,
            "--critic.num_gpus_per_node": job.gpus_per_node,
        }
    switches = (
        "--data.apply_chat_template", "--train.colocate_all", "--vllm.enable_sleep", "--ckpt.load_enable",
        "--actor.gradient_checkpointing_enable",
    )  # fmt: skip
    words: Sequence[Any] = [word for pair in settings.items() for word in pair]
    return ["python", "-m", "openrlhf.cli.train_ppo_ray", *map(str, words), *switches]
