"""`evoltune report RUN`: writes the run's page."""

import argparse
from pathlib import Path

from evoltune.cli import options
from evoltune.errors import DataError
from evoltune.report.run_page import write_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run directory")
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    if not args.run.is_dir():
        raise DataError(f"{args.run}: no such run directory")
    page = write_report(args.run)
    options.say(args, {"page": page}, [str(page)])
    return 0
