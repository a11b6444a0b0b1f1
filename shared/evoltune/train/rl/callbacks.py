"""Callbacks for TRL's trainers: write heartbeat and metrics, obey the stop file, complete checkpoints,
and stop a run that goes wrong.

`metrics.jsonl` has a line for each step, with reward, its parts, KL, length, the share that was not judged, and at some steps the
held-out prompts that are solved. A continued run reads it, so the guards remember what they saw.
"""

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

from transformers import TrainerCallback

from evoltune.errors import TrainingError
from evoltune.run.paths import METRICS, STOP
from evoltune.train import metrics
from evoltune.train.job import Job, Watchdog
from evoltune.train.rl.guards import Guard
from evoltune.train.step_checkpoints import mark_complete

NAMES = {
    "loss": ("loss",), "reward": ("reward",), "kl": ("kl",), "length": ("completions/mean_length", "completion_length"),
    "grad_norm": ("grad_norm",), "learning_rate": ("learning_rate",), "entropy": ("entropy",),
}  # fmt: skip
"""Our names -> TRL's, the newest first."""
PARTS = ("verifier", "steps", "instruction", "unjudged")


class GuardedRun(TrainerCallback):  # type: ignore[misc]
    """Raises TrainingError when a guard stops the run; the checkpoints until then are kept."""

    def __init__(self, job: Job, watchdog: Watchdog, name: str, solve: Callable[[Any], Sequence[float]]) -> None:
        """`name`: of the reward, as TRL logs it. `solve(model)`: the scores of the held-out prompts, in a fixed order."""
        assert job.recipe.rl is not None
        self._job, self._watchdog, self._name, self._solve = job, watchdog, name, solve
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
            self._guard.step(row) if "reward" in row else None
            if "held_out" in row:
                self._guard.measured(step=row["step"], solved=row["held_out"])
        if self._first:
            metrics.replace(self._path, kept)
        if self._guard.first is None:
            self._measure(state.global_step, kwargs["model"])

    def _on_signal(self, number: int, frame: Any) -> None:
        self._signalled = True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._watchdog.beat(f"step {state.global_step}")
        if self._signalled or (self._job.folder / STOP).exists():
            self.stopping = control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if not logs or "reward" not in logs:
            return
        line: dict[str, Any] = {"step": state.global_step}
        for ours, theirs in NAMES.items():
            value = next((logs[name] for name in theirs if name in logs), None)
            if value is not None:
                line[ours] = float(value)
        line |= {part: logs[f"{self._name}/{part}"] for part in PARTS if f"{self._name}/{part}" in logs}
        self._write(line)
        self._stop_if(self._guard.step(line))
        if state.global_step % self._rl.eval_steps == 0 or state.global_step == state.max_steps:
            self._measure(state.global_step, kwargs["model"])

    def _measure(self, step: int, model: Any) -> None:
        solved = list(self._solve(model))
        self._watchdog.beat(f"measured step {step}")
        if solved:
            self._write({"step": step, "held_out": solved, "accuracy": sum(solved) / len(solved)})
        self._stop_if(self._guard.measured(step=step, solved=solved))

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
