"""`train.checkpoint_select: generations`: the checkpoint whose answers score best on a dev suite becomes the final one.

LIMA (2305.11206, appendix B) found perplexity to rise while answers get better, so it is shown here and never used. The dev suite
must not be one that the run reports. Imports no torch: evaluation runs in its own process.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from evoltune.errors import RecipeError
from evoltune.recipe import Recipe
from evoltune.rows.files import atomic_path, file_digest, write_json
from evoltune.train.job import MANIFEST, Job
from evoltune.train.sft.saved import damage

FILE = "selection.json"
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
Score = Callable[[Recipe, str, Path], dict[str, Any]]


def check_selection(recipe: Recipe) -> None:
    """Raises RecipeError where a choice could not be made, or would be made on a reported suite."""
    train = recipe.train
    if train.checkpoint_select == "last":
        return
    if not train.dev_suite:
        raise RecipeError("train.dev_suite: checkpoint_select: generations needs the name of a dev suite")
    if train.dev_suite in recipe.eval.suites:
        raise RecipeError(
            f"train.dev_suite: {train.dev_suite!r} is also one of eval.suites: a dev set must not be reported"
        )
    if not train.save_steps:
        raise RecipeError(
            "train.save_steps: 0 leaves nothing to choose from: set it, e.g. to the steps of an epoch"
        )


def select(job: Job, manifest: dict[str, Any], score: Score) -> dict[str, Any]:
    """Scores the kept checkpoints and the last state; copies the best weights over the final ones. Returns the manifest.

    score(recipe, model folder, out folder): as `evoltune.evaluate.evaluate` gives it. Ties go to the earlier checkpoint.
    """
    dev = job.recipe.train.dev_suite
    wanted = msgspec.structs.replace(
        job.recipe, eval=msgspec.structs.replace(job.recipe.eval, suites=(dev,), baseline=False)
    )
    losses = _losses(job)
    table: list[dict[str, Any]] = []
    for step, folder in _candidates(job, manifest["steps"]):
        result = score(wanted, str(folder), job.folder / "select" / str(step))
        value = _first_measure(result, dev)
        table.append(
            {"step": step, "score": value, "train_perplexity": losses.get(step), "folder": str(folder)}
        )
        print(
            f"  select: step {step}: {value:.1%} on {dev}, training perplexity {losses.get(step, math.nan):.2f}",
            file=sys.stderr,
        )
    best = max(table, key=lambda row: (row["score"], -row["step"]))
    if best["step"] != manifest["steps"]:
        _take(Path(best["folder"]), job.folder)
        manifest["files"] |= {p.name: file_digest(p) for p in _weights(job.folder)}
    manifest["selected_step"] = best["step"]
    write_json(job.folder / FILE, {"suite": dev, "chosen": best["step"], "table": table})
    write_json(job.folder / MANIFEST, manifest)
    return manifest


def _candidates(job: Job, last: int) -> Iterator[tuple[int, Path]]:
    """Sound checkpoints in order, dressed with the final one's tokenizer and template so that evaluation can open them."""
    for folder in sorted(job.steps.glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2])):
        step = int(folder.name.rpartition("-")[2])
        if step == last or damage(folder):
            continue
        weights = set(_weights(folder)) | set(_weights(job.folder))
        for path in job.folder.iterdir():
            if (
                path.is_file()
                and path not in weights
                and path.name not in (MANIFEST, "job.json", "metrics.jsonl", "heartbeat")
            ):
                shutil.copyfile(path, folder / path.name)
        yield step, folder
    yield last, job.folder


def _take(source: Path, target: Path) -> None:
    for path in _weights(target):
        path.unlink()
    for path in _weights(source):
        with atomic_path(target / path.name) as temporary:
            shutil.copyfile(path, temporary)


def _weights(folder: Path) -> list[Path]:
    return [path for pattern in _WEIGHTS for path in sorted(folder.glob(pattern))]


def _first_measure(result: dict[str, Any], suite: str) -> float:
    measures = result["suites"][suite]["measures"]
    return float(next(iter(measures.values()))["value"])


def _losses(job: Job) -> dict[int, float]:
    """exp(loss) by step."""
    path = job.folder / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {row["step"]: math.exp(row["loss"]) for row in map(json.loads, lines)}
