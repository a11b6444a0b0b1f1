"""`evoltune run RECIPE [key.path=value ...]`: every stage, seeds to score."""

from __future__ import annotations

import argparse

from evoltune import pipeline
from evoltune.cli import options
from evoltune.errors import RecipeError, nearest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_recipe(parser)
    parser.add_argument("--stages", default=",".join(pipeline.STAGES), help="comma-separated (default: all)")
    add_common(parser)


def add_common(parser: argparse.ArgumentParser) -> None:
    options.add_json(parser)
    options.add_engine(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and stop")
    parser.add_argument(
        "--allow-uncertified",
        action="store_true",
        help="train on a dataset without a certificate (the report says so)",
    )


def run(args: argparse.Namespace) -> int:
    stages = tuple(s for s in args.stages.split(",") if s)
    if not stages:
        raise RecipeError(f"--stages: names no stage: allowed: {', '.join(pipeline.STAGES)}")
    for stage in stages:
        if stage not in pipeline.STAGES:
            raise RecipeError(f"--stages: unknown stage {stage!r}: {nearest(stage, pipeline.STAGES)}")
    return execute(args, stages)


def execute(args: argparse.Namespace, stages: tuple[str, ...]) -> int:
    """Shared by `run` and the single-stage verbs."""
    recipe, folder = options.recipe_of(args)
    if args.dry_run:
        work = pipeline.Run(recipe=recipe, folder=folder)
        work.check(stages)
        described = pipeline.describe(work, stages)
        options.say(args, {"folder": folder, "stages": stages, "plan": described}, described)
        return 0
    with options.engine_of(args):
        pipeline.run(recipe, folder, stages, allow_uncertified=args.allow_uncertified)
    options.say(args, pipeline.outcome(folder), pipeline.results(folder))
    return 0
