"""The driver's side of training: check, write the job, start the trainer process(es), wait, check the result.

    train(load_recipe("smoke/math"), "runs/smoke-math/dataset", Path("runs/smoke-math/checkpoint"))

Imports no torch. A finished checkpoint of the same job is returned as it is; a killed one goes on from its last step.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from evoltune import errors
from evoltune.errors import TrainingError
from evoltune.recipe import Recipe
from evoltune.train.base import resolve_base
from evoltune.train.checkpoint import MANIFEST
from evoltune.train.job import Job, make_job, read_job, write_job


def train(
    recipe: Recipe, dataset: str | Path, out: Path, *, allow_uncertified: bool = False
) -> dict[str, Any]:
    """Fine-tunes `recipe.train` on a dataset into `out`; returns the manifest.

    Raises CertificateError for a dataset without one (unless allowed), DataError for bad rows, TrainingError.
    """
    rows = _rows_file(str(dataset))
    certificate = _certificate(recipe, Path(rows), allow_uncertified)
    job = make_job(recipe, rows, str(resolve_base(recipe.train.model_name_or_path)), out, certificate)
    done = _finished(job)
    if done is not None:
        print(f"  train: {out} is finished already ({done['steps']} steps)", file=sys.stderr)
        return done
    _clear(job)
    path = write_job(job)
    _run([sys.executable, "-m", "evoltune.train", str(path)], job)
    done = _finished(job)
    if done is None:
        raise TrainingError(f"the trainer ended without {job.folder / MANIFEST}: see its output above")
    data = done["data"]
    print(
        f"  train: {done['steps']} steps on {data['kept']} rows ({data['tokens']} tokens, {data['dropped_too_long']} dropped, "
        f"{data['truncated']} truncated as longer than {recipe.train.max_length}), last loss {done['final_loss']:.4f}: {out}",
        file=sys.stderr,
    )
    return done


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
    from evoltune.evaluate import load_suite

    data = Path(recipe.eval.data) if recipe.eval.data else None
    found = require_certificate(rows, {name: load_suite(name, data) for name in recipe.eval.suites}, allow)
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


def _run(command: list[str], job: Job) -> None:
    code = subprocess.run(command, env=environment(job)).returncode
    if code:
        raise _failure(job, code)


def environment(job: Job) -> dict[str, str]:
    """The trainer's environment: quiet libraries, then the recipe's own variables, then what the user has set."""
    quiet = {
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONWARNINGS": "ignore",
        # OpenMP threads that spin starve each other on a busy machine: 25 s a step against 2.5 s, measured at load 4 on 2 cores.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return {**quiet, **job.recipe.compute.env, **os.environ}


def _failure(job: Job, code: int) -> errors.EvoltuneError:
    """What the lowest failed rank reported, as the error that it was."""
    for path in sorted(job.folder.glob("error-*.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        kind = getattr(errors, report["kind"], TrainingError)
        error = TrainingError(report["message"])
        error.exit_code = report["exit_code"]
        return kind(report["message"]) if kind is not errors.MissingExtraError else error
    return TrainingError(
        f"the trainer ended with exit code {code}: its last lines stand above; the same command goes on"
    )


def describe_launch(recipe: Recipe, out: Path) -> str:
    """The command that would start the trainer."""
    return f"{sys.executable} -m evoltune.train {out / 'job.json'}"
