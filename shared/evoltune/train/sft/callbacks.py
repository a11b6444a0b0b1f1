"""What the Trainer calls in each rank: a monitor for bad losses, spikes and stops, and the metrics of rank 0.

After each step the ranks exchange two numbers in one small all-reduce: the step's loss, and whether any rank was asked to
stop. So all ranks act alike, and a lost rank shows at once. Invariant: a run does not continue with a loss that is not finite.

`metrics.jsonl` has a line for each logged step; a bar shows loss, tokens per second and time left. Model FLOPs
utilisation (MFU) is the floating-point operations of a step as a share of the device's peak.
"""

import math
import os
import shutil
import signal
import statistics
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback

from evoltune.errors import TrainingError
from evoltune.rows.files import write_json
from evoltune.run.paths import EVENTS, METRICS, STOP
from evoltune.train import metrics
from evoltune.train.job import Job, Watchdog, leads_node
from evoltune.train.schedule import BatchLayout
from evoltune.train.sft.examples import Counts
from evoltune.train.step_checkpoints import mark_complete

BAD_STEPS = 3
"""Steps in a row with a zero or non-finite loss after which the run stops: fp16 may overflow in its first steps."""
SPIKE_WINDOW = 50
SAVE_EVERY_S, SAVE_SHARE = 600.0, 0.05
"""Without `save_steps`: seconds between checkpoints, longer where saving would take more than this share of the time."""
# Dense bf16 (V100: fp16) FLOP/s from the data sheets, without sparsity.
PEAKS = {
    "H200": 989e12, "H100": 989e12, "A100": 312e12, "V100": 125e12, "L40S": 362e12, "L4": 121e12, "A10": 125e12,
    "RTX 4090": 165e12, "RTX 3090": 71e12, "B200": 2250e12,
}  # fmt: skip


class TrainingMonitor(TrainerCallback):  # type: ignore[misc]
    """A callback of the Trainer. `observe` is called with each micro-batch and its loss."""

    def __init__(self, job: Job, watchdog: Watchdog) -> None:
        self._job, self._watchdog = job, watchdog
        self._rank, self._leads = int(os.environ.get("RANK", "0")), leads_node(job)
        self._losses: list[torch.Tensor] = []
        self._batches: list[dict[str, torch.Tensor]] = []
        self._recent: deque[float] = deque(maxlen=SPIKE_WINDOW)
        self._bad_steps = 0
        self._signalled = False
        self._saved_at = self._began_save_at = time.monotonic()
        self._save_every_s, self._save_bytes = SAVE_EVERY_S, 0
        self.stopping = False

    def observe(self, loss: torch.Tensor, batch: dict[str, torch.Tensor]) -> None:
        self._losses.append(loss.detach())
        self._batches.append({"input_ids": batch["input_ids"], "labels": batch["labels"]})

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)
        self._saved_at = time.monotonic()
        if (model := kwargs.get("model")) is not None:
            trained = (p for p in model.parameters() if p.requires_grad)
            # the weights, their fp32 copy, and two moments of the optimizer
            self._save_bytes = sum(_size(p) * (p.element_size() + 12) for p in trained)

    def _on_signal(self, number: int, frame: Any) -> None:
        self._signalled = True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._watchdog.beat(f"step {state.global_step}")
        stop = self._signalled or (self._leads and (self._job.own / STOP).exists())
        loss = torch.stack(self._losses).sum()
        flags = torch.as_tensor([float(stop), float(self._is_save_due())], device=loss.device, dtype=loss.dtype)
        shared = torch.cat([loss.reshape(1), flags])
        if args.world_size > 1:
            torch.distributed.all_reduce(shared)
            shared[0] /= args.world_size
        self._check_loss(state.global_step, shared[0].item())
        self._losses.clear()
        self._batches.clear()
        if shared[1].item() > 0:
            self.stopping = control.should_save = control.should_training_stop = True
        if shared[2].item() > 0:
            control.should_save = True
        self._began_save_at = time.monotonic()

    def _is_save_due(self) -> bool:
        """By rank 0's clock, where the recipe leaves the interval to us and the disk has room."""
        waited = time.monotonic() - self._saved_at
        if self._rank or self._job.recipe.train.save_steps or waited < self._save_every_s:
            return False
        if shutil.disk_usage(self._job.folder).free > 2 * self._save_bytes:
            return True
        self._saved_at = time.monotonic()
        need = f"{self._save_bytes / 1e9:.1f} GB"
        print(
            f"  train: no checkpoint is saved yet: it takes {need}, the disk has less than twice that", file=sys.stderr
        )
        return False

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
        metrics.append(self._job.folder / EVENTS, event)
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
        self._saved_at = time.monotonic()
        took = self._saved_at - self._began_save_at
        self._save_every_s = max(SAVE_EVERY_S, took / SAVE_SHARE)
        self._watchdog.beat(f"saved step {state.global_step}")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._watchdog.beat("trained")


