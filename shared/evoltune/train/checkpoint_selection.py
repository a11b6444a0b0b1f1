"""`train.checkpoint_select: generations`: the checkpoint whose answers score best on a dev suite becomes the final one.

LIMA (2305.11206, appendix B) found that perplexity rises while answers improve, so it is reported but not used. The dev suite
must not be one that the run reports. Imports no torch: evaluation runs in processes of its own.
"""

import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from evoltune.errors import RecipeError
from evoltune.recipe import Recipe
from evoltune.rows.files import atomic_path, file_digest, write_json
from evoltune.run.dev_suite import dev_recipe, dev_score, refuse_reported
from evoltune.run.paths import HEARTBEAT, MANIFEST, METRICS, SELECTION
from evoltune.train.job import Job
from evoltune.train.step_checkpoints import damage, step_folders

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
ScoreCheckpoint = Callable[[Recipe, str, Path], dict[str, Any]]
"""(recipe, model folder, output folder) -> scores, as `evoltune.evaluate.measure.evaluate` returns them."""


def check_selection(recipe: Recipe) -> None:
    """Raises RecipeError if there would be nothing to choose from or with, or if a reported suite would choose."""
    train = recipe.train
    if train.checkpoint_select == "last":
        return
    if not train.dev_suite:
        raise RecipeError("train.dev_suite: checkpoint_select: generations needs the name of a dev suite")
    refuse_reported("train.dev_suite", train.dev_suite, recipe)
    if not train.save_steps:
        raise RecipeError("train.save_steps: 0 leaves nothing to choose from: set it, e.g. to the steps of an epoch")


def select_checkpoint(job: Job, manifest: dict[str, Any], score: ScoreCheckpoint | None) -> dict[str, Any]:
    """Scores the kept checkpoints and the last state, and copies the best weights over the final ones.

    A tie goes to the earlier checkpoint. The scores are written to selection.json.

    Returns:
        The manifest, with `selected_step`.
    """
    if score is None:
        raise TypeError("train(): checkpoint_select: generations needs the argument `score`")
    dev = job.recipe.train.dev_suite
    recipe = dev_recipe(job.recipe, dev)
    perplexities = _training_perplexities(job)
    table: list[dict[str, Any]] = []
    for step, folder in _candidates(job, manifest["steps"]):
        scores = score(recipe, str(folder), job.folder / "select" / str(step))
        row = {
            "step": step, "score": dev_score(scores), "train_perplexity": perplexities.get(step),
            "folder": str(folder),
        }  # fmt: skip
        table.append(row)
        print(
            f"  select: step {step}: {row['score']:.1%} on {dev}, training perplexity {perplexities.get(step, math.nan):.2f}",
            file=sys.stderr,
        )
    best = max(table, key=lambda row: (row["score"], -row["step"]))
    if best["step"] != manifest["steps"]:
        _replace_weights(Path(best["folder"]), job.folder)
        manifest["files"] |= {p.name: file_digest(p) for p in _weights(job.folder)}
    manifest["selected_step"] = best["step"]
    selection = {"suite": dev, "chosen": best["step"], "table": table}
    write_json(job.folder / SELECTION, selection)
    write_json(job.folder / MANIFEST, manifest)
    return manifest


def _candidates(job: Job, last: int) -> Iterator[tuple[int, Path]]:
    """The undamaged checkpoints in order, completed with the final one's tokenizer and template so that they can be loaded."""
    not_copied = {MANIFEST, METRICS, HEARTBEAT, job.file.name, *(path.name for path in _weights(job.folder))}
    for step, folder in step_folders(job.steps):
        if step == last or damage(folder):
            continue
        for path in job.folder.iterdir():
            if path.is_file() and path.name not in not_copied:
                shutil.copyfile(path, folder / path.name)
        yield step, folder
    yield last, job.folder


def _replace_weights(source: Path, target: Path) -> None:
    for path in _weights(target):
        path.unlink()
    for path in _weights(source):
        with atomic_path(target / path.name) as temporary:
            shutil.copyfile(path, temporary)


def _weights(folder: Path) -> list[Path]:
    return [path for pattern in _WEIGHTS for path in sorted(folder.glob(pattern))]


def _training_perplexities(job: Job) -> dict[int, float]:
    """exp(loss) by step."""
    path = job.folder / METRICS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {row["step"]: math.exp(row["loss"]) for row in map(json.loads, lines)}
