"""Watches a run from inside each rank: bad losses, loss spikes, requests to stop.

After each step the ranks exchange two numbers in one small all-reduce: the step's loss, and whether any rank was asked to
stop. So all ranks act alike, and a lost rank shows at once. Invariant: a run does not continue with a loss that is not finite.
"""

import json
import math
import os
import signal
import statistics
import sys
from collections import deque
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from evoltune.errors import TrainingError
from evoltune.rows.files import write_json
from evoltune.run.paths import EVENTS, STOP
from evoltune.train.job import Job
from evoltune.train.step_checkpoints import mark_complete
from evoltune.train.watchdog import Watchdog

BAD_STEPS = 3
"""Steps in a row with a zero or non-finite loss after which the run stops: fp16 may overflow in its first steps."""
SPIKE_WINDOW = 50


class TrainingMonitor(TrainerCallback):  # type: ignore[misc]
    """A callback of the Trainer. `observe` is called with each micro-batch and its loss."""

    def __init__(self, job: Job, watchdog: Watchdog) -> None:
        self._job, self._watchdog = job, watchdog
        self._rank = int(os.environ.get("RANK", "0"))
        self._losses: list[torch.Tensor] = []
        self._batches: list[dict[str, torch.Tensor]] = []
        self._recent: deque[float] = deque(maxlen=SPIKE_WINDOW)
        self._bad_steps = 0
        self._signalled = False
        self.stopping = False

    def observe(self, loss: torch.Tensor, batch: dict[str, torch.Tensor]) -> None:
        self._losses.append(loss.detach())
        self._batches.append({"input_ids": batch["input_ids"], "labels": batch["labels"]})

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:
        self._signalled = True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._watchdog.beat(f"step {state.global_step}")
        stop = self._signalled or (self._rank == 0 and (self._job.folder / STOP).exists())
        loss = torch.stack(self._losses).sum()
        both = torch.stack([loss, torch.as_tensor(float(stop), device=loss.device, dtype=loss.dtype)])
        if args.world_size > 1:
            torch.distributed.all_reduce(both)
            both[0] /= args.world_size
        self._check_loss(state.global_step, both[0].item())
        self._losses.clear()
        self._batches.clear()
        if both[1].item() > 0:
            self.stopping = control.should_save = control.should_training_stop = True

    def _check_loss(self, step: int, loss: float) -> None:
        """`loss`: the step's, over all ranks."""
        if math.isfinite(loss) and loss != 0.0:
            self._bad_steps = 0
            if self._rank == 0:
                self._report_spike(step, loss)
            self._recent.append(loss)
            return
        self._bad_steps += 1
        if self._bad_steps >= BAD_STEPS:
            path = self._save_batches(f"bad-batch-{self._rank}.json")
            raise TrainingError(
                f"the loss was {loss} in {BAD_STEPS} steps up to step {step}: training stopped, the batch is in {path}: "
                "look for rows of garbage, lower train.learning_rate, or use train.precision: bf16"
            )

    def _report_spike(self, step: int, loss: float) -> None:
        if len(self._recent) < SPIKE_WINDOW // 2:
            return
        mean, spread = statistics.fmean(self._recent), statistics.pstdev(self._recent)
        if loss <= mean + 6 * spread or loss <= 1.5 * mean:
            return
        batch = self._save_batches(f"spike-{step}.json")
        event = {"step": step, "event": "spike", "loss": loss, "mean": mean, "batch": str(batch)}
        with (self._job.folder / EVENTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
        print(f"  train: loss spike at step {step}: {loss:.3f} after {mean:.3f} on average", file=sys.stderr)

    def _save_batches(self, name: str) -> Path:
        content = [{key: tensor.tolist() for key, tensor in batch.items()} for batch in self._batches]
        write_json(self._job.folder / name, content)
        return self._job.folder / name

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if args.world_size > 1:  # every rank has written its part
            torch.distributed.barrier()
        if self._rank == 0:
            mark_complete(self._job.steps / f"checkpoint-{state.global_step}")
        self._watchdog.beat(f"saved step {state.global_step}")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._watchdog.beat("trained")
