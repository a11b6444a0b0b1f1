"""What several commands share: a recipe with overrides, the run's folder, verification, the engine; and how they answer."""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar, get_args

from evoltune.cluster import engine
from evoltune.errors import DataError
from evoltune.recipe import Recipe, Sandbox, Verification, find_recipe, load_recipe
from evoltune.recipe.load import parse_value
from evoltune.recipe.types import Level
from evoltune.rows.files import refuse_device
from evoltune.rows.storage import is_address, working_copy
from evoltune.run.origin import note_origin, refuse_other
from evoltune.run.paths import default_folder, user_path
from evoltune.run.publish import working_on

N = TypeVar("N", int, float)


def add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="recipe file, or a shipped name such as smoke/math")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="e.g. train.learning_rate=1e-5")
    place = "run directory, or an address such as s3://bucket/run (default: runs/NAME)"
    parser.add_argument("--out", type=out_path, metavar="DIR", help=place)


def recipe_of(args: argparse.Namespace) -> tuple[Recipe, Path]:
    """The checked recipe and the run's folder; for a run at an address, its local copy."""
    recipe = load_recipe(args.recipe, args.overrides)
    if args.out and is_address(args.out):
        return recipe, working_copy(args.out)
    if args.out:
        return recipe, Path(args.out)
    folder = default_folder(recipe.name)
    refuse_other(folder, find_recipe(args.recipe))
    return recipe, folder


@contextmanager
def published(args: argparse.Namespace, recipe: Recipe, folder: Path) -> Iterator[Callable[[], None]]:
    """Works on the chosen engine. Yields a function that publishes the run; it does nothing when `--out` is no address."""
    at_address = args.out and is_address(args.out)
    place = working_on(args.out, folder, recipe.compute.publish_every_s) if at_address else nullcontext(lambda: None)

    def noted() -> None:
        if not at_address:
            note_origin(folder, find_recipe(args.recipe))

    with place as publish, engine_of(args):
        try:
            yield publish
        except BaseException:
            with suppress(OSError):  # on a full disk, what stopped the work is the error to show
                noted()
            raise
        noted()


def out_path(text: str) -> str:
    """Argument type of what is written: a path, or an address. The shell leaves `~` as it is in `--out=~/x` and in quotes."""
    return str(user_path(text)) if text.startswith("~") else text


def jsonl_path(text: str) -> Path:
    """Argument type of a JSONL file to write."""
    path = user_path(text)
    if path.suffix not in (".jsonl", ".ndjson"):
        raise DataError(f"{path}: rows are written as JSON lines: use a name that ends in .jsonl")
    return path


def _number(kind: Callable[[str], N], allowed: str, fits: Callable[[N], bool]) -> Callable[[str], N]:
    """An argument type: numbers that fit."""

    def read(text: str) -> N:
        with suppress(ValueError):
            if fits(value := kind(text)):
                return value
        raise argparse.ArgumentTypeError(f"{text!r}: must be {allowed}")

    return read


positive_int = _number(int, "a whole number of at least 1", lambda n: n >= 1)
count = _number(int, "a whole number of at least 0", lambda n: n >= 0)
positive_float = _number(float, "a number above 0", lambda n: 0 < n < math.inf)
share = _number(float, "a number from 0 to 1", lambda n: 0 <= n <= 1)


def counts(text: str) -> list[int]:
    """Argument type of a comma-separated list of whole numbers above 0, as of --k."""
    try:
        return [positive_int(word) for word in text.split(",")]
    except argparse.ArgumentTypeError as error:
        raise DataError(f"--k: {str(error).replace(': must', ' must')}, e.g. --k 1,10") from error


def refuse_input(out: str | Path, *inputs: str | Path) -> None:
    """Raises DataError where --out names a file that the command reads, or a device: writing would destroy it."""
    target = Path(out or ".")
    refuse_device(target)
    if out and target.is_dir():
        raise DataError(f"--out {out} is a folder: name a file to write")
    for given in inputs:
        place = Path(given)
        for file in place.iterdir() if place.is_dir() else (place,):
            if out and target.exists() and file.exists() and target.samefile(file):
                raise DataError(f"--out {out} is the input itself: choose another name")


