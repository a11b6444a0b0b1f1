"""`evoltune ablate RECIPE`: train and score one recipe with diversity, quality, quantity, task mix and round mix varied.

    evoltune ablate smoke/math --out runs/smoke-math --axes quality,quantity --size 200 --repeats 3

Needs the run of the recipe up to `build`. Prints a table with 95% intervals over problems.
"""

import argparse
import sys

from evoltune.cli import options
from evoltune.curate.ablations import AXES
from evoltune.errors import DataError, nearest
from evoltune.evaluate import ablation
from evoltune.rows.storage import is_address
from evoltune.run.paths import ABLATION
from evoltune.run.run import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_recipe(parser)
    parser.add_argument("--axes", default=",".join(AXES), help=f"default: {','.join(AXES)}")
    parser.add_argument("--size", type=int, default=0, metavar="ROWS", help="rows per variant (default: all that fit)")
    parser.add_argument("--repeats", type=int, default=1, help="seeds per variant (default: 1)")
    parser.add_argument("--dry-run", action="store_true", help="print what would be trained and stop")
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    axes = [axis for axis in args.axes.split(",") if axis]
    for axis in axes:
        if axis not in AXES:
            raise DataError(f"--axes: unknown axis {axis!r}: {nearest(axis, AXES)}")
    if args.repeats < 1 or args.size < 0:
        raise DataError(f"--repeats {args.repeats} --size {args.size}: repeats from 1, size from 0 (0: all)")
    if args.out and is_address(args.out):
        raise DataError(f"--out {args.out}: ablate works in a folder: `evoltune runs publish` uploads it later")
    recipe, folder = options.recipe_of(args)
    if not recipe.eval.suites:
        raise DataError("ablate: the recipe names no eval.suites: there is nothing to score by")
    work = Run(recipe=recipe, folder=folder)
    plan = ablation.planned(work, ablation.read_pool(work), axes, args.size, args.repeats)
    print(f"ablate: {len(plan)} trainings over {', '.join(axes)} into {folder / ABLATION}", file=sys.stderr)
    if args.dry_run:
        facts = [{"axis": t.axis, "variant": t.variant, "seed": t.seed, "rows": len(t.rows)} for t in plan]
        options.say(args, facts, ("{axis}: {variant}, seed {seed}: {rows} rows".format(**f) for f in facts))
        return 0
    results = ablation.run_all(work, plan)
    options.say(args, results, ablation.report(results))
    return 0
