"""`evoltune batch export|import RECIPE RUN FILE`: generation through a provider's batch files, at half price.

`evoltune batch run RECIPE REQUESTS RESULTS` answers them on one's own GPUs instead (`evoltune.teacher.ray_batch`)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from evoltune.cli import options

if TYPE_CHECKING:
    from evoltune.recipe import Recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="action", required=True, metavar="export|run|import")
    for name, text in (
        (
            "export",
            "write the run's open teacher calls as a batch file; repeat after each import until none is left",
        ),
        ("import", "put a batch's results into the run's journal"),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument(
            "recipe", metavar="RECIPE", help="recipe file, shipped name, or the recipe.yaml of a run"
        )
        verb.add_argument("run", type=Path, metavar="RUN", help="run directory")
        verb.add_argument(
            "file", type=Path, metavar="FILE", help="requests to write, or results to read (JSONL)"
        )
        verb.add_argument("overrides", nargs="*", metavar="a.b=c")
        options.add_json(verb)
    verb = verbs.add_parser("run", help="answer a batch file with vLLM engines on a Ray cluster")
    verb.add_argument(
        "recipe", metavar="RECIPE", help="recipe file or shipped name: its teacher.model answers"
    )
    verb.add_argument("file", type=Path, metavar="REQUESTS", help="requests that `batch export` wrote")
    verb.add_argument(
        "results", type=Path, metavar="RESULTS", help="results to append to; what it holds is done"
    )
    verb.add_argument("overrides", nargs="*", metavar="a.b=c")
    verb.add_argument("--replicas", type=int, default=1, metavar="N", help="engines (default: 1)")
    verb.add_argument("--gpus-each", type=int, default=1, metavar="G", help="GPUs of an engine (default: 1)")
    options.add_engine(verb, flag=False)
    options.add_json(verb)


def run(args: argparse.Namespace) -> int:
    """Exports the open calls, or imports results and says what is still open."""
    from evoltune.domain import load_domain
    from evoltune.evolve.open_calls import import_results, open_calls
    from evoltune.recipe import load_recipe
    from evoltune.run.store import Store
    from evoltune.teacher.batch_files import write_requests

    recipe = load_recipe(args.recipe, args.overrides)
    if args.action == "run":
        return _run(args, recipe)
    domain = load_domain(recipe.domain)
    with Store.open(args.run) as store:
        calls = open_calls(recipe, domain, store)
        if args.action == "export":
            count = write_requests(calls.values(), args.file)
            options.say(args, {"calls": count, "file": args.file}, [f"{count} calls written to {args.file}"])
            return 0
        result = import_results(recipe, store, calls, args.file)
        left = len(open_calls(recipe, domain, store))
    for line in result.failed[:20]:
        print(f"failed: {line}", file=sys.stderr)
    facts = {
        "journalled": result.journalled,
        "failed": result.failed,
        "unknown": result.unknown,
        "open": left,
    }
    line = (
        f"{result.journalled} replies journalled, {len(result.failed)} failed, {result.unknown} not asked for; "
        f"{left} calls are open now" + (": export again" if left else ": run `evoltune evolve` to finish")
    )
    options.say(args, facts, [line])
    return 0


def _run(args: argparse.Namespace, recipe: Recipe) -> int:
    from evoltune.cluster import engine
    from evoltune.errors import RecipeError
    from evoltune.teacher.ray_batch import run_batch

    if min(args.replicas, args.gpus_each) < 1:
        raise RecipeError(f"--replicas {args.replicas}, --gpus-each {args.gpus_each}: both from 1")
    with engine.using("ray", args.ray_address or recipe.compute.ray_address):
        answered, failed = run_batch(
            recipe.teacher.model, args.file, args.results, replicas=args.replicas, gpus_each=args.gpus_each
        )
    line = f"{answered} requests answered in {args.results}" + (
        f", {failed} failed: run it again" if failed else ""
    )
    options.say(args, {"answered": answered, "failed": failed, "file": args.results}, [line])
    return 1 if failed else 0
