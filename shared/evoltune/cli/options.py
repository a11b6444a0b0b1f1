"""Arguments that several verbs share: a recipe with overrides, where its run lives, and on which engine it runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from evoltune.cluster import engine
from evoltune.errors import DataError
from evoltune.pipeline import default_folder
from evoltune.recipe import Recipe, load_recipe
from evoltune.rows.storage import is_address, working_copy
from evoltune.run.publish import working_on


def add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="recipe file, or a shipped name such as smoke/math")
    parser.add_argument(
        "overrides", nargs="*", metavar="key.path=value", help="e.g. train.learning_rate=1e-5"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="run directory, or an address such as s3://bucket/run (default: runs/NAME)",
    )


def recipe_of(args: argparse.Namespace) -> tuple[Recipe, Path]:
    """The checked recipe and its run directory; of a run at an address, the local copy."""
    recipe = load_recipe(args.recipe, args.overrides)
    if args.out and is_address(args.out):
        return recipe, working_copy(args.out)
    return recipe, Path(args.out) if args.out else default_folder(recipe)


@contextmanager
def published(out: str | None, folder: Path, every_s: float = 0.0) -> Iterator[Callable[[], None]]:
    """For the body, what publishes `folder` where `--out` is an address, and does nothing where it is none; also every
    `every_s` seconds."""
    if not out or not is_address(out):
        yield lambda: None
        return
    with working_on(out, folder, every_s) as publish:
        yield publish


def jsonl_path(text: str) -> Path:
    """Argument type of a JSONL file to write."""
    path = Path(text)
    if path.suffix not in (".jsonl", ".ndjson"):
        raise DataError(f"{path}: rows are written as JSON lines: use a name that ends in .jsonl")
    return path


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON on standard output")


def say(args: argparse.Namespace, facts: Any, lines: Iterable[str]) -> None:
    """A verb's result on standard output: facts as one JSON line for a program, or lines for a person."""
    print(json.dumps(facts, default=str, ensure_ascii=False) if args.json else "\n".join(lines))


def add_engine(parser: argparse.ArgumentParser, *, flag: bool = True) -> None:
    """`--engine` and `--ray-address`; without `flag` (the verb has an --engine of its own) the address alone."""
    if flag:
        parser.add_argument(
            "--engine",
            default="local",
            choices=engine.ENGINES,
            help="where checks run (default: this machine)",
        )
    parser.add_argument(
        "--ray-address", metavar="ADDRESS", help="run checks on this Ray cluster: auto, HOST:PORT, or local"
    )


def engine_of(args: argparse.Namespace) -> AbstractContextManager[None]:
    """The engine that the command line asks for, for the body; naming an address is asking for Ray."""
    ray = args.ray_address is not None or args.engine == "ray"
    return engine.using("ray" if ray else "local", args.ray_address)
