"""A training job: its file, and how a rank reports errors and hangs to the driver. Imports no torch.

It is `job.json` in the checkpoint's folder. Invariant: its fingerprint covers everything that changes the result, so a
finished or interrupted job is only ever continued by the same job.
"""

import faulthandler
import json
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from evoltune import errors
from evoltune.awake import AwakeTime
from evoltune.errors import EvoltuneError, MissingExtraError, RecipeError, TrainingError
from evoltune.recipe import Recipe
from evoltune.record import digest
from evoltune.rows.files import file_digest, read_json, write_file, write_json
from evoltune.rows.readers import finished_rows, source_files
from evoltune.run.lock import locked
from evoltune.run.paths import HEARTBEAT, JOB, MANIFEST, STEPS, TRAIN_LOCK, user_path
from evoltune.text.credentials import masked

# Settings that decide how the work is done, but not its result; the rows' content and the batch are hashed apart.
_WITHOUT_EFFECT = (
    "report_to", "save_steps", "save_total_limit", "logging_steps", "resume_from_checkpoint", "dataset",
    "per_device_train_batch_size", "gradient_accumulation_steps", "global_batch_size", "gradient_checkpointing", "loss_chunk",
)  # fmt: skip
OTHER_ENDS_S = 20.0
Kind = Literal["sft", "steps", "instructions", "rl"]
"""What a job does: supervised fine-tuning, a reward model on steps or on instructions, reinforcement learning."""
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
    content: str = ""
    """A hash of the training rows."""
    certificate: str = ""
    """Path of the dataset's certificate; empty: none."""
    kind: Kind = "sft"
    start: str = ""
    """Folder of the checkpoint that training goes on from, an adapter over `base` or a whole model; empty: from `base`."""
    node: str = ""
    """This node's own folder; empty on the first node, whose own folder is `out`."""
    reward_steps: str = ""
    """Folder of the process reward model that RL asks; empty: none."""
    reward_instructions: str = ""
    """The same of the instruction reward model."""
    pairs: str = ""
    """File of the pairs that preference training reads; `rows` then are the prompts."""

    @property
    def seed(self) -> int:
        return self.recipe.seed if self.recipe.train.seed is None else self.recipe.train.seed

    @property
    def is_likelihood(self) -> bool:
        """Whether it makes a reward model of the checkpoint's own likelihood, which trains nothing."""
        return _is_likelihood(self.recipe, self.kind)

    @property
    def folder(self) -> Path:
        return Path(self.out)

    @property
    def own(self) -> Path:
        """Where this node's driver and its ranks leave notes for each other: job, heartbeat, stop, errors."""
        return Path(self.node or self.out)

    @property
    def file(self) -> Path:
        return self.own / JOB

    @property
    def steps(self) -> Path:
        """Checkpoints of an unfinished job, with optimizer state."""
        return self.folder / STEPS


def make_job(
    recipe: Recipe, rows: str, base: str, out: Path, certificate: Path | None, *, kind: Kind = "sft", start: str = "",
    reward_steps: str = "", reward_instructions: str = "", pairs: str = "",
) -> Job:  # fmt: skip
    """A job with its fingerprint. `rows`: as `rows_of` returns it. `start`: a finished checkpoint, or none."""
    content = digest([_content(rows)])
    parts: list[Any] = [settings_of(recipe), content]
    if kind != "sft":
        parts += [kind, *(_made_by(folder) for folder in (start, reward_steps, reward_instructions))]
    if _is_likelihood(recipe, kind):
        parts.append(["likelihood", recipe.reward and recipe.reward.steps and recipe.reward.steps.validation])
    if kind == "rl":
        limits = {key: value for key, value in msgspec.to_builtins(recipe.verify).items() if key != "workers"}
        chosen = recipe.reward.fail_share if recipe.reward else 0.0
        parts += [msgspec.to_builtins(recipe.rl), recipe.domain, limits, chosen]
    if pairs:
        parts.append(file_digest(Path(pairs)))
    return Job(
        recipe=recipe,
        rows=rows,
        base=base,
        out=str(out.resolve()),
        fingerprint=digest(parts),
        content=content,
        certificate=str(certificate.resolve()) if certificate else "",
        kind=kind,
        start=start,
        reward_steps=reward_steps,
        reward_instructions=reward_instructions,
        pairs=pairs,
    )


