"""`evoltune report RUN [RUN2]`: writes the run's page."""

from __future__ import annotations

import argparse
from pathlib import Path

from evoltune.errors import StoreError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument(
        "other", type=Path, nargs="?", help="a second run: writes a page that compares the two"
    )


def run(args: argparse.Namespace) -> int:
    from evoltune.report import write_comparison, write_report

    for folder in (args.run, args.other):
        if folder is not None and not folder.is_dir():
            raise StoreError(f"{folder}: no such run directory")
    print(write_report(args.run) if args.other is None else write_comparison(args.run, args.other))
    return 0
