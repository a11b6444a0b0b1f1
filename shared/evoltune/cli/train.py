"""`evoltune train RECIPE`: fine-tune on the run's dataset (or `--dataset`), here or on many nodes; a stopped job resumes."""

import argparse

from evoltune.cli import options
from evoltune.cli import run as run_verb
from evoltune.run.paths import CHECKPOINT
from evoltune.train.launch_command import launch_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_recipe(parser)
    run_verb.add_common(parser)
    parser.add_argument("--dataset", metavar="REF", help="file, folder, hub id or run to train on (train.dataset)")
    parser.add_argument("--nodes", type=int, metavar="N", help="number of machines (compute.nodes)")
    parser.add_argument("--launcher", metavar="L", help="local, torchrun, deepspeed or slurm (compute.launcher)")
    parser.add_argument("--print-launch", action="store_true", help="print the launch command or batch script and stop")


def run(args: argparse.Namespace) -> int:
    if args.dataset:
        args.overrides.append(f"train.dataset={args.dataset}")
    if args.nodes:
        args.overrides.append(f"compute.nodes={args.nodes}")
    if args.launcher:
        args.overrides.append(f"compute.launcher={args.launcher}")
    if args.print_launch:
        recipe, folder = options.recipe_of(args)
        print(launch_text(recipe, folder / CHECKPOINT))
        return 0
    return run_verb.execute(args, ("train",))