def _is_likelihood(recipe: Recipe, kind: Kind) -> bool:
    return kind == "steps" and bool(
        recipe.reward and recipe.reward.steps and recipe.reward.steps.method == "likelihood"
    )


def _made_by(folder: str) -> str:
    """What a finished training's result is: its fingerprint; "" for none."""
    found = (read_json(Path(folder) / MANIFEST) or {}) if folder else {}
    return str(found.get("fingerprint", folder))


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """The settings that decide what a training gives, by key path. The batch counts, and not how it is divided."""
    train = recipe.train
    rows = train.per_device_train_batch_size * train.gradient_accumulation_steps
    batch = f"{train.global_batch_size} rows" if train.global_batch_size else f"{rows} rows a device"
    kept = {f"train.{k}": v for k, v in msgspec.to_builtins(train).items() if k not in _WITHOUT_EFFECT}
    return {"seed": recipe.seed, "batch": batch, **kept}


def refuse_replacement(recipe: Recipe, out: Path, content: str | None) -> None:
    """Raises RecipeError if the folder holds what another training made, finished or not: nothing trained is replaced.

    Args:
        content: The hash of the training rows; None while they are not known yet.
    """
    manifest, file = read_json(out / MANIFEST), out / JOB
    if manifest is not None:
        what, remedy = f"a finished checkpoint ({manifest.get('steps')} steps)", ""
        old, rows = manifest.get("recipe"), manifest.get("content")
    elif (newest := _newest_step(out / STEPS)) and file.is_file():
        job = read_job(file)
        what, remedy = f"step {newest} of an unfinished training", "set this back to go on from there, "
        old, rows = msgspec.to_builtins(job.recipe), job.content
    else:
        return
    if differences := _differences(recipe, old, None if content is None else rows != content):
        raise RecipeError(
            f"{out}: holds {what} with other settings: {'; '.join(differences)}: {remedy}give another --out to train beside "
            "it, or move that folder away"
        )


def _newest_step(steps: Path) -> int:
    return max((int(path.name.rpartition("-")[2]) for path in steps.glob("checkpoint-*[0-9]")), default=0)


def _differences(recipe: Recipe, old: object, rows_changed: bool | None) -> list[str]:
    try:
        before, now = settings_of(msgspec.convert(old, Recipe)), settings_of(recipe)
    except msgspec.ValidationError:
        return ["they are of another version of Evoltune"]
    found = [f"{key} was {before[key]!r}, is {now[key]!r}" for key in now if before.get(key) != now[key]]
    return [*found, *(["the training rows have changed"] if rows_changed else [])]


def _content(rows: str) -> Any:
    """What the training rows are: a hash for each file that is read; a hub id as it is."""
    path = Path(rows)
    if path.is_file():
        return file_digest(path)
    return [[file.name, file_digest(file)] for file in source_files(path)[0]] if path.is_dir() else rows


def rows_of(dataset: str) -> str:
    """The training file of a dataset folder or run; a file or hub id unchanged."""
    path = user_path(dataset)
    if (rows := finished_rows(path)) is not None:
        return str(rows.resolve())
    return str(path.resolve()) if path.exists() else dataset


def write_job(job: Job) -> None:
    """Writes it for the ranks, who need none of the recipe's secrets: variables come with their environment."""
    write_file(job.file, msgspec.json.format(msgspec.json.encode(masked(msgspec.to_builtins(job))), indent=1).decode())


