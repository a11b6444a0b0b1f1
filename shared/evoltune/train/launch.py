"""The driver's side of training: check, write the job, start the trainer process(es), wait, check the result.

    train(load_recipe("smoke/math"), "runs/smoke-math/dataset", Path("runs/smoke-math/checkpoint"), suites={})

A finished checkpoint of the same job is returned as it is; an interrupted job continues from its last step. Imports no torch.
"""

import math
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evoltune.curate.certificate import certificate_path, require_certificate
from evoltune.errors import EvoltuneError, TrainingError
from evoltune.models.checkpoint import read_manifest
from evoltune.models.locate import ModelRef, download_model
from evoltune.recipe import Recipe
from evoltune.rows.files import write_file
from evoltune.run.paths import JOB_SCRIPT, MANIFEST, METRICS
from evoltune.train.checkpoint_selection import ScoreCheckpoint, check_selection, select_checkpoint
from evoltune.train.deepspeed import refuse_stale_locks
from evoltune.train.job import Job, make_job, read_error, read_job, remove_errors, rows_of, write_job
from evoltune.train.launch_command import launch_command, slurm_script
from evoltune.train.network import network_environment
from evoltune.train.trainer_process import run_trainer


def train(
    recipe: Recipe,
    dataset: str | Path,
    out: Path,
    *,
    suites: Mapping[str, Any],
    score: ScoreCheckpoint | None = None,
    allow_uncertified: bool = False,
) -> dict[str, Any]:
    """Fine-tunes `recipe.train` on a dataset.

    Args:
        recipe: The whole recipe; its `train` and `compute` sections decide.
        dataset: A file, a dataset folder, a run, or a hub id.
        out: The checkpoint's folder.
        suites: The evaluation suites by name: the dataset must be certified as decontaminated against them.
        score: Evaluates a checkpoint on the dev suite; needed for `checkpoint_select: generations`.
        allow_uncertified: Train without that certificate.

    Returns:
        The checkpoint's manifest.

    Raises:
        CertificateError: The dataset has no certificate for the suites.
        DataError: A row cannot be trained on.
        TrainingError: The job failed; it continues when it is started again.
    """
    check_selection(recipe)
    rows = rows_of(str(dataset))
    certificate = _certificate(Path(rows), suites, allow_uncertified)
    base = download_model(ModelRef(recipe.train.model_name_or_path, recipe.train.model_revision))
    job = make_job(recipe, rows, str(base), out, certificate)
    manifest = _finished(job)
    if manifest is not None:
        print(f"  train: {out} is finished already ({manifest['steps']} steps)", file=sys.stderr)
    else:
        manifest = _run(job)
    if recipe.train.checkpoint_select == "generations" and "selected_step" not in manifest:
        manifest = select_checkpoint(job, manifest, score)
    shutil.rmtree(job.steps, ignore_errors=True)
    return manifest


def _run(job: Job) -> dict[str, Any]:
    recipe = job.recipe
    _remove_leftovers(job)
    command = launch_command(job.file, recipe)
    if recipe.train.deepspeed != "none":
        refuse_stale_locks()
    write_job(job)
    slurm = recipe.compute.launcher == "slurm"
    if slurm:
        write_file(job.folder / JOB_SCRIPT, slurm_script(job.file, recipe))
    # A batch job may wait in its queue for days; once it runs, the ranks' own watchdogs enforce the limit.
    hang_timeout_s = math.inf if slurm else recipe.compute.hang_timeout_s
    code = run_trainer(command, environment(job), job.folder, hang_timeout_s)
    manifest = _finished(job)
    if manifest is None:
        raise _failure(job, code)
    data = manifest["data"]
    print(
        f"  train: {manifest['steps']} steps on {data['kept']} rows ({data['tokens']} tokens, {data['dropped_too_long']} dropped, "
        f"{data['truncated']} truncated as longer than {recipe.train.max_length}), last loss {manifest['final_loss']:.4f}: {job.out}",
        file=sys.stderr,
    )
    return manifest


def _certificate(rows: Path, suites: Mapping[str, Any], allow_uncertified: bool) -> Path | None:
    if not suites:
        return None
    certificate = require_certificate(rows, suites, allow_uncertified)
    for problem in certificate["problems"]:
        print(f"  train: uncertified: {problem}", file=sys.stderr)
    return certificate_path(rows) if certificate_path(rows).is_file() else None


def _finished(job: Job) -> dict[str, Any] | None:
    manifest = read_manifest(job.folder)
    return manifest if manifest and manifest.get("fingerprint") == job.fingerprint else None


def _remove_leftovers(job: Job) -> None:
    """Removes what an earlier attempt or another job left in the folder, except this job's own checkpoints."""
    (job.folder / MANIFEST).unlink(missing_ok=True)
    remove_errors(job)
    if job.file.is_file() and read_job(job.file).fingerprint != job.fingerprint:
        shutil.rmtree(job.steps, ignore_errors=True)
        (job.folder / METRICS).unlink(missing_ok=True)


def environment(job: Job) -> dict[str, str]:
    """The trainer's variables: our defaults, then those of the recipe, then the user's own, each overriding the former."""
    defaults = {
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONWARNINGS": "ignore",
        # A separate store for each rendezvous. With a shared one, a restart that only one agent counts makes ranks wait for
        # different keys, or dial addresses of the round before: two nodes hung until the restart budget was used up.
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        # OpenMP threads that spin starve each other on a busy machine: 25 s a step, not 2.5 s, at load 4 on 2 cores.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return {**defaults, **network_environment(job.recipe), **job.recipe.compute.env, **os.environ}


def _failure(job: Job, code: int) -> EvoltuneError:
    return read_error(job) or TrainingError(
        f"the trainer ended with exit code {code} and without a checkpoint: see its last lines above; run the same command "
        "again to continue"
    )
