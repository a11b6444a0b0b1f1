"""`evoltune rehearse RECIPE`: every stage in minutes on stand-ins for hub, teacher and base; exit 1 when one would stop.

evoltune rehearse code/wizardcoder-starcoder-15b
evoltune rehearse my.yaml --nodes 2 --keep
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from evoltune.cli import options
from evoltune.recipe import load_recipe
from evoltune.rehearse.rehearsal import Outcome, rehearse
from evoltune.terminal import table


def add_rehearse(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="recipe file, or a shipped name such as code/wizardcoder-starcoder-15b")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="e.g. train.learning_rate=1e-5")
    add = parser.add_argument
    add("--nodes", type=options.positive_int, default=1, metavar="N", help="nodes, each a process (default: 1)")
    add("--processes", type=options.positive_int, default=1, metavar="M", help="training processes a node (default: 1)")
    add("--hub", choices=("stand-in", "real"), default="stand-in", help="where seeds, suites and base come from")
    add("--keep", action="store_true", help="keep the rehearsal's folder and print where it is")
    options.add_json(parser)
    parser.set_defaults(execute=_rehearse)


def _rehearse(args: argparse.Namespace) -> int:
    recipe = load_recipe(args.recipe, args.overrides)
    folder = Path(tempfile.mkdtemp(prefix="evoltune-rehearsal-"))
    print(f"rehearsing {recipe.name} in {folder}", file=sys.stderr, flush=True)
    try:
        outcome = rehearse(recipe, folder, processes=args.processes, nodes=args.nodes, real_hub=args.hub == "real")
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    if args.json:
        print(json.dumps({**asdict(outcome), "ok": outcome.ok}, indent=2))
    else:
        print("\n".join(described(outcome)))
    return 0 if outcome.ok else 1


def described(outcome: Outcome) -> Iterator[str]:
    """The outcome as people read it."""
    body = [[s.name, s.status, f"{s.seconds:.0f} s" if s.seconds else "", s.message] for s in outcome.stages]
    yield from table(["stage", "result", "time", "message"], body)
    yield ""
    yield "stand-ins: " + "; ".join(outcome.stand_ins)
    yield ""
    rows = [[s.key, json.dumps(s.was), json.dumps(s.now), s.why] for s in outcome.shrunk]
    yield from table(["made smaller", "recipe", "rehearsal", "why"], rows)
    yield ""
    yield "not covered:"
    yield from (f"  - {text}" for text in outcome.not_covered)
