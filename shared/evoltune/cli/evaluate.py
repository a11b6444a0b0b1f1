"""`evoltune eval`: measure a model on benchmark suites.

evoltune eval RECIPE [key.path=value ...]                   before and after training, as a stage of the run
evoltune eval --model M --suite math/gsm8k --limit 200      any model: hub id, folder, adapter, or one behind a server
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from evoltune.cli import options
from evoltune.cli import run as run_command
from evoltune.errors import RecipeError
from evoltune.evaluate.measure import evaluate
from evoltune.evaluate.results import score_table
from evoltune.evaluate.suites import judging_domain
from evoltune.recipe import Recipe, load_recipe
from evoltune.run.paths import EVAL, RUNS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = __doc__ and __doc__.partition("\n\n")[2]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("recipe", nargs="?", help="recipe file, or a shipped name such as smoke/math")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="e.g. eval.limit=100")
    parser.add_argument(
        "--out", metavar="DIR", help="where to write (default: runs/NAME; with --model runs/eval/MODEL)"
    )
    options.add_engine(parser, flag=False)
    options.add_json(parser)
    parser.add_argument("--dry-run", action="store_true", help="print what would be done and stop")
    parser.add_argument(
        "--allow-uncertified",
        action="store_true",
        help="score a checkpoint whose training data were not checked against the suites (the scores say so)",
    )
    model = parser.add_argument_group("any model")
    model.add_argument(
        "--model", metavar="M", help="hub id, folder or adapter; with --endpoint the server's name for it"
    )
    model.add_argument("--profile", default="", metavar="P", help="profile instead of the suite's own")
    model.add_argument(
        "--template", default="chat", help="prompt template: chat, alpaca, wizardcoder, wizardmath, lima"
    )
    model.add_argument("--limit", type=int, default=0, metavar="N", help="first N problems")
    model.add_argument("--engine", default="transformers", help="transformers, vllm or http")
    model.add_argument("--endpoint", metavar="URL", help="OpenAI-compatible server for --engine http")
    add_suite_arguments(model)


def add_suite_arguments(group: argparse._ActionsContainer) -> None:
    """Arguments of the commands that work on suites without a recipe."""
    group.add_argument(
        "--suite", action="append", default=[], metavar="S", help="suite, domain/suite or domain:FILE; repeatable"
    )
    group.add_argument("--data", type=Path, metavar="DIR", help="folder with suite files (default: EVOLTUNE_DATA)")
    group.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a key of eval: or verify:, e.g. eval.n=20"
    )


def run(args: argparse.Namespace) -> int:
    if not args.model:
        if not args.recipe:
            raise RecipeError("eval needs a recipe, or --model M --suite S")
        return run_command.execute(args, ("eval",))
    with options.engine_of(args):
        return _evaluate_model(args)


def _evaluate_model(args: argparse.Namespace) -> int:
    if args.recipe:
        raise RecipeError(f"eval --model takes no positional {args.recipe!r}: use --set KEY=VALUE")
    if not args.suite:
        raise RecipeError("eval --model needs --suite: `evoltune suites` lists them")
    chosen = {
        "suites": args.suite, "profile": args.profile, "limit": args.limit, "engine": args.engine, "endpoint": args.endpoint,
        "data": str(args.data) if args.data else None,
    }  # fmt: skip
    domain = judging_domain(args.suite[0])
    recipe = recipe_from_flags(args.set, domain=domain, eval=chosen, train={"template": args.template})
    out = Path(args.out) if args.out else RUNS / EVAL / Path(args.model).name
    if args.dry_run:
        facts = {"model": args.model, "suites": args.suite, "out": str(out)}
        options.say(args, facts, [f"eval: {args.model} on {', '.join(args.suite)} into {out}"])
        return 0
    scores = evaluate(recipe, args.model, out, baseline=False, allow_uncertified=args.allow_uncertified)
    lines = [*score_table({args.model: scores}), f"texts, verdicts and scores.json: {out}"]
    options.say(args, scores, lines)
    return 0


def recipe_from_flags(overrides: Sequence[str], **sections: Any) -> Recipe:
    """A recipe of these sections, checked like one from a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flags.yaml"
        path.write_text(yaml.safe_dump({"name": "eval", **sections}), encoding="utf-8")
        return load_recipe(path, overrides)
