"""The driver's side of training: check, write the job, start the trainer process(es), wait, check the result.

    train(load_recipe("smoke/math"), "runs/smoke-math/dataset", Path("runs/smoke-math/checkpoint"))

Imports no torch. A finished checkpoint of the same job is returned as it is; a killed one goes on from its last step.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from evoltune import errors
from evoltune.errors import TrainingError
from evoltune.models.base import fetched
from evoltune.recipe import Recipe
from evoltune.rows.files import write_file
from evoltune.train.checkpoint_selection import check_selection, select
from evoltune.train.command import command_for, network_environment, shell, slurm_script
from evoltune.train.deepspeed import refuse_stale_locks
from evoltune.train.job import MANIFEST, Job, make_job, read_job, write_job
from evoltune.train.supervise import supervise


def train(
    recipe: Recipe, dataset: str | Path, out: Path, *, allow_uncertified: bool = False
) -> dict[str, Any]:
    """Fine-tunes `recipe.train` on a dataset into `out`; returns the manifest.

    Raises CertificateError for a dataset without one (unless allowed), DataError for bad rows, TrainingError.
    """
    check_selection(recipe)
    rows = _rows_file(str(dataset))
    certificate = _certificate(recipe, Path(rows), allow_uncertified)
    base = fetched(recipe.train.model_name_or_path, recipe.train.model_revision)
    job = make_job(recipe, rows, str(base), out, certificate)
    done = _finished(job)
    if done is not None:
        print(f"  train: {out} is finished already ({done['steps']} steps)", file=sys.stderr)
        return _closed(job, done)
    _clear(job)
    command = command_for(job.folder / "job.json", recipe)
    if recipe.train.deepspeed != "none":
        refuse_stale_locks()
    write_job(job)
    if recipe.compute.launcher == "slurm":
        write_file(job.folder / "job.sh", slurm_script(job.folder / "job.json", recipe))
    # A batch job may wait in its queue for days; inside it, the ranks' own watchdogs keep the limit.
    silent_s = math.inf if recipe.compute.launcher == "slurm" else recipe.compute.hang_timeout_s
    code = supervise(command, environment(job), job.folder, silent_s)
    done = _finished(job)
    if done is None:
        raise _failure(job, code)
    data = done["data"]
    print(
        f"  train: {done['steps']} steps on {data['kept']} rows ({data['tokens']} tokens, {data['dropped_too_long']} dropped, "
        f"{data['truncated']} truncated as longer than {recipe.train.max_length}), last loss {done['final_loss']:.4f}: {out}",
        file=sys.stderr,
    )
    return _closed(job, done)


def _closed(job: Job, manifest: dict[str, Any]) -> dict[str, Any]:
    """The choice of a checkpoint, if one is to be made; then the steps' optimizer states have no use any more."""
    if job.recipe.train.checkpoint_select == "generations" and "selected_step" not in manifest:
        from evoltune.evaluate.measure import evaluate

        manifest = select(job, manifest, partial(evaluate, baseline=False, allow_uncertified=True))
    shutil.rmtree(job.steps, ignore_errors=True)
    return manifest


def _rows_file(dataset: str) -> str:
    """The training file of a dataset folder or run; a file or hub id as it is."""
    path = Path(dataset).expanduser()
    for file in (path / "dataset" / "train.parquet", path / "train.parquet"):
        if file.is_file():
            return str(file.resolve())
    return str(path.resolve()) if path.exists() else dataset


def _certificate(recipe: Recipe, rows: Path, allow: bool) -> Path | None:
    if not recipe.eval.suites:
        return None
    from evoltune.curate.certificate import certificate_path, require_certificate
    from evoltune.evaluate.suites import load_suite

    data = Path(recipe.eval.data) if recipe.eval.data else None
    found = require_certificate(
        rows, {name: load_suite(name, data, domain=recipe.domain) for name in recipe.eval.suites}, allow
    )
    for problem in found["problems"]:
        print(f"  train: uncertified: {problem}", file=sys.stderr)
    return certificate_path(rows) if certificate_path(rows).is_file() else None


def _finished(job: Job) -> dict[str, Any] | None:
    try:
        manifest: dict[str, Any] = json.loads((job.folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if manifest.get("fingerprint") == job.fingerprint else None


def _clear(job: Job) -> None:
    """Half-finished work of another job is of no use to this one."""
    (job.folder / MANIFEST).unlink(missing_ok=True)
    for path in job.folder.glob("error-*.json"):
        path.unlink()
    old = job.folder / "job.json"
    if old.is_file() and read_job(old).fingerprint != job.fingerprint:
        shutil.rmtree(job.steps, ignore_errors=True)
        (job.folder / "metrics.jsonl").unlink(missing_ok=True)


def environment(job: Job) -> dict[str, str]:
    """The trainer's environment: quiet libraries, then the recipe's own variables, then what the user has set."""
    quiet = {
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONWARNINGS": "ignore",
        # A store of its own for each meeting of the ranks. Shared, a restart that only one agent counts makes ranks wait under
        # different keys, or dial addresses of the round before: two nodes then hang until the budget is gone (seen).
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        # OpenMP threads that spin starve each other on a busy machine: 25 s a step against 2.5 s, measured at load 4 on 2 cores.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return {**quiet, **network_environment(job.recipe), **job.recipe.compute.env, **os.environ}


def _failure(job: Job, code: int) -> errors.EvoltuneError:
    """What the lowest failed rank reported, as the error that it was."""
    for path in sorted(job.folder.glob("error-*.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        kind = getattr(errors, report["kind"], TrainingError)
        if kind is not errors.MissingExtraError:
            found: errors.EvoltuneError = kind(report["message"])
            return found
        error = TrainingError(report["message"])
        error.exit_code = report["exit_code"]
        return error
    return TrainingError(
        f"the trainer ended with exit code {code} and without a checkpoint: its last lines stand above; the same command goes on"
    )


def launch_text(recipe: Recipe, out: Path | None = None) -> str:
    """What would be run: the command for this machine, or the batch script."""
    path = (out or Path("runs") / recipe.name / "checkpoint").resolve() / "job.json"
    if recipe.compute.launcher == "slurm":
        return slurm_script(path, recipe)
    if recipe.compute.launcher == "torchrun" and not recipe.compute.rendezvous:
        recipe = msgspec.structs.replace(
            recipe, compute=msgspec.structs.replace(recipe.compute, rendezvous="127.0.0.1")
        )
    return shell(command_for(path, recipe))
