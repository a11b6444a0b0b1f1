"""`evoltune evolve|build RECIPE`: one stage of a recipe; a stopped stage continues where it stopped."""

import argparse

from evoltune.cli import options
from evoltune.cli import run as run_verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_recipe(parser)
    run_verb.add_common(parser)


def run(args: argparse.Namespace) -> int:
    return run_verb.execute(args, (args.verb,))