class Metrics(TrainerCallback):  # type: ignore[misc]
    """Writes on rank 0 only. When a resumed run trains a step again, its line replaces the old one."""

    def __init__(
        self, job: Job, counts: Counts, layout: BatchLayout, step_tokens: Sequence[int], precision: str
    ) -> None:
        self._path = job.folder / METRICS
        self._counts, self._layout = counts, layout
        self._step_tokens, self._precision = step_tokens, precision
        self._last_step, self._last_time = 0, 0.0
        self._progress = Progress(
            TextColumn("train"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn(),
            console=Console(stderr=True), disable=not sys.stderr.isatty(),
        )  # fmt: skip

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        metrics.replace(self._path, metrics.up_to(self._path, state.global_step))
        self._peak = peak_flops(self._precision)
        per_token, per_label = flops_per_token(kwargs["model"])
        self._flops = per_token + per_label * self._counts.label_tokens / max(1, self._counts.tokens)
        self._last_step, self._last_time = state.global_step, time.monotonic()
        self._progress.start()
        self._bar = self._progress.add_task("train", total=len(self._step_tokens), completed=state.global_step, note="")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        step, before, now = state.global_step, self._last_step, time.monotonic()
        seconds = max(now - self._last_time, 1e-9)
        self._last_step, self._last_time = step, now
        speed = sum(self._step_tokens[before:step]) / seconds
        mfu = self._flops * speed / (self._peak * self._layout.world) if self._peak else None
        line = {
            "step": step,
            "loss": logs["loss"],
            "grad_norm": logs.get("grad_norm"),
            "learning_rate": logs.get("learning_rate"),
            "epoch": round(step * self._layout.batch / max(1, self._counts.kept), 4),
            "seconds_per_step": round(seconds / max(1, step - before), 4),
            "tokens_per_second": round(speed, 1),
            "mfu": round(mfu, 4) if mfu else None,
        }
        metrics.append(self._path, line)
        note = f"loss {logs['loss']:.3f}, {speed:.0f} tokens/s" + (f", MFU {mfu:.0%}" if mfu else "")
        self._progress.update(self._bar, completed=step, note=note)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._progress.stop()


def peak_flops(precision: str) -> float | None:
    """FLOP/s of this rank's device: of a GPU by its name, of a CPU measured (about 0.1 s). None: an unknown GPU."""
    import torch

    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        return next((value for key, value in PEAKS.items() if key in name), None)
    a = torch.ones(1024, 1024, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    best = float("inf")
    for _ in range(4):  # the first one warms up
        start = time.perf_counter()
        torch.mm(a, a)
        best = min(best, time.perf_counter() - start)
    return float(2 * 1024**3 / best)


def flops_per_token(model: Any) -> tuple[float, float]:
    """FLOPs for each token, and those of the head for each label token: 6 per trained weight, 4 per frozen one.

    The products of attention itself and the embedding lookup are left out, as in the usual 6 x parameters x tokens.
    """
    head = model.get_output_embeddings()  # a reward model has none
    tables = {id(m.weight) for m in (model.get_input_embeddings(), head) if m is not None}
    matrices = (p for p in model.parameters() if p.dim() == 2 and id(p) not in tables)
    return float(sum(map(_flops, matrices))), float(_flops(head.weight)) if head is not None else 0.0


def _flops(weight: Any) -> int:
    return _size(weight) * (6 if weight.requires_grad else 4)


def _size(weight: Any) -> int:
    """Its number of values; under ZeRO-3, `numel` counts this rank's share."""
    return int(getattr(weight, "ds_numel", weight.numel()))
