"""`evoltune cassette export RUN FILE`, `replay FILE RECIPE RUN`, `info FILE`: a run's teacher calls as a fixture."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from evoltune.cli import options
from evoltune.domain import load_domain
from evoltune.evolve.loop import evolve
from evoltune.recipe import load_recipe
from evoltune.run.store import Store
from evoltune.teacher.replay import export_cassette, read_cassette


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="action", required=True, metavar="export|replay|info")
    export = verbs.add_parser("export", help="write a run's journal as JSON lines (gzip when FILE ends in .gz)")
    export.add_argument("run", type=Path, metavar="RUN")
    export.add_argument("file", type=Path, metavar="FILE")
    replay = verbs.add_parser("replay", help="evolve a recipe again, with answers from a cassette alone")
    replay.add_argument("file", type=Path, metavar="FILE")
    replay.add_argument("recipe", metavar="RECIPE", help="recipe file, shipped name, or the recipe.yaml of a run")
    replay.add_argument("run", type=Path, metavar="RUN", help="run directory to write")
    replay.add_argument("overrides", nargs="*", metavar="a.b=c")
    info = verbs.add_parser("info", help="count the calls on a cassette by purpose")
    info.add_argument("file", type=Path, metavar="FILE")
    for verb in (export, replay, info):
        options.add_json(verb)


def run(args: argparse.Namespace) -> int:
    """Exports, replays or describes."""
    actions = {"export": _export, "replay": _replay, "info": _info}
    actions[args.action](args)
    return 0


def _export(args: argparse.Namespace) -> None:
    with Store.read(args.run) as store:
        count = export_cassette(store, args.file)
    options.say(args, {"calls": count, "file": args.file}, [f"{count} calls written to {args.file}"])


def _replay(args: argparse.Namespace) -> None:
    source = ["teacher.kind=replay", f"teacher.cassette={args.file}"]
    recipe = load_recipe(args.recipe, [*args.overrides, *source])
    print(f"evolving {recipe.name} from {args.file} into {args.run}", file=sys.stderr)
    with Store.open(args.run) as store:
        ledger = store.check_ledger(evolve(recipe, load_domain(recipe.domain), store))
    options.say(args, ledger, ["; ".join(f"{n} {name}" for name, n in ledger.items())])


def _info(args: argparse.Namespace) -> None:
    purposes: Counter[str] = Counter()
    models: Counter[str] = Counter()
    for call in read_cassette(args.file):
        purposes[str(call.get("purpose", "?"))] += 1
        models[str(call.get("model", "?"))] += 1
    head = f"{purposes.total()} calls of {', '.join(models) or 'no model'}"
    table = [f"  {count:8} {purpose}" for purpose, count in purposes.most_common()]
    options.say(args, {"purposes": purposes, "models": models}, [head, *table])
