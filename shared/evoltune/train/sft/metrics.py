"""What a run says while it trains: `metrics.jsonl` (one line a logged step), a progress bar, tokens per second, time left."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback

from evoltune.train.hardware import flops_per_token, peak_flops
from evoltune.train.job import Job
from evoltune.train.sft.data import Counts, Plan


class Metrics(TrainerCallback):  # type: ignore[misc]
    """Writes on rank 0 only. Lines of steps that a resumed run trains again are replaced, so steps never stand twice."""

    def __init__(
        self, job: Job, counts: Counts, plan: Plan, step_tokens: Sequence[int], precision: str
    ) -> None:
        self._path = job.folder / "metrics.jsonl"
        self._counts, self._plan, self._step_tokens, self._precision = counts, plan, step_tokens, precision
        self._progress: Progress | None = None
        self._last = (0, 0.0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        old = self._path.read_text(encoding="utf-8").splitlines() if self._path.is_file() else []
        kept = [line for line in old if json.loads(line)["step"] <= state.global_step]
        self._path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._peak = peak_flops(self._precision)
        per_token, per_label = flops_per_token(kwargs["model"])
        self._flops = per_token + per_label * self._counts.label_tokens / max(1, self._counts.tokens)
        self._last = (state.global_step, time.monotonic())
        self._progress = Progress(
            TextColumn("train"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn(),
            console=Console(stderr=True), disable=not sys.stderr.isatty(),
        )  # fmt: skip
        self._progress.start()
        self._bar = self._progress.add_task(
            "train", total=len(self._step_tokens), completed=state.global_step, note=""
        )

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        step, now = self._last[0], time.monotonic()
        seconds = max(now - self._last[1], 1e-9)
        self._last = (state.global_step, now)
        speed = sum(self._step_tokens[step : state.global_step]) / seconds
        mfu = self._flops * speed / (self._peak * self._plan.world) if self._peak else None
        line = {
            "step": state.global_step,
            "loss": logs["loss"],
            "grad_norm": logs.get("grad_norm"),
            "learning_rate": logs.get("learning_rate"),
            "epoch": round(state.global_step * self._plan.batch / max(1, self._counts.kept), 4),
            "seconds_per_step": round(seconds / max(1, state.global_step - step), 4),
            "tokens_per_second": round(speed, 1),
            "mfu": round(mfu, 4) if mfu else None,
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._progress:
            note = f"loss {logs['loss']:.3f}, {speed:.0f} tokens/s" + (f", MFU {mfu:.0%}" if mfu else "")
            self._progress.update(self._bar, completed=state.global_step, note=note)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._progress:
            self._progress.stop()
