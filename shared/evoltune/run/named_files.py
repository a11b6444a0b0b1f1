"""The files and folders that a recipe names are looked for before anything is spent, not when the stage that reads them begins.

    check_named_files(load_recipe("mine.yaml"), ("build",))
    # DataError: curate.mix.0.path: extra.jsonl: no such file or folder: ...

Invariant: only the file system is asked; hub ids and addresses (s3://...) are left to the stage.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

from evoltune.errors import DataError, naming
from evoltune.recipe import Recipe
from evoltune.record import digest
from evoltune.rows.dumps import is_dump
from evoltune.rows.files import file_digest
from evoltune.rows.readers import refuse_missing
from evoltune.run.paths import train_rows, user_path


def check_named_files(
    recipe: Recipe, stages: Collection[str] = ("evolve", "build", "train", "reward", "rl", "eval")
) -> None:
    """Raises DataError for the first path, named by its key, that these stages would look for in vain."""
    for stage, key, ref in _rows(recipe):
        if stage in stages and not is_dump(ref):
            with naming(key):
                refuse_missing(ref)
    for stage, key, path, is_right, kind in (
        ("evolve", "seeds.snippets", recipe.seeds.snippets, Path.is_dir, "folder"),
        ("eval", "eval.data", recipe.eval.data, Path.is_dir, "folder"),
        (
            "reward",
            "reward.steps.rows",
            recipe.reward and recipe.reward.steps and recipe.reward.steps.rows,
            Path.is_file,
            "file",
        ),
        (
            "reward",
            "reward.instructions.rows",
            recipe.reward and recipe.reward.instructions and recipe.reward.instructions.rows,
            Path.is_file,
            "file",
        ),
        ("evolve", "teacher.cassette", recipe.teacher.cassette, Path.is_file, "file"),
        ("train", "compute.hostfile", recipe.compute.hostfile, Path.is_file, "file"),
    ):
        if path and stage in stages and not is_right(user_path(path)):
            raise DataError(
                f"{key}: {path}: no such {kind}: correct the path (in a recipe it is relative to that file)"
            )


def content_of(ref: str) -> str:
    """A digest of what a file or a folder of rows holds, else the address; "" for a path where nothing is."""
    prefix, path = (ref.partition(":")[0], user_path(ref.partition(":")[2])) if is_dump(ref) else ("", user_path(ref))
    if path.is_file():
        return digest([prefix, file_digest(path)])
    if (rows := train_rows(path)) is not None:  # of a run or of a dataset
        return digest([prefix, file_digest(rows)])
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return digest([prefix, [[str(file.relative_to(path)), file_digest(file)] for file in files]])
    try:
        refuse_missing(path if prefix else ref)
    except DataError:
        return ""
    return ref


def _rows(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    """(stage that reads it, key, path or id) of all rows that the recipe names."""
    seeds = recipe.seeds.path or ()
    for path in (seeds,) if isinstance(seeds, str) else seeds:
        yield "evolve", "seeds.path", path
    for i, source in enumerate(recipe.curate.mix):
        yield "build", f"curate.mix.{i}.path", source.path
    if recipe.train.dataset:
        yield "train", "train.dataset", recipe.train.dataset
    if recipe.rl and recipe.rl.prompts:
        yield "rl", "rl.prompts", recipe.rl.prompts
    for i, system in enumerate(recipe.eval.judge.baselines if recipe.eval.judge else ()):
        if system.answers:
            yield "eval", f"eval.judge.baselines.{i}.answers", system.answers
