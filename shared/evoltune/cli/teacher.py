"""`evoltune teacher RECIPE`: vLLM replicas for the recipe's endpoints on this host; `--print-launch` shows the script."""

import argparse
import subprocess

from evoltune.recipe import load_recipe
from evoltune.teacher.replicas import launch_script


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="recipe file with teacher.endpoints")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value")
    parser.add_argument("--gpus-each", type=int, default=1, help="GPUs of a replica (tensor parallel; default: 1)")
    parser.add_argument("--host", help="print the script of another host of the recipe")
    parser.add_argument("--print-launch", action="store_true", help="print the script and stop")


def run(args: argparse.Namespace) -> int:
    """Runs the replicas until Ctrl-C or SIGTERM, or prints the script that does."""
    teacher = load_recipe(args.recipe, args.overrides).teacher
    script = launch_script(teacher, gpus_each=args.gpus_each, host=args.host)
    if args.print_launch:
        print(script, end="")
        return 0
    return subprocess.run(["bash", "-c", script]).returncode
