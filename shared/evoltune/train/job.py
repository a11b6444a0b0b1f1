"""One training job as a file: what the driver hands to the trainer process(es). Imports no torch.

Written to `OUT/job.json`; its fingerprint names everything that changes the result, so that a finished or half-finished
job is only ever continued by the same job.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from evoltune.errors import TrainingError
from evoltune.recipe import Recipe
from evoltune.record import digest
from evoltune.rows.files import file_digest, write_file

MANIFEST = "manifest.json"
"""Written last: a checkpoint with it is complete."""
CERTIFICATE = "certificate.json"

# How and how fast the work is done; never what comes out.
_NEUTRAL = ("report_to", "save_steps", "save_total_limit", "logging_steps", "resume_from_checkpoint")


class Job(Struct, frozen=True, kw_only=True):
    """Everything that a rank needs to know."""

    recipe: Recipe
    rows: str
    """File or hub id with the training rows."""
    base: str
    """Folder or hub id of the base model's weights."""
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
    def steps(self) -> Path:
        """Checkpoints of an unfinished run, with optimizer state."""
        return self.folder / "steps"


def make_job(recipe: Recipe, rows: str, base: str, out: Path, certificate: Path | None) -> Job:
    train = {k: v for k, v in msgspec.to_builtins(recipe.train).items() if k not in _NEUTRAL}
    mark = digest([train, recipe.seed, file_digest(Path(rows)) if Path(rows).is_file() else rows])
    return Job(
        recipe=recipe,
        rows=rows,
        base=base,
        out=str(out.resolve()),
        fingerprint=mark,
        certificate=str(certificate.resolve()) if certificate else "",
    )


def write_job(job: Job) -> Path:
    path = job.folder / "job.json"
    write_file(path, msgspec.json.format(msgspec.json.encode(job), indent=1))
    return path


def read_job(path: Path) -> Job:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Job)
    except (OSError, msgspec.DecodeError) as error:
        raise TrainingError(f"{path}: not a training job: {error}") from error
