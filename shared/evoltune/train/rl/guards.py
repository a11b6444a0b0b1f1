"""When a reinforcement run must stop: the reward rises and verified accuracy falls, or the policy has run away.

    guard = Guard(settings)
    guard.step({"step": 3, "reward": 0.4, "kl": 0.1, "length": 40.0, "unjudged": 0.0})      # "" or why to stop
    guard.measured(step=10, solved=[1.0, 0.0, 1.0])

Verified accuracy is that of held-out prompts, answered greedily and judged by the verifier alone, so no reward model can lift it.
It counts as fallen when a paired test against the first measurement is significant at 1%, so each look has at most one chance in
a hundred to stop a sound run. Preference training generates nothing as it goes: there length and KL are those of the held-out
answers. Imports no torch.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evoltune.evaluate.statistics import paired
from evoltune.recipe import RL
from evoltune.train.reward.held_out import is_held_out

LEVEL = 0.01
FIRST = 5
"""Steps whose mean the later ones are compared with."""
IN_A_ROW = 3


@dataclass(kw_only=True)
class Guard:
    """The state of the guards of one run. Pass it every step and every measurement; when a run is continued, the earlier ones too."""

    settings: RL
    rewards: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    unjudged: list[float] = field(default_factory=list)
    first: Sequence[float] | None = None
    """Which held-out prompts were solved before the first step."""
    first_length: float = 0.0
    """Mean tokens of these answers."""

    def step(self, line: Mapping[str, Any]) -> str:
        """Why the run must stop after this step; empty if it need not."""
        rl, at = self.settings, f"step {line.get('step')}"
        reward, kl, length = (line.get(name) for name in ("reward", "kl", "length"))
        if reward is not None and math.isfinite(reward):
            self.rewards.append(reward)
        if length is not None:
            self.lengths.append(length)
        self.unjudged.append(line.get("unjudged") or 0.0)
        start = statistics.fmean(self.lengths[:FIRST]) if len(self.lengths) > FIRST else 0.0
        if problem := self._run_away(kl, start, self.lengths[-1] if start else 0.0):
            return f"{at}: {problem}"
        recent = self.unjudged[-IN_A_ROW:]
        if len(recent) == IN_A_ROW and min(recent) > rl.max_unjudged:
            share = f"{min(recent):.0%} of the answers or more could not be judged"
            return f"{at}: {share} in {IN_A_ROW} steps in a row (rl.max_unjudged {rl.max_unjudged:g})"
        return ""

    def measured(self, *, step: int, solved: Sequence[float], length: float = 0.0, kl: float | None = None) -> str:
        """Why the run must stop after a measurement on the held-out prompts, given in the same order each time."""
        if self.first is None or not solved:
            self.first, self.first_length = list(solved), length
            return ""
        if problem := self._run_away(kl, self.first_length, length):
            return f"step {step}: {problem} on held-out prompts"
        result = paired(self.first, solved)
        if result.difference >= 0 or result.p >= LEVEL:
            return ""
        begun, now = self._rewards()
        trend, meaning = (
            ("while the reward rose", "training raises the reward without solving more problems (reward hacking)")
            if now > begun
            else ("and the reward did not rise either", "training makes the model worse")
        )
        return (
            f"step {step}: verified accuracy on {len(solved)} held-out prompts fell from {result.a:.1%} to {result.b:.1%} "
            f"(p = {result.p:.2g}) {trend} ({begun:.3g} to {now:.3g}): {meaning}; earlier checkpoints are kept: "
            "raise rl.beta, or lower rl.learning_rate"
        )

    def _run_away(self, kl: float | None, start: float, length: float) -> str:
        rl = self.settings
        if kl is not None and (math.isnan(kl) or (rl.max_kl and kl > rl.max_kl)):
            return f"the KL divergence from the checkpoint is {kl:.3g} (rl.max_kl {rl.max_kl:g})"
        if rl.max_length_growth and start and length > rl.max_length_growth * start:
            return (
                f"answers grew from {start:.0f} to {length:.0f} tokens (rl.max_length_growth {rl.max_length_growth:g})"
            )
        return ""

    def _rewards(self) -> tuple[float, float]:
        """The mean reward of the first and of the last steps."""
        if not self.rewards:
            return math.nan, math.nan
        return statistics.fmean(self.rewards[:FIRST]), statistics.fmean(self.rewards[-FIRST:])


def is_held_out_prompt(messages: Sequence[Mapping[str, Any]], rl: RL) -> bool:
    """Whether a prompt is never trained on, but measures the run."""
    return is_held_out(str([dict(message) for message in messages]), rl.held_out)
