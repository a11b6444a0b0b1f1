"""The checkpoints of an unfinished job (`steps/checkpoint-N`): marked complete, checked for damage, chosen from.

    mark_complete(folder); damage(folder) == ""

Invariant: a folder with the mark held every byte of the listed files when it was marked. Imports no torch.

Under `train.checkpoint_select: generations` the checkpoint whose answers score best on a dev suite becomes the final
one. LIMA (2305.11206, appendix B) found that perplexity rises while answers improve, so it is reported but not used.
The dev suite must not be one that the run reports; evaluation runs in processes of its own.
"""

import hashlib
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from evoltune.errors import RecipeError
from evoltune.recipe import Recipe
from evoltune.rows.files import atomic_path, file_digest, read_journal, write_json
from evoltune.run.dev_suite import dev_recipe, refuse_reported
from evoltune.run.paths import HEARTBEAT, MANIFEST, METRICS, SELECTION, STEP_HASHES
from evoltune.train.job import Job

_HASHED_WHOLE = 64 * 2**20
"""Larger files are hashed only at both ends: reading 100 GB again would take minutes for each checkpoint."""
_END = 8 * 2**20
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
ScoreCheckpoint = Callable[[Recipe, str, Path, Path], float]
"""(recipe with the dev suite alone, model folder, output folder, output folder of the checkpoint to compare with) -> score."""


def step_folders(steps: Path) -> list[tuple[int, Path]]:
    """(step, folder) of each checkpoint, in order."""
    return sorted((int(path.name.rpartition("-")[2]), path) for path in steps.glob("checkpoint-*"))


def latest_step(steps: Path) -> Path | None:
    """The newest undamaged checkpoint. A damaged one is reported and skipped."""
    for _, folder in reversed(step_folders(steps)):
        problem = damage(folder)
        if not problem:
            return folder
        print(f"  train: {folder} is not used: {problem}", file=sys.stderr)
    return None


def mark_complete(folder: Path) -> None:
    """Records size and hash of each file; called when all of them are written."""
    paths = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != STEP_HASHES]
    write_json(folder / STEP_HASHES, {str(p.relative_to(folder)): _stamp(p) for p in paths})


def damage(folder: Path) -> str:
    """What is wrong with the checkpoint; empty if nothing is."""
    try:
        files = json.loads((folder / STEP_HASHES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "it was never finished"
    for name, stamp in files.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if _stamp(folder / name) != stamp:
            return f"{name} is not what was saved"
    return ""


def _stamp(path: Path) -> list[Any]:
    size = path.stat().st_size
    if size <= _HASHED_WHOLE:
        return [size, file_digest(path)]
    with path.open("rb") as file:
        head = file.read(_END)
        file.seek(-_END, 2)
        return [size, hashlib.sha256(head + file.read()).hexdigest()]


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

    The last state stays unless another scores better; of several such, the earliest. The scores are written to selection.json. Returns
    the manifest, with `selected_step`.
    """
    if score is None:
        raise TypeError("train(): checkpoint_select: generations needs the argument `score`")
    dev = job.recipe.train.dev_suite
    recipe = dev_recipe(job.recipe, dev)
    lines = read_journal(job.folder / METRICS)
    perplexities = {row["step"]: math.exp(row["loss"]) for row in lines if row["loss"] is not None}
    scored = job.folder / "select"
    table: list[dict[str, Any]] = []
    last, *others = sorted(_candidates(job, manifest["steps"]), key=lambda found: found[0] != manifest["steps"])
    for step, folder in (last, *others):  # the last state first: an open suite's judge compares the others with it
        found = score(recipe, str(folder), scored / str(step), scored / str(last[0]))
        perplexity = perplexities.get(step)
        table.append({"step": step, "score": found, "train_perplexity": perplexity, "folder": str(folder)})
        shown = math.nan if perplexity is None else perplexity
        print(f"  select: step {step}: {found:.1%} on {dev}, training perplexity {shown:.2f}", file=sys.stderr)
    table.sort(key=lambda row: row["step"])
    best = max(table, key=lambda row: (row["score"], row["step"] == manifest["steps"], -row["step"]))
    if best["step"] != manifest["steps"]:
        for path in _weights(job.folder):
            path.unlink()
        for path in _weights(Path(best["folder"])):
            with atomic_path(job.folder / path.name) as temporary:
                shutil.copyfile(path, temporary)
        manifest["files"] |= {p.name: file_digest(p) for p in _weights(job.folder)}
    manifest["selected_step"] = best["step"]
    write_json(job.folder / SELECTION, {"suite": dev, "chosen": best["step"], "table": table})
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


def _weights(folder: Path) -> list[Path]:
    return [path for pattern in _WEIGHTS for path in sorted(folder.glob(pattern))]
