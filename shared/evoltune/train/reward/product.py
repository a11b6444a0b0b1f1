"""One reward of verifier, step scores and instruction score, as a function that any trainer calls.

    with ProductReward("math", steps="runs/x/reward-steps", instructions="runs/x/reward-instructions") as reward:
        reward(completions, prompts, reference=[...])        # [0.81, 0.0, None]

    pass:  q * (f + (1 - f) * s)        fail:  q * f * s        not judged:  None

q is the instruction's score and s the solution's, both from 0 to 1 and 1 where there is no such model; f is `fail_share`, 0 by
default, which makes a pass q * s as in WizardMath (2308.09583, section 3.3) and a fail 0. Invariants: a fail is never above a
pass of the same prompt; an answer that could not be judged has no reward, whatever the models say; what stands after the
first error changes nothing (under `min`).
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from evoltune.domain import Domain, author_code, load_domain
from evoltune.errors import DataError
from evoltune.record import Task
from evoltune.train.reward.metrics import predicted_error
from evoltune.train.reward.scorer import Scorer
from evoltune.train.reward.steps import split_steps
from evoltune.verification.reward import Reward
from evoltune.verification.row_forms import answer_text, column_values, prompt_text

Aggregate = Literal["min", "last"]
_LOG = logging.getLogger(__name__)


def solution_score(scores: Sequence[float], aggregate: Aggregate = "min") -> float:
    """A solution's score from those of its steps; 0 for a text without a step.

    `min`: the least one up to the first error, for models of true step labels; a sum can be collected by more steps, the
    least cannot (2504.15275). `last`: for models of rollouts, whose labels estimate the end (2501.07301).
    """
    if not scores:
        return 0.0
    if aggregate == "last":
        return scores[-1]
    error = predicted_error(scores)
    return min(scores if error < 0 else scores[: error + 1])


def combined(verdict: float | None, solution: float, instruction: float, fail_share: float = 0.0) -> float | None:
    """The reward of one answer; see the module. `verdict`: the verifier's score, or None."""
    if verdict is None:
        return None
    passed = fail_share + (1 - fail_share) * solution
    return instruction * (verdict * passed + (1 - verdict) * fail_share * solution)


def cancelled_by(config: Any) -> str:
    """Why a trainer with this configuration of TRL would ignore the instruction's score; empty where it counts.

    Every answer to a prompt has the same instruction score, so an advantage that is divided by the group's deviation loses it:
    (q x - mean(q x)) / std(q x) = (x - mean x) / std x.
    """
    scale = getattr(config, "scale_rewards", None)
    if scale in ("group", True):
        return (
            "scale_rewards: 'group' divides each prompt's rewards by their deviation, which cancels the instruction reward "
            "exactly: set scale_rewards: none (or batch), or leave the instruction model out"
        )
    return ""


