"""`evoltune batch export|import RECIPE RUN FILE`: generation through a provider's batch files, at half price."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from evoltune.cli import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="action", required=True, metavar="export|import")
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


def run(args: argparse.Namespace) -> int:
    """Exports the open calls, or imports results and says what is still open."""
    from evoltune.domain import load_domain
    from evoltune.evolve.batch import collect, export_batch, import_batch
    from evoltune.recipe import load_recipe
    from evoltune.store import Store

    recipe = load_recipe(args.recipe, args.overrides)
    domain = load_domain(recipe.domain)
    with Store.open(args.run) as store:
        calls = collect(recipe, domain, store)
        if args.action == "export":
            count = export_batch(calls.values(), args.file)
            options.say(args, {"calls": count, "file": args.file}, [f"{count} calls written to {args.file}"])
            return 0
        result = import_batch(recipe, store, calls, args.file)
        left = len(collect(recipe, domain, store))
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
