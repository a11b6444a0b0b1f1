"""`evoltune suites`: the benchmark suites that can be measured, what is in them, and new balanced ones.

evoltune suites                                              profile, licence, hash, where the file is
evoltune suites compare general/wizardlm general/vicuna      shares of skills and difficulty
evoltune suites build rows.jsonl --size 218 --out set.jsonl  a difficulty-balanced set from your rows
"""

import argparse
from collections import Counter
from pathlib import Path

from evoltune.cli import options
from evoltune.errors import RecipeError
from evoltune.evaluate.balanced_set import balanced_set, difficulty_in
from evoltune.evaluate.suite_catalogue import share_tables, suite_rows, suite_shares
from evoltune.evaluate.task_fields import numeric_order
from evoltune.rows.files import jsonl_writer
from evoltune.rows.readers import read_rows
from evoltune.terminal import table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = __doc__ and __doc__.partition("\n\n")[2]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_listing(parser)
    actions = parser.add_subparsers(dest="action", metavar="ls|compare|build")
    _add_listing(actions.add_parser("ls", help="list the suites (the default)"))
    compare = actions.add_parser("compare", help="shares of skills and difficulty, suites side by side")
    compare.add_argument("suite", nargs="+", help="suite, domain/suite or domain:FILE")
    _add_listing(compare)
    build = actions.add_parser("build", help="draw a set balanced over difficulty and skill")
    build.add_argument("rows", help="rows with a difficulty and a skill: file, folder or hub id")
    build.add_argument("--size", type=int, default=218, help="problems to draw (default: 218, WizardLM's)")
    build.add_argument("--seed", type=int, default=0)
    build.add_argument("--out", type=options.jsonl_path, required=True, metavar="FILE")
    options.add_json(build)


def _add_listing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with suite files (default: EVOLTUNE_DATA)")
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    if args.action == "build":
        return _build(args)
    if args.action == "compare":
        shares = suite_shares(args.suite, args.data)
        options.say(args, shares, share_tables(shares))
        return 0
    rows = suite_rows(args.data)
    options.say(args, rows, table([*rows[0]], [[*row.values()] for row in rows]))
    return 0


def _build(args: argparse.Namespace) -> int:
    if args.out.exists():
        raise RecipeError(f"suites build: --out {args.out} exists: choose another name")
    if args.size < 1:
        raise RecipeError(f"suites build: --size {args.size}: must be at least 1")
    rows = balanced_set(read_rows(args.rows), args.size, args.seed)
    with jsonl_writer(args.out) as write:
        for row in rows:
            write(row)
    counts = Counter(difficulty_in(row) for row in rows)
    spread = {difficulty: counts[difficulty] for difficulty in sorted(counts, key=numeric_order)}
    text = ", ".join(f"{difficulty}: {n}" for difficulty, n in spread.items())
    facts = {"file": str(args.out), "rows": len(rows), "by_difficulty": spread}
    options.say(args, facts, [f"{len(rows)} rows in {args.out}; by difficulty {text}"])
    return 0