def read_job(path: Path) -> Job:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Job)
    except (OSError, msgspec.DecodeError) as error:
        raise TrainingError(f"{path}: not a training job: {error}") from error


def only_trainer(job: Job) -> AbstractContextManager[None]:
    """Rank 0 holds a lock on the folder: another trainer there would write the same checkpoints. A trainer whose driver died
    ends within seconds, so it waits that long. Raises StoreError that names the holder."""
    is_first = os.environ.get("RANK", "0") == "0"
    return locked(job.folder, TRAIN_LOCK, wait_s=OTHER_ENDS_S) if is_first else nullcontext()


def leads_node(job: Job) -> bool:
    """Whether this rank speaks with a driver: rank 0, and the first rank of each other node."""
    rank, local = os.environ.get("RANK", "0"), os.environ.get("LOCAL_RANK", "0")
    return rank == "0" or (bool(job.node) and local == "0")


# ---- errors and hangs of ranks


def write_error(job: Job, rank: int, error: EvoltuneError) -> None:
    """Leaves a rank's error for the driver; on a full disk, only on standard error."""
    report = {"kind": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
    try:
        write_json(job.own / f"error-{rank}.json", report)
    except OSError:
        print(f"evoltune train: {error}", file=sys.stderr, flush=True)


def disk_full(job: Job, file: object = None) -> TrainingError:
    """What is said where a training found no space to write: in `file`, if that is known."""
    free = shutil.disk_usage(job.folder).free / 2**30
    return TrainingError(
        f"{file or job.folder}: no space left on the disk of {job.folder} ({free:.1f} GiB free): free some space and run the same "
        "command again, which goes on from the last checkpoint; train.save_total_limit says how many are kept, --out puts them elsewhere"
    )


def remove_errors(job: Job) -> None:
    for path in job.own.glob("error-*.json"):
        path.unlink()


def read_error(job: Job) -> EvoltuneError | None:
    """The error that the lowest failed rank left, of its own class."""
    for path in sorted(job.own.glob("error-*.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        kind = getattr(errors, report["kind"], TrainingError)
        error: EvoltuneError = (TrainingError if kind is MissingExtraError else kind)(report["message"])
        error.exit_code = report["exit_code"]
        return error
    return None


class Watchdog(threading.Thread):
    """Ends this rank, with its stack traces and a clear error, if it makes no progress for `compute.hang_timeout_s`.

    It starts before anything that can wait (rendezvous, loading, compilation). Time in which the process stood still (a
    suspended job, a paused machine) does not count. SIGUSR1 prints the stack traces at any time.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(daemon=True, name="watchdog")
        self._job, self._limit = job, job.recipe.compute.hang_timeout_s
        self._rank = int(os.environ.get("RANK", "0"))
        self._beats, self._event = 0, "start"
        faulthandler.register(signal.SIGUSR1, all_threads=True)

    def beat(self, event: str) -> None:
        """Reports progress; `event` says what was done, such as `step 4`."""
        self._beats, self._event = self._beats + 1, event
        if leads_node(self._job):
            (self._job.own / HEARTBEAT).write_text(f"{event}\n", encoding="utf-8")

    def run(self) -> None:
        tick_s = min(1.0, self._limit / 4)
        seen, silent = self._beats, AwakeTime(tick_s)
        while silent.seconds() <= self._limit:
            time.sleep(tick_s)
            if self._beats != seen:
                seen, silent = self._beats, AwakeTime(tick_s)
        faulthandler.dump_traceback(file=sys.stderr)
        error = TrainingError(
            f"rank {self._rank} made no progress for {self._limit:g} s after {self._event!r}: another rank is lost or a collective "
            "hangs; see its stack traces above; run the same command again to continue from the last checkpoint "
            "(compute.hang_timeout_s sets the limit)"
        )
        write_error(self._job, self._rank, error)
        os._exit(HUNG)
