"""`evoltune profiles`: the named ways to score, with their versions and hashes; --lock accepts the present ones."""

import argparse
from pathlib import Path

from evoltune.cli import options
from evoltune.evaluate.profiles import profile_rows, write_lock
from evoltune.terminal import table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lock", type=Path, metavar="FILE", help="write version and hash of every profile to FILE")
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    if args.lock:
        count = write_lock(args.lock)
        options.say(args, {"file": str(args.lock), "profiles": count}, [f"{count} profiles locked in {args.lock}"])
        return 0
    rows = profile_rows()
    options.say(args, rows, table([*rows[0]], [[*row.values()] for row in rows]))
    return 0
