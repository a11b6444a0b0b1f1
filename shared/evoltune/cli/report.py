"""`evoltune report RUN [RUN2]`: writes the run's page."""

from __future__ import annotations

import argparse
from pathlib import Path

from evoltune.errors import StoreError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run directory")


def run(args: argparse.Namespace) -> int:
    from evoltune.report import write_report

    if not args.run.is_dir():
        raise StoreError(f"{args.run}: no such run directory")
    print(write_report(args.run))
    return 0
