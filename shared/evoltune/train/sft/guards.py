"""What watches a run from inside each rank: bad losses, spikes, a wish to stop, hangs.

After each step the ranks agree on two numbers in one small all-reduce: the step's loss and whether anybody wants to stop. So
they always act alike, and a lost peer shows at once. Invariant: a run never goes on with a loss that is no number.
"""

from __future__ import annotations

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
from evoltune.train.job import Job
from evoltune.train.sft.checkpoint import mark_step
from evoltune.train.supervise import STOP
from evoltune.train.watchdog import Watchdog

BAD_STEPS = 3
"""Steps in a row with a loss that is zero or no number before the run stops: fp16's first steps may overflow once or twice."""
SPIKE_WINDOW = 50


class Guards(TrainerCallback):  # type: ignore[misc]
    """`seen` is called with each micro-batch and its loss; the rest are the Trainer's own events."""

    def __init__(self, job: Job, watchdog: Watchdog) -> None:
        self._job, self._rank = job, int(os.environ.get("RANK", "0"))
        self._losses: list[torch.Tensor] = []
        self._batches: list[dict[str, torch.Tensor]] = []
        self._recent: deque[float] = deque(maxlen=SPIKE_WINDOW)
        self._bad = 0
        self._wanted = False
        self.stopping = False
        self.loss = math.nan
        """The last step's, over all ranks."""
        self._watchdog = watchdog

    def seen(self, loss: torch.Tensor, batch: dict[str, torch.Tensor]) -> None:
        self._losses.append(loss.detach())
        self._batches.append({"input_ids": batch["input_ids"], "labels": batch["labels"]})

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:
        self._wanted = True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._watchdog.beat(f"step {state.global_step}")
        wanted = self._wanted or (self._rank == 0 and (self._job.folder / STOP).exists())
        loss = torch.stack(self._losses).sum()
        both = torch.stack([loss, torch.as_tensor(float(wanted), device=loss.device, dtype=loss.dtype)])
        if args.world_size > 1:
            torch.distributed.all_reduce(both)
            both[0] /= args.world_size
        self.loss = both[0].item()
        self._judge(state.global_step)
        self._losses.clear()
        self._batches.clear()
        if both[1].item() > 0:
            self.stopping = control.should_save = control.should_training_stop = True

    def _judge(self, step: int) -> None:
        self._bad = self._bad + 1 if not math.isfinite(self.loss) or self.loss == 0.0 else 0
        if self._bad >= BAD_STEPS:
            path = self._save_batches()
            raise TrainingError(
                f"the loss was {self.loss} in {BAD_STEPS} steps up to step {step}: training stopped, the batch is in {path}: "
                "look for rows of garbage, lower train.learning_rate, or use train.precision: bf16"
            )
        if not self._bad:
            self._report_spike(step)
            self._recent.append(self.loss)

    def _report_spike(self, step: int) -> None:
        if self._rank or len(self._recent) < SPIKE_WINDOW // 2:
            return
        mean, spread = statistics.fmean(self._recent), statistics.pstdev(self._recent)
        if self.loss > mean + 6 * spread and self.loss > 1.5 * mean:
            line = {
                "step": step,
                "event": "spike",
                "loss": self.loss,
                "mean": mean,
                "batch": str(self._save_batches(step)),
            }
            with (self._job.folder / "events.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(
                f"  train: loss spike at step {step}: {self.loss:.3f} after {mean:.3f} on average",
                file=sys.stderr,
            )

    def _save_batches(self, step: int | None = None) -> Path:
        name = f"bad-batch-{self._rank}.json" if step is None else f"spike-{step}.json"
        content = [{key: tensor.tolist() for key, tensor in batch.items()} for batch in self._batches]
        write_json(self._job.folder / name, content)
        return self._job.folder / name

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        mark_step(self._job.steps, state.global_step, args.world_size, self._rank)
        self._watchdog.beat(f"saved step {state.global_step}")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._watchdog.beat("trained")
