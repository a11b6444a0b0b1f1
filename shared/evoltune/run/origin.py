"""Which recipe file a run's folder belongs to, so that two recipes of one name never share a folder by default.

    refuse_other(Path("runs/mine"), Path("b/mine.yaml"))     # RecipeError: runs/mine: holds a run of a/mine.yaml ...

Invariant: a folder that was given with --out is the user's choice and is not asked; a recipe that was moved or deleted owns nothing.
"""

from pathlib import Path

from evoltune.errors import RecipeError
from evoltune.rows.files import write_file
from evoltune.run.paths import ORIGIN, RECIPE


def refuse_other(folder: Path, recipe: Path) -> None:
    """Raises RecipeError where the folder holds a run of another recipe file, which is still there."""
    note = folder / ORIGIN
    owner = Path(note.read_text(encoding="utf-8").strip()) if note.is_file() else recipe
    if owner.is_file() and not owner.samefile(recipe) and not _is_copy(folder, recipe):
        raise RecipeError(
            f"{folder}: holds a run of another recipe of the same name, {owner}: give this one a `name:` of its own, or --out"
        )


def note_origin(folder: Path, recipe: Path) -> None:
    """Notes the recipe file of a run that was begun; the run's own copy is none."""
    if folder.is_dir() and not _is_copy(folder, recipe):
        write_file(folder / ORIGIN, f"{recipe.resolve()}\n")


def _is_copy(folder: Path, recipe: Path) -> bool:
    copy = folder / RECIPE
    return copy.is_file() and copy.samefile(recipe)
