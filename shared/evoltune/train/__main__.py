"""Runs one rank of a training job: `python -m evoltune.train JOB.json`, alone or under torchrun or deepspeed."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evoltune.errors import EvoltuneError, is_full
from evoltune.heavy_imports import heavy_imports
from evoltune.train.job import Job, Watchdog, disk_full, only_trainer, read_job, write_error

_FULL = ("No space left", "os error 28", "inline_container")
"""In what safetensors and PyTorch's writer raise on a full disk; the last names no reason at all."""


def main() -> int:
    path = Path(next(a for a in sys.argv[1:] if not a.startswith("--")))  # deepspeed adds --local_rank=N
    job = read_job(path)
    watchdog = Watchdog(job)
    watchdog.start()
    try:
        with only_trainer(job), saying_full(job):
            _run(job, watchdog)
    except EvoltuneError as error:
        write_error(job, int(os.environ.get("RANK", "0")), error)
        if os.environ.get("WORLD_SIZE", "1") != "1":  # the driver prints the error of a single process
            print(f"evoltune train: {error}", file=sys.stderr)
        # All ranks raise the same error; an agent that saw a failure would restart them, only to fail again.
        return 0 if "TORCHELASTIC_RUN_ID" in os.environ else error.exit_code
    return 0


@contextmanager
def saying_full(job: Job) -> Iterator[None]:
    """Inside the block, what libraries raise on a full disk is a TrainingError that names the folder."""
    try:
        yield
    except EvoltuneError:
        raise
    except Exception as error:
        full = is_full(error) if isinstance(error, OSError) else any(sign in str(error) for sign in _FULL)
        if not full:
            raise
        raise disk_full(job, getattr(error, "filename", None)) from error


def _run(job: Job, watchdog: Watchdog) -> None:
    with heavy_imports():
        if job.kind == "sft":
            from evoltune.train.sft.trainer import run
        elif job.kind == "rl":
            from evoltune.train.rl.trainer import run
        elif job.is_likelihood:
            from evoltune.train.reward.likelihood_trainer import run
        else:
            from evoltune.train.reward.trainer import run
    run(job, watchdog)


if __name__ == "__main__":
    sys.exit(main())
