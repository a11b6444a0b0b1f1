"""`evoltune run RECIPE [key.path=value ...]`: every stage of a recipe, from seeds to scores."""

import argparse

from evoltune import pipeline
from evoltune.cli import options
from evoltune.cluster import slurm
from evoltune.errors import RecipeError, nearest
from evoltune.rows.storage import is_address
from evoltune.run.run import Run
from evoltune.run.summary import outcome, outcome_lines, plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_recipe(parser)
    parser.add_argument(
        "--launcher",
        choices=("local", "slurm"),
        default="local",
        help="slurm: submit one batch job per stage, each waiting for the one before",
    )
    parser.add_argument("--print-launch", action="store_true", help="print the batch scripts and stop; needs no Slurm")
    parser.add_argument("--stages", default=",".join(pipeline.STAGES), help="comma-separated (default: all)")
    add_common(parser)


def add_common(parser: argparse.ArgumentParser) -> None:
    options.add_json(parser)
    options.add_engine(parser)
    parser.add_argument("--dry-run", action="store_true", help="print what would be done and stop")
    parser.add_argument(
        "--allow-uncertified", action="store_true", help="train on a dataset without a certificate (the report says so)"
    )


def run(args: argparse.Namespace) -> int:
    stages = tuple(s for s in args.stages.split(",") if s)
    if not stages:
        raise RecipeError(f"--stages: names no stage: allowed: {', '.join(pipeline.STAGES)}")
    for stage in stages:
        if stage not in pipeline.STAGES:
            raise RecipeError(f"--stages: unknown stage {stage!r}: {nearest(stage, pipeline.STAGES)}")
    if args.print_launch or args.launcher == "slurm":
        return _slurm(args, stages)
    return execute(args, stages)


def _slurm(args: argparse.Namespace, stages: tuple[str, ...]) -> int:
    recipe, folder = options.recipe_of(args)
    if args.out and is_address(args.out):
        raise RecipeError(f"--out {args.out}: Slurm's jobs share a run directory: give a folder that all nodes see")
    Run(recipe=recipe, folder=folder).check(stages)
    if args.print_launch:
        lines = slurm.preview(recipe, folder, stages)
        options.say(args, {stage: slurm.stage_script(recipe, folder, stage) for stage in stages}, lines)
        return 0
    jobs = slurm.submit(recipe, folder, stages)
    options.say(args, jobs, (f"{stage}: job {job}" for stage, job in jobs.items()))
    return 0


def execute(args: argparse.Namespace, stages: tuple[str, ...]) -> int:
    """Runs the stages; `run` and the commands of single stages share it."""
    recipe, folder = options.recipe_of(args)
    if args.dry_run:
        work = Run(recipe=recipe, folder=folder)
        work.check(stages)
        lines = plan(work, stages)
        options.say(args, {"folder": folder, "stages": stages, "plan": lines}, lines)
        return 0
    every_s = recipe.compute.publish_every_s
    with options.published(args.out, folder, every_s) as publish, options.engine_of(args):
        pipeline.run(recipe, folder, stages, allow_uncertified=args.allow_uncertified, after=publish)
    options.say(args, outcome(folder), outcome_lines(folder))
    return 0