class ProductReward:
    """`reward(completions, prompts, **columns)` -> a score or None for each. Picklable; closes its pool and its models.

    Args:
        domain: as of `evoltune.reward`, whose `options` are taken too (service, policy, workers ...; `reward` without `steps`).
        steps, instructions: folders of trained models; None: none.
        aggregate: how step scores become one; None: as the model's labels ask for.
        check: also let the domain's exact check of steps decide: a wrong equation scores 0.
        fail_share: below 1.
    """

    def __init__(
        self,
        domain: str | Domain,
        *,
        steps: str | Path | None = None,
        instructions: str | Path | None = None,
        aggregate: Aggregate | None = None,
        check: bool = True,
        fail_share: float = 0.0,
        **options: Any,
    ) -> None:
        if not 0 <= fail_share < 1:
            raise DataError(f"fail_share={fail_share!r}: at least 0 and below 1, so that a fail stays below a pass")
        if options.get("reward", "pass") != "pass" and steps:
            raise DataError(
                f"reward={options['reward']!r} beside a model of steps: a fail that passes most tests would be above a pass with a weak "
                "step: use reward='pass', and fail_share for what a fail keeps"
            )
        self.verifier = Reward(domain, **options)
        self.steps = _scorer(steps, "steps")
        self.instructions = _scorer(instructions, "instructions")
        self.aggregate: Aggregate = aggregate or (self.steps.facts.get("aggregate", "min") if self.steps else "min")
        self.fail_share = fail_share
        self.check = check and load_domain(self.verifier.domain).check_steps is not None
        self.__name__ = f"{self.verifier.__name__}_product"

    def __call__(
        self, completions: Sequence[Any], prompts: Sequence[Any] | None = None, **columns: Any
    ) -> list[float | None]:
        texts = [answer_text(completion) for completion in completions]
        asked = [prompt_text(prompt) for prompt in column_values(prompts) or ()] if prompts is not None else []
        if len(asked) != len(texts) and (self.steps or self.instructions):
            raise ValueError(
                f"{len(texts)} completions with {len(asked)} prompts: reward models need a prompt for each"
            )
        verdicts = self.verifier(completions, prompts, **columns)
        parts = self.parts(verdicts, asked, texts)
        self._log(columns, **parts)
        return parts["reward"]

    def parts(
        self, verdicts: Sequence[float | None], prompts: Sequence[str], texts: Sequence[str]
    ) -> dict[str, list[float | None]]:
        """The reward of answers that are verified already, and what it is made of: verifier, steps, instruction."""
        solutions = self.solution_scores(prompts, texts) if self.steps else [1.0] * len(texts)
        weights = self.instructions.instructions(prompts) if self.instructions else [1.0] * len(texts)
        rewards = [
            combined(verdict, solution, weight, self.fail_share)
            for verdict, solution, weight in zip(verdicts, solutions, weights, strict=True)
        ]
        return {"verifier": list(verdicts), "steps": [*solutions], "instruction": [*weights], "reward": rewards}

    def solution_scores(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        """The aggregated step score of each solution; 0 where an exact check finds a wrong step."""
        assert self.steps is not None
        domain = load_domain(self.verifier.domain) if self.check else None
        found = []
        for prompt, text, scores in zip(prompts, texts, self.steps.solutions(prompts, texts), strict=True):
            if domain is not None and domain.check_steps is not None:
                with author_code(domain, "check_steps"):
                    verdicts = domain.check_steps(Task(instruction=prompt), split_steps(text)[0])
                scores = [0.0 if verdict is False else score for verdict, score in zip(verdicts, scores, strict=True)]
                if 0.0 in scores and self.aggregate == "last":
                    scores = [0.0]
            found.append(solution_score(scores, self.aggregate))
        return found

    def _log(self, hooks: dict[str, Any], **parts: Sequence[float | None]) -> None:
        """Each part's mean for TRL's log, and its values for the table of completions."""
        log_metric, log_extra = hooks.get("log_metric"), hooks.get("log_extra")
        for name, values in parts.items():
            known = [value for value in values if value is not None]
            if callable(log_metric) and known:
                log_metric(f"{self.__name__}/{name}", sum(known) / len(known))
            if callable(log_extra):
                log_extra(f"{self.__name__}_{name}", list(values))
        if callable(log_metric) and parts["reward"]:
            unjudged = sum(value is None for value in parts["reward"])
            log_metric(f"{self.__name__}/unjudged", unjudged / len(parts["reward"]))

    def warn_of(self, config: Any) -> str:
        """Logs and returns why a trainer with this configuration would ignore the instruction model; empty where it counts."""
        problem = cancelled_by(config) if self.instructions else ""
        if problem:
            _LOG.warning("%s: %s", self.__name__, problem)
        return problem

    def close(self) -> None:
        """Ends the verifier's workers and frees the models. A later call opens them again."""
        self.verifier.close()
        for scorer in filter(None, (self.steps, self.instructions)):
            scorer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _scorer(folder: str | Path | None, kind: str) -> Scorer | None:
    if folder is None:
        return None
    scorer = Scorer(folder)
    if scorer.kind != kind:
        raise DataError(f"{folder}: a reward model of {scorer.kind}, given as the one of {kind}")
    return scorer
