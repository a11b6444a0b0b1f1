"""`evoltune plan RECIPE`: memory by ZeRO stage, steps, tokens, teacher calls and cost, before anything is spent."""

import argparse
import json
from pathlib import Path

from evoltune.cli import options
from evoltune.run.paths import DATASET
from evoltune.train.deepspeed import zero_name
from evoltune.train.plan import as_json, describe, make_plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_recipe(parser)
    parser.add_argument("--gpu-gib", type=float, default=80.0, help="memory of one device in GiB (default: 80)")
    parser.add_argument("--rows", type=int, default=0, help="number of training rows, where there is no dataset")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    recipe, folder = options.recipe_of(args)
    dataset = Path(recipe.train.dataset) if recipe.train.dataset else folder / DATASET
    plan = make_plan(recipe, gpu_gib=args.gpu_gib, rows=args.rows, dataset=dataset)
    lines = [json.dumps(as_json(plan), indent=2)] if args.json else describe(plan, zero_name(recipe.train))
    print("\n".join(lines))
    return 0
