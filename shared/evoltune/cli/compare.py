"""`evoltune compare A B`: are two scores different, and what is the first cause.

Prints both scores, the paired comparison on common problems, and everything that can change a score and differs.
Exit 1: the scores cannot be compared (other profile, scorer or problems); the causes are printed all the same.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from evoltune.cli import options
from evoltune.errors import DataError
from evoltune.evaluate.compare import compare, differences
from evoltune.evaluate.results import load_scores, score_table
from evoltune.report.comparison_page import write_comparison


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", type=Path, help="run, eval folder or scores.json")
    parser.add_argument("b", type=Path, help="the other one")
    parser.add_argument(
        "--page", action="store_true", help="write an HTML page that compares two runs, beside the first"
    )
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    scores = {str(place): load_scores(place) for place in (args.a, args.b)}
    causes = differences(args.a, args.b)
    try:
        paired, refusal = compare(args.a, args.b), ""
    except DataError as error:
        paired, refusal = {}, str(error)
    lines = [*score_table(scores, beside=False), *(f"{name}: {p.sentence}" for name, p in paired.items())]
    lines += [f"not compared: {refusal}"] if refusal else []
    lines.append(f"first cause: {causes[0]}" if causes else "nothing that decides a score differs")
    lines += [f"  also: {cause}" for cause in causes[1:]]
    facts = {
        "paired": {name: asdict(p) for name, p in paired.items()},
        "not_compared": refusal,
        "causes": [asdict(cause) for cause in causes],
    }
    if args.page:
        facts["page"] = str(write_comparison(args.a, args.b))
        lines.append(f"page: {facts['page']}")
    options.say(args, facts, lines)
    return 1 if refusal else 0
