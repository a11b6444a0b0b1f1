"""Callbacks for TRL's trainers: write heartbeat and metrics, obey the stop file, complete checkpoints,
and stop a run that goes wrong.

`metrics.jsonl` has a line for each step, with reward, its parts, KL, length, the share that was not judged, and at some steps the
held-out prompts that are solved. A continued run reads it, so the guards remember what they saw.
"""

import os
import signal
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback

from evoltune.errors import TrainingError
from evoltune.run.paths import METRICS, SAMPLED, STOP
from evoltune.train import metrics
from evoltune.train.job import Job, Watchdog
from evoltune.train.rl.guards import Guard
from evoltune.train.rl.held_out import Measured
from evoltune.train.step_checkpoints import mark_complete

NAMES = {
    "loss": ("loss",), "reward": ("reward", "rewards/margins"), "kl": ("kl",), "preferred": ("rewards/accuracies",),
    "length": ("completions/mean_length", "completion_length"), "grad_norm": ("grad_norm",), "learning_rate": ("learning_rate",), "entropy": ("entropy",),
}  # fmt: skip
"""Our names -> TRL's, the newest first. The reward of DPO is its margin: how much more the policy prefers the chosen answer than
the reference does; `preferred` is the share of pairs in which it does."""
PARTS = ("verifier", "steps", "instruction", "unjudged")


class GuardedRun(TrainerCallback):  # type: ignore[misc]
    """Raises TrainingError when a guard stops the run; the checkpoints until then are kept."""

    def __init__(self, job: Job, watchdog: Watchdog, name: str, measure: Callable[[Any], Measured]) -> None:
        """`name`: of the reward, as TRL logs it. `measure(model)`: what the held-out prompts show."""
        assert job.recipe.rl is not None
        self._job, self._watchdog, self._name, self._measured = job, watchdog, name, measure
        self._rl = job.recipe.rl
        self._guard = Guard(settings=self._rl)
        self._path = job.folder / METRICS
        self._first = os.environ.get("RANK", "0") == "0"
        self._signalled = False
        self.stopping = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)
        kept = metrics.up_to(self._path, state.global_step)
        for row in kept:
            if "held_out" not in row:
                self._guard.step(row)
            else:
                self._guard.measured(step=row["step"], solved=row["held_out"], length=row.get("held_out_length", 0.0))
        if self._first:
            metrics.replace(self._path, kept)
            sampled = self._job.folder / SAMPLED
            if sampled.exists():
                metrics.replace(sampled, metrics.up_to(sampled, state.global_step))
        if self._guard.first is None:
            self._measure(state.global_step, kwargs["model"])

    def _on_signal(self, number: int, frame: Any) -> None:
        self._signalled = True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._watchdog.beat(f"step {state.global_step}")
        if self._signalled or (self._job.folder / STOP).exists():
            self.stopping = control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        # Of a step whose answers could all not be judged, TRL logs that the reward is None.
        if not logs or not any(name in logs for name in NAMES["reward"]):
            return
        line: dict[str, Any] = {"step": state.global_step}
        for ours, theirs in NAMES.items():
            value = next((logs[name] for name in theirs if name in logs), None)
            if value is not None:
                line[ours] = float(value)
        parts = {part: logs.get(f"{self._name}/{part}") for part in PARTS}
        line |= {part: value for part, value in parts.items() if value is not None}
        self._write(line)
        self._stop_if(self._guard.step(line))
        if state.global_step % self._rl.eval_steps == 0 or state.global_step == state.max_steps:
            self._measure(state.global_step, kwargs["model"])

    def _measure(self, step: int, model: Any) -> None:
        found = self._measured(model)
        solved = list(found.solved)
        self._watchdog.beat(f"measured step {step}")
        if solved:
            kl = {} if found.kl is None else {"kl": found.kl}
            accuracy = sum(solved) / len(solved)
            self._write({"step": step, "held_out": solved, "accuracy": accuracy, "held_out_length": found.length, **kl})
        self._stop_if(self._guard.measured(step=step, solved=solved, length=found.length, kl=found.kl))

    def _write(self, line: dict[str, Any]) -> None:
        if self._first:
            metrics.append(self._path, line)

    def _stop_if(self, problem: str) -> None:
        if problem:
            raise TrainingError(
                f"{problem}: stopped; the checkpoints until then are in {self._job.steps}, the curves in {self._path}: look at "
                "the answers, mend the reward, and start again with another --out"
            )

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._first:
            mark_complete(self._job.steps / f"checkpoint-{state.global_step}")
        self._watchdog.beat(f"saved step {state.global_step}")