def words(text: str) -> list[str]:
    """The parts of a comma-separated value."""
    return [word for word in text.split(",") if word]


def add_json(parser: argparse.ArgumentParser, help: str = "print JSON on standard output") -> None:
    parser.add_argument("--json", action="store_true", help=help)


def add_data(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--data", type=user_path, metavar="DIR", help="folder with suite files (default: EVOLTUNE_DATA)"
    )


def finish(parser: argparse.ArgumentParser, execute: Callable[[argparse.Namespace], int | None]) -> None:
    """Adds `--json`, and names the function that executes the command."""
    add_json(parser)
    parser.set_defaults(execute=execute)


def say(args: argparse.Namespace, facts: Any, lines: Iterable[str]) -> None:
    """Prints a command's result: `facts` as one JSON line with --json, else `lines`."""
    print(json.dumps(facts, default=str, ensure_ascii=False) if args.json else "\n".join(lines))


def add_verification(parser: argparse.ArgumentParser, *, require: str) -> None:
    """The limits of verifier processes, named as in a recipe's `verify:` section; `require` is the default isolation."""
    add = parser.add_argument
    add("--workers", type=count, default=0, help="worker processes (0: cores / LOCAL_WORLD_SIZE)")
    add("--program-s", type=positive_float, default=5.0, help="CPU seconds of one program (default: 5)")
    add("--check-s", type=positive_float, default=2.0, help="CPU seconds of our own code for one answer (default: 2)")
    add("--memory-mb", type=positive_int, default=1024, help="memory of one program (default: 1024)")
    isolation = f"refuse to run on a weaker sandbox (default: {require})"
    add("--require-isolation", default=require, choices=get_args(Level), help=isolation)


def verification_of(args: argparse.Namespace, policy: Mapping[str, Any] | None = None) -> Verification:
    """The settings that `add_verification`'s options ask for."""
    return Verification(
        workers=args.workers, program_s=args.program_s, check_s=args.check_s, memory_mb=args.memory_mb,
        sandbox=Sandbox(require=args.require_isolation), policy=dict(policy or {}),
    )  # fmt: skip


def pairs(texts: Iterable[str], option: str, form: str) -> dict[str, str]:
    """The values of an option that is given as KEY=VALUE, by key. Raises DataError."""
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not name or not value:
            raise DataError(f"{option} {text}: must be {form}")
        found[name] = value
    return found


def policy_of(texts: Iterable[str]) -> dict[str, Any]:
    """The values of `--policy KEY=VALUE`, read as YAML."""
    return {key: parse_value(f"{key}={value}", value) for key, value in pairs(texts, "--policy", "KEY=VALUE").items()}


class Renamed(argparse.Action):
    """The old name of an option: it works and says what the new one is. `dest` names the new option."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        new = f"--{self.dest.replace('_', '-')}"
        print(f"{option} is now {new}; the old name will go in the next version", file=sys.stderr)
        setattr(namespace, self.dest, values)


def add_engine(parser: argparse.ArgumentParser, *, flag: bool = True) -> None:
    """Adds `--engine` and `--ray-address`; without `flag`, for commands with an --engine of their own, only the address."""
    add = parser.add_argument
    if flag:
        add("--engine", default="local", choices=engine.ENGINES, help="where checks run (default: local, this machine)")
    add("--ray-address", metavar="ADDRESS", help="run checks on this Ray cluster: auto, HOST:PORT, or local")


def engine_of(args: argparse.Namespace) -> AbstractContextManager[None]:
    """The engine that the command line asks for; giving an address means Ray."""
    ray = args.ray_address is not None or args.engine == "ray"
    return engine.using("ray" if ray else "local", args.ray_address)
