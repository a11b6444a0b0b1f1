"""A training job: its file, and how a rank reports errors and hangs to the driver. Imports no torch.

It is `job.json` in the checkpoint's folder. Invariant: its fingerprint covers everything that changes the result, so a
finished or interrupted job is only ever continued by the same job.
"""

import faulthandler
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from evoltune import errors
from evoltune.errors import EvoltuneError, MissingExtraError, TrainingError
from evoltune.recipe import Recipe
from evoltune.record import digest
from evoltune.rows.files import file_digest, write_file, write_json
from evoltune.run.paths import HEARTBEAT, JOB, STEPS, train_rows

# Settings that decide how the work is done, but not its result.
_WITHOUT_EFFECT = ("report_to", "save_steps", "save_total_limit", "logging_steps", "resume_from_checkpoint")
HUNG = 75  # exit code of a rank that its own watchdog ended (EX_TEMPFAIL)


class Job(Struct, frozen=True, kw_only=True):
    """Everything that a rank needs to know."""

    recipe: Recipe
    rows: str
    """File or hub id of the training rows."""
    base: str
    """Folder of the base model."""
    out: str
    fingerprint: str
    certificate: str = ""
    """Path of the dataset's certificate; empty: none."""

    @property
    def seed(self) -> int:
        return self.recipe.seed if self.recipe.train.seed is None else self.recipe.train.seed

    @property
    def folder(self) -> Path:
        return Path(self.out)

    @property
    def file(self) -> Path:
        return self.folder / JOB

    @property
    def steps(self) -> Path:
        """Checkpoints of an unfinished job, with optimizer state."""
        return self.folder / STEPS


def make_job(recipe: Recipe, rows: str, base: str, out: Path, certificate: Path | None) -> Job:
    """A job with its fingerprint. `rows`: as `rows_of` returns it."""
    train = {k: v for k, v in msgspec.to_builtins(recipe.train).items() if k not in _WITHOUT_EFFECT}
    return Job(
        recipe=recipe,
        rows=rows,
        base=base,
        out=str(out.resolve()),
        fingerprint=digest([train, recipe.seed, file_digest(Path(rows)) if Path(rows).is_file() else rows]),
        certificate=str(certificate.resolve()) if certificate else "",
    )


def rows_of(dataset: str) -> str:
    """The training file of a dataset folder or run; a file or hub id unchanged."""
    path = Path(dataset).expanduser()
    if (rows := train_rows(path)) is not None:
        return str(rows.resolve())
    return str(path.resolve()) if path.exists() else dataset


def write_job(job: Job) -> None:
    write_file(job.file, msgspec.json.format(msgspec.json.encode(job), indent=1))


def read_job(path: Path) -> Job:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Job)
    except (OSError, msgspec.DecodeError) as error:
        raise TrainingError(f"{path}: not a training job: {error}") from error


# ---- errors and hangs of ranks


def write_error(job: Job, rank: int, error: EvoltuneError) -> None:
    """Leaves a rank's error for the driver."""
    report = {"kind": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
    write_json(job.folder / f"error-{rank}.json", report)


def remove_errors(job: Job) -> None:
    for path in job.folder.glob("error-*.json"):
        path.unlink()


def read_error(job: Job) -> EvoltuneError | None:
    """The error that the lowest failed rank left, of its own class."""
    for path in sorted(job.folder.glob("error-*.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        kind = getattr(errors, report["kind"], TrainingError)
        error: EvoltuneError = (TrainingError if kind is MissingExtraError else kind)(report["message"])
        error.exit_code = report["exit_code"]
        return error
    return None


class Watchdog(threading.Thread):
    """Ends this rank, with its stack traces and a clear error, if it makes no progress for `compute.hang_timeout_s`.

    It starts before anything that can wait (rendezvous, loading, compilation). SIGUSR1 prints the stack traces at any
    time.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(daemon=True, name="watchdog")
        self._job, self._limit = job, job.recipe.compute.hang_timeout_s
        self._rank = int(os.environ.get("RANK", "0"))
        self._last, self._event = time.monotonic(), "start"
        faulthandler.register(signal.SIGUSR1, all_threads=True)

    def beat(self, event: str) -> None:
        """Reports progress; `event` says what was done, such as `step 4`."""
        self._last, self._event = time.monotonic(), event
        if self._rank == 0:
            (self._job.folder / HEARTBEAT).write_text(f"{event}\n", encoding="utf-8")

    def run(self) -> None:
        while time.monotonic() - self._last <= self._limit:
            time.sleep(min(1.0, self._limit / 4))
        faulthandler.dump_traceback(file=sys.stderr)
        error = TrainingError(
            f"rank {self._rank} made no progress for {self._limit:g} s after {self._event!r}: another rank is lost or a collective "
            "hangs; see its stack traces above; run the same command again to continue from the last checkpoint "
            "(compute.hang_timeout_s sets the limit)"
        )
        write_error(self._job, self._rank, error)
        os._exit(HUNG)
