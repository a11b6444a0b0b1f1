"""`evoltune batch export|import RECIPE RUN FILE`: teacher calls through a provider's batch files, at half price.

`evoltune batch run RECIPE REQUESTS RESULTS` answers them on one's own GPUs instead.
"""

import argparse
import sys
from pathlib import Path

from evoltune.cli import options
from evoltune.cluster import engine
from evoltune.domain import load_domain
from evoltune.errors import RecipeError
from evoltune.evolve.open_calls import import_results, open_calls
from evoltune.recipe import Recipe, load_recipe
from evoltune.run.store import Store
from evoltune.teacher.batch_files import write_requests
from evoltune.teacher.ray_batch import run_batch

SHOWN_FAILURES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="action", required=True, metavar="export|run|import")
    _add_exchange(
        verbs.add_parser("export", help="write the run's open calls; repeat after each import until none is left")
    )
    _add_exchange(verbs.add_parser("import", help="put the results of a batch into the run's journal"))
    verb = verbs.add_parser("run", help="answer a batch file with vLLM engines on a Ray cluster")
    verb.add_argument("recipe", metavar="RECIPE", help="recipe file or shipped name: its teacher.model answers")
    verb.add_argument("file", type=Path, metavar="REQUESTS", help="requests that `batch export` wrote")
    verb.add_argument(
        "results", type=Path, metavar="RESULTS", help="results to append to; what it holds is not asked again"
    )
    verb.add_argument("overrides", nargs="*", metavar="a.b=c")
    verb.add_argument("--replicas", type=int, default=1, metavar="N", help="engines (default: 1)")
    verb.add_argument("--gpus-each", type=int, default=1, metavar="G", help="GPUs of an engine (default: 1)")
    options.add_engine(verb, flag=False)
    options.add_json(verb)


def _add_exchange(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("recipe", metavar="RECIPE", help="recipe file, shipped name, or the recipe.yaml of a run")
    verb.add_argument("run", type=Path, metavar="RUN", help="run directory")
    verb.add_argument("file", type=Path, metavar="FILE", help="requests to write, or results to read (JSONL)")
    verb.add_argument("overrides", nargs="*", metavar="a.b=c")
    options.add_json(verb)


def run(args: argparse.Namespace) -> int:
    """Exports the open calls, imports results and says what is still open, or answers a file of requests."""
    actions = {"export": _export, "import": _import, "run": _run}
    return actions[args.action](args, load_recipe(args.recipe, args.overrides))


def _export(args: argparse.Namespace, recipe: Recipe) -> int:
    with Store.open(args.run) as store:
        count = write_requests(open_calls(recipe, load_domain(recipe.domain), store).values(), args.file)
    options.say(args, {"calls": count, "file": args.file}, [f"{count} calls written to {args.file}"])
    return 0


def _import(args: argparse.Namespace, recipe: Recipe) -> int:
    domain = load_domain(recipe.domain)
    with Store.open(args.run) as store:
        counts = import_results(recipe, store, open_calls(recipe, domain, store), args.file)
        still_open = len(open_calls(recipe, domain, store))
    for line in counts.failed[:SHOWN_FAILURES]:
        print(f"failed: {line}", file=sys.stderr)
    facts = {"journalled": counts.journalled, "failed": counts.failed, "unknown": counts.unknown, "open": still_open}
    next_step = "export again" if still_open else "run `evoltune evolve` to finish"
    line = (
        f"{counts.journalled} replies journalled, {len(counts.failed)} failed, {counts.unknown} not asked for; "
        f"{still_open} calls are open now: {next_step}"
    )
    options.say(args, facts, [line])
    return 0


def _run(args: argparse.Namespace, recipe: Recipe) -> int:
    if min(args.replicas, args.gpus_each) < 1:
        raise RecipeError(f"--replicas {args.replicas}, --gpus-each {args.gpus_each}: both must be at least 1")
    with engine.using("ray", args.ray_address or recipe.compute.ray_address):
        answered, failed = run_batch(
            recipe.teacher.model, args.file, args.results, replicas=args.replicas, gpus_each=args.gpus_each
        )
    failures = f", {failed} failed: run it again" if failed else ""
    facts = {"answered": answered, "failed": failed, "file": args.results}
    options.say(args, facts, [f"{answered} requests answered in {args.results}{failures}"])
    return 1 if failed else 0
