"""`evoltune judge STUDY.yaml`: compare several systems with a model as judge, or prepare a page for people to rank them."""

import argparse
from pathlib import Path

from evoltune.arena.judge import judge_study
from evoltune.arena.ranking_page import write_page
from evoltune.arena.standings import report
from evoltune.arena.study import load_study
from evoltune.cli import options
from evoltune.run.paths import RUNS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", type=Path, help="systems, suite, protocol and judge: see docs/evaluate.md")
    parser.add_argument(
        "--page", action="store_true", help="no judge: write a blinded ranking page for people, and its key"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: runs/judge/STUDY)")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done and stop")
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    study, folder = load_study(args.study), args.out or RUNS / "judge" / args.study.stem
    if args.dry_run:
        facts = {"systems": [s.name for s in study.systems], "suite": study.suite, "out": str(folder)}
        line = f"judge: {len(study.systems)} systems on {study.suite} ({study.protocol}) into {folder}"
        options.say(args, facts, [line])
    elif args.page:
        page, key = write_page(study, folder)
        lines = [f"page for people: {page}", f"key, not for people: {key}"]
        options.say(args, {"page": str(page), "key": str(key)}, lines)
    else:
        result = judge_study(study, folder)
        options.say(args, result, report(result))
    return 0
