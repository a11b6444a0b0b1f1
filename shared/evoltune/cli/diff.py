"""`evoltune diff RUN_A RUN_B`: the first cause of a score change, then everything else that differs."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from evoltune.evaluate.compare import differences
from evoltune.evaluate.tables import load_scores, percent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", type=Path, help="run, eval folder or scores.json")
    parser.add_argument("b", type=Path, help="the other one")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    found = differences(args.a, args.b)
    if args.json:
        print(json.dumps([asdict(difference) for difference in found], ensure_ascii=False, indent=1))
        return 0
    left, right = load_scores(args.a)["suites"], load_scores(args.b)["suites"]
    for suite in [name for name in left if name in right]:
        for measure, value in left[suite]["measures"].items():
            other = right[suite]["measures"].get(measure)
            if other:
                print(f"{suite} {measure}: {percent(value['value'])} -> {percent(other['value'])}")
    if not found:
        print("nothing that decides a score differs")
        return 0
    print(f"first cause: {found[0]}")
    for difference in found[1:]:
        print(f"  also: {difference}")
    return 0
