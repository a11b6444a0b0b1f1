"""Paths in a recipe are relative to the file that names them, wherever a command is started.

    /proj/exp/mine.yaml      seeds: {path: rows.jsonl}      # /proj/exp/rows.jsonl, also from /proj or by `extends:`

Keys of the types FilePath, PathOrHubId and NameOrPath may be paths. Invariant: a loaded recipe holds them relative to the working directory (below
it) or absolute, so that whoever reads it opens them as they are; values of the command line are relative to the working directory
already. What is found only in the working directory, where earlier versions looked, is still taken, and a line says so.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import Meta, Struct

from evoltune.recipe.sections import Teacher
from evoltune.recipe.types import HUB, PATH, NameOrPath, PathOrHubId

Move = Callable[[str, str, tuple[str, ...]], str]
"""(value, the mark of its type, key path) -> new value."""
_MODELS = {"embedded": NameOrPath, "transformers": PathOrHubId, "vllm": PathOrHubId}
"""What `model` is to these kinds of teacher; to the others, the name of a model on a server."""
_DATA_FILE = re.compile(r"\.(jsonl|ndjson|json|csv|parquet|xml|gguf|txt)(\.gz|\.zst)?$")


def struct_of(annotation: Any) -> type[Struct] | None:
    """The section class in a field's type, also inside `tuple[...]` or a union."""
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return annotation
    return next((s for a in get_args(annotation) if (s := struct_of(a))), None)


def mark_of(annotation: Any) -> str:
    """PATH, HUB, NAME, or "" for a key that holds no path."""
    if isinstance(annotation, Meta):
        return str((annotation.extra or {}).get("path", ""))
    return next((mark for part in get_args(annotation) if (mark := mark_of(part))), "")


def located(
    tree: Mapping[str, Any], section: type[Struct], line_of: Callable[[tuple[str, ...]], str]
) -> dict[str, Any]:
    """The tree with its paths as the working directory sees them; `line_of`: the `file:line` of a key path."""

    def move(ref: str, mark: str, key: tuple[str, ...]) -> str:
        line = line_of(key)
        file = Path(line.rpartition(":")[0])
        found = _beside(ref, mark, file.parent, partial(_say, f"{line}: {'.'.join(key)}"))
        return (
            str(Path(found).resolve())
            if key == ("domain",) and Path(found).is_dir() and found.startswith(".")
            else found
        )

    return dict(_moved(tree, section, move, ()))


def relocated(tree: Mapping[str, Any], section: type[Struct], folder: Path) -> dict[str, Any]:
    """The tree of a loaded recipe with its paths relative to `folder`, where a copy of it is about to be written."""
    home = folder.resolve()

    def move(ref: str, mark: str, key: tuple[str, ...]) -> str:
        prefix, given = _apart(ref, mark)
        if not _may_be_path(given, mark, Path(given)):
            return ref
        there = os.path.relpath(Path(given).absolute(), home)
        return prefix + (there if "/" in there else f"./{there}")

    return dict(_moved(tree, section, move, ()))


def _moved(
    tree: Mapping[str, Any], section: type[Struct], move: Move, key: tuple[str, ...]
) -> Iterator[tuple[str, Any]]:
    kinds = {f.name: f.type for f in msgspec.structs.fields(section)}
    if issubclass(section, Teacher):
        kinds["model"] = _MODELS.get(tree.get("kind", Teacher().kind), str)
    for name, value in tree.items():
        yield name, _moved_value(value, kinds.get(name), move, (*key, str(name)))


def _moved_value(value: Any, kind: Any, move: Move, key: tuple[str, ...]) -> Any:
    inner, mark = struct_of(kind), mark_of(kind)
    if isinstance(value, list | tuple):
        return [_moved_value(item, kind, move, (*key, str(i))) for i, item in enumerate(value)]
    if inner and isinstance(value, Mapping):
        return dict(_moved(value, inner, move, key))
    return move(value, mark, key) if mark and isinstance(value, str) else value


def _beside(ref: str, mark: str, folder: Path, say: Callable[[str], None]) -> str:
    if folder == Path.cwd():
        return ref
    prefix, given = _apart(ref, mark)
    here, there = folder / given, Path(given)
    if _may_be_path(given, mark, here) and (_exists(here) or not _exists(there)):
        if _exists(there) and not here.samefile(there):
            say(f"{given}: the one beside the recipe is taken, not the one in the working directory")
        place = Path(os.path.normpath(here))
        if _exists(here) and not (_exists(place) and place.samefile(here)):
            place = here  # `link/../x` is not `x`
        if not place.is_relative_to(Path.cwd()):
            return prefix + str(place)
        found = str(place.relative_to(Path.cwd()))
        return prefix + (found if mark == PATH or _may_be_path(found, mark, place) else f"./{found}")
    if _may_be_path(given, mark, there):
        say(
            f"{given}: is not beside the recipe ({folder}): taken from the working directory, where the next version will not look: "
            f"write {os.path.relpath(there.absolute(), folder)}, or give it on the command line"
        )
    return ref


def _apart(ref: str, mark: str) -> tuple[str, str]:
    """(what stands before a path, the path): `math:rows.jsonl`, `stackexchange:physics/Posts.xml`."""
    prefix, colon, rest = ref.partition(":")
    is_prefix = (
        mark != PATH and re.fullmatch(r"[\w-]+", prefix) and (_DATA_FILE.search(rest) or rest.startswith(("./", "../")))
    )
    return (prefix + colon, rest) if is_prefix else ("", ref)


def _may_be_path(given: str, mark: str, place: Path) -> bool:
    """Whether a value means a path relative to some folder, at `place`: no address, no place of its own, no variable."""
    if not given or given == "-" or re.search(r"^[/~]|^//|://|\$\{|\0", given):
        return False
    is_file = ":" not in given and _DATA_FILE.search(given) is not None  # OWNER/NAME:FILE.gguf is on the hub
    is_explicit = given.startswith(("./", "../")) or given in (".", "..")
    return mark == PATH or is_file or is_explicit or (mark == HUB and _exists(place))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, a folder without permission
        return False


@cache  # a command may load a recipe twice
def _say(where: str, text: str) -> None:
    print(f"{where}: {text}", file=sys.stderr)
