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
from collections.abc import Callable, Collection, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from evoltune.errors import RecipeError
from evoltune.recipe import Recipe
from evoltune.rows.files import atomic_path, file_digest, read_journal, read_json, write_json
from evoltune.run.dev_suite import dev_recipe, refuse_reported
from evoltune.run.paths import HEARTBEAT, JUDGED, MANIFEST, METRICS, SELECTION, STEP_HASHES
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


def damage(folder: Path, patterns: Collection[str] = ("*",)) -> str:
    """What is wrong with the checkpoint, or with those of its files; empty if nothing is."""
    try:
        files = json.loads((folder / STEP_HASHES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "it was never finished"
    for name, stamp in files.items():
        if not any(fnmatch(name, pattern) for pattern in patterns):
            continue
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
    if train.save_total_limit == 1:
        raise RecipeError(
            "train.save_total_limit: 1 keeps one checkpoint, which checkpoint_select: generations would choose between and the last "
            "state: raise it, or set 0, which keeps all"
        )


def select_checkpoint(job: Job, manifest: dict[str, Any], score: ScoreCheckpoint | None) -> dict[str, Any]:
    """Scores the kept checkpoints and the last state, and copies the best weights over the final ones.

    The last state stays unless another scores better; of several such, the earliest. The choice is written to selection.json before any
    weights are copied: a run that is killed in between copies them again, and chooses nothing anew from what is half copied. Returns the
    manifest, with `selected_step`.
    """
    if score is None:
        raise TypeError("train(): checkpoint_select: generations needs the argument `score`")
    chosen = read_json(job.folder / SELECTION) or {}
    if chosen.get("fingerprint") != job.fingerprint:
        chosen = _choose(job, manifest["steps"], score)
        write_json(job.folder / SELECTION, chosen)
    if chosen["chosen"] != manifest["steps"]:
        (best,) = (Path(row["folder"]) for row in chosen["table"] if row["step"] == chosen["chosen"])
        for path in _weights(best):
            _copy(path, job.folder)
        for path in _weights(job.folder):
            if not (best / path.name).is_file():
                path.unlink()
        others = {name: sha for name, sha in manifest["files"].items() if (job.folder / name).is_file()}
        manifest["files"] = others | {p.name: file_digest(p) for p in _weights(job.folder)}
    manifest["selected_step"] = chosen["chosen"]
    write_json(job.folder / MANIFEST, manifest)
    return manifest


def _choose(job: Job, last: int, score: ScoreCheckpoint) -> dict[str, Any]:
    """The content of selection.json: the chosen step, by whom, and the score of each candidate."""
    dev = job.recipe.train.dev_suite
    recipe = dev_recipe(job.recipe, dev)
    lines = read_journal(job.folder / METRICS)
    perplexities = {row["step"]: math.exp(row["loss"]) for row in lines if row["loss"] is not None}
    scored = job.folder / "select"
    table: list[dict[str, Any]] = []
    # The last state first: an open suite's judge compares the others with it.
    for step, folder in sorted(_candidates(job, last), key=lambda found: found[0] != last):
        found = score(recipe, str(folder), scored / str(step), scored / str(last))
        perplexity = perplexities.get(step)
        table.append({"step": step, "score": found, "train_perplexity": perplexity, "folder": str(folder)})
        shown = math.nan if perplexity is None else perplexity
        print(f"  select: step {step}: {found:.1%} on {dev}, training perplexity {shown:.2f}", file=sys.stderr)
    table.sort(key=lambda row: row["step"])
    best = max(table, key=lambda row: (row["score"], row["step"] == last, -row["step"]))
    was_judged = any((scored / str(row["step"]) / JUDGED).is_dir() for row in table)
    judge = _judge_of(job.recipe) if was_judged else None
    return {"suite": dev, "chosen": best["step"], "judge": judge, "fingerprint": job.fingerprint, "table": table}


def _judge_of(recipe: Recipe) -> dict[str, str] | None:
    judge = recipe.eval.judge
    return (
        None
        if judge is None
        else {"kind": judge.teacher.kind, "model": judge.teacher.model, "protocol": judge.protocol}
    )


def chosen_by_another(job: Job) -> str:
    """Says so where another judge than the recipe's chose the checkpoint; else empty. It is not chosen again: the others are deleted."""
    chosen = read_json(job.folder / SELECTION) or {}
    then, now = chosen.get("judge"), _judge_of(job.recipe)
    if not then or not now or then == now:
        return ""
    return (
        f"step {chosen['chosen']} was chosen by the judge {then['model']!r} ({then['protocol']}) and is not chosen again by "
        f"{now['model']!r} ({now['protocol']}), because the other checkpoints are deleted: train with another --out for that"
    )


def _candidates(job: Job, last: int) -> Iterator[tuple[int, Path]]:
    """The undamaged checkpoints in order, completed with the final one's tokenizer and template so that they can be loaded."""
    not_copied = {MANIFEST, METRICS, HEARTBEAT, SELECTION, job.file.name, *(path.name for path in _weights(job.folder))}
    for step, folder in step_folders(job.steps):
        if step == last or damage(folder, _WEIGHTS):
            continue
        for path in job.folder.iterdir():
            if path.is_file() and path.name not in not_copied:
                _copy(path, folder)
        yield step, folder
    yield last, job.folder


def _copy(path: Path, folder: Path) -> None:
    with atomic_path(folder / path.name) as temporary:
        shutil.copyfile(path, temporary)


def _weights(folder: Path) -> list[Path]:
    return [path for pattern in _WEIGHTS for path in sorted(folder.glob(pattern))]
