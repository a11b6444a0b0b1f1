"""`evoltune report RUN [RUN2]`: writes the run's page."""

from __future__ import annotations

import argparse
from pathlib import Path

from evoltune.cli import options
from evoltune.errors import DataError
from evoltune.report.comparison_page import write_comparison
from evoltune.report.run_page import write_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument(
        "other", type=Path, nargs="?", help="a second run: writes a page that compares the two"
    )
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    for folder in (args.run, args.other):
        if folder is not None and not folder.is_dir():
            raise DataError(f"{folder}: no such run directory")
    page = write_report(args.run) if args.other is None else write_comparison(args.run, args.other)
    options.say(args, {"page": page}, [str(page)])
    return 0
