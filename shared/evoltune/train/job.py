"""A training job: the file that the driver writes and every rank reads. Imports no torch.

It is `job.json` in the checkpoint's folder. Invariant: its fingerprint covers everything that changes the result, so a
finished or interrupted job is only ever continued by the same job.
"""

import json
from pathlib import Path

import msgspec
from msgspec import Struct

from evoltune import errors
from evoltune.errors import EvoltuneError, MissingExtraError, TrainingError
from evoltune.recipe import Recipe
from evoltune.record import digest
from evoltune.rows.files import file_digest, write_file, write_json
from evoltune.run.paths import JOB, STEPS, train_rows

# Settings that decide how the work is done, but not its result.
_WITHOUT_EFFECT = ("report_to", "save_steps", "save_total_limit", "logging_steps", "resume_from_checkpoint")


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


# ---- errors of ranks


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
