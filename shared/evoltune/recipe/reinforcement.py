"""The sections `reward:` and `rl:` of a recipe. Field names follow TRL where it has one."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from evoltune.recipe.base import Section
from evoltune.recipe.types import AboveZero, Count, FilePath, Fraction, NonNegative, PathOrHubId, Positive, Share


class StepReward(Section, frozen=True, kw_only=True):
    """A process reward model on top of the run's checkpoint."""

    method: Literal["head", "likelihood"] = "head"
    """`head`: a score head and the model's layers are trained on the labels; `likelihood`: nothing is trained, a step is scored by
    how likely the checkpoint finds what it says, under a threshold fitted on the labels. For small models the second."""
    rows: FilePath | None = None
    """Labelled solutions in any form of docs/reward.md; default: the checkpoint's own solutions of the run's tasks."""
    samples: Positive = 4
    """Solutions that the checkpoint writes of each task."""
    temperature: AboveZero = 0.8
    """Of these samples."""
    labels: Literal["check", "verdict"] = "check"
    """`check`: the domain's exact check of each step, and the verifier's verdict on the answer; `verdict`: that alone."""
    from_dataset: bool = False
    """Also the verified answers of the run's dataset, as right solutions."""
    planted: Count = 0
    """Twins of each right solution that have one wrong number, which the domain's check finds; without the like of them,
    samples of a weak or of a strong checkpoint are nearly all wrong or nearly all right."""
    limit: Count = 0
    """Tasks whose solutions are labelled; 0: all."""
    validation: Fraction = 0.1
    """Share of the prompts that are not trained or fitted on, and measure the model."""
    train: dict[str, Any] = {}
    """Keys of `train:` that this model is trained with instead, e.g. `{learning_rate: 1e-4, num_train_epochs: 1}`; of a `head`."""


class InstructionReward(Section, frozen=True, kw_only=True):
    """An instruction reward model (Bradley-Terry on pairs), trained on top of the run's checkpoint."""

    rows: FilePath | None = None
    """Pairs {chosen, rejected}; default: the run's own, by `pairs`."""
    pairs: tuple[Literal["degraded", "parents", "siblings", "judged"], ...] = ("degraded", "parents", "siblings")
    """degraded: an instruction against a copy that lacks or garbles something; parents: a harder rewrite against its
    original, and an original against an easier one; siblings: rewrites of one parent whose answers pass clearly more or less
    often; judged: siblings that the teacher compares in both orders, which costs calls."""
    limit: Count = 0
    """Instructions that are paired; 0: all."""
    validation: Fraction = 0.1
    """Share of the pairs, by what they are made of, that are not trained on, and measure the model."""
    train: dict[str, Any] = {}
    """As of `reward.steps`."""


class Reward(Section, frozen=True, kw_only=True):
    """Reward models (2308.09583, section 3): which are trained, and how their scores become one reward."""

    steps: StepReward | None = None
    """The process reward model; none: the reward has no step score."""
    instructions: InstructionReward | None = None
    """The instruction reward model; none: every instruction weighs the same."""
    fail_share: Fraction = 0.0
    """Share of the models' reward that an answer keeps which the verifier fails; below 1, so that it stays below any pass."""


class RL(Section, frozen=True, kw_only=True):
    """Reinforcement learning of the run's checkpoint by TRL on one machine; names as in TRL. See docs/rl.md."""

    algorithm: Literal["grpo", "rloo", "dpo"] = "grpo"
    """`dpo`: preference training on pairs of answers, of which the verifier passed one and failed the other."""
    prompts: PathOrHubId | None = None
    """Rows with references or tests; default: the tasks of the run's own dataset."""
    num_generations: Annotated[int, Meta(ge=2)] = 8
    """Answers to a prompt; with `dpo` of the checkpoint, to prompts whose recorded answers give too few pairs."""
    prompts_per_step: Positive = 8
    """Prompts of one step, each answered `num_generations` times; with `dpo` pairs."""
    per_device_train_batch_size: Positive = 8
    """Answers that are trained on together; with `dpo` pairs."""
    pairs_per_prompt: Positive = 1
    """With `dpo`: at most this many pairs of one prompt. Ours: unlike prompts teach more than the same one again."""
    sft_weight: NonNegative = 0.0
    """With `dpo`: weight of the chosen answers' own loss (mean over their tokens) beside DPO's; 1 in 2404.19733, where DPO alone
    makes right answers less likely too. 0: DPO as published."""
    band: tuple[Fraction, Fraction] | None = None
    """With `grpo` and `rloo`: only prompts of which the checkpoint solves a share within these bounds, e.g. [0.1, 0.9], in
    `num_generations` answers that are drawn beforehand: a group of answers that all pass or all fail teaches nothing."""
    max_completion_length: Positive = 256
    temperature: AboveZero = 1.0
    top_p: Share = 1.0
    learning_rate: AboveZero = 1e-6
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "constant"
    warmup_steps: Count = 0
    """Not with `constant`."""
    max_steps: Positive = 100
    beta: NonNegative | None = None
    """Weight of the KL penalty against the checkpoint, 0: none; with `dpo` its beta. Default: 0.04, which no paper of ours names;
    with `dpo` 0.1 (2305.18290)."""
    scale_rewards: Literal["none", "batch", "group"] = "none"
    """Of GRPO alone: what its rewards are divided by; `group` cancels an instruction reward, so it is refused beside one."""
    max_grad_norm: NonNegative = 1.0
    save_steps: Positive = 10
    use_vllm: bool = False
    """Answers by vLLM, where it is installed."""
    held_out: Fraction = 0.1
    """Share of the prompts that are not trained on, and whose verified accuracy guards the run."""
    held_out_limit: Positive = 128
    """At most this many of them."""
    eval_steps: Positive = 10
    """Steps between two measurements of it."""
    max_kl: NonNegative = 20.0
    """The run stops where the mean KL of a step (nats of an answer's token) exceeds this; 0: never."""
    max_unjudged: Fraction = 0.5
    """The run stops where more answers than this share could not be judged in three steps in a row."""
    max_length_growth: NonNegative = 4.0
    """The run stops where answers are this many times longer than in its first steps; 0: never."""

    @property
    def strength(self) -> float:
        """`beta`, or its default under this algorithm."""
        return self.beta if self.beta is not None else 0.1 if self.algorithm == "dpo" else 0.04
