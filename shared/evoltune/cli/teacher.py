"""The teacher's side: teacher, batch, cassette.

evoltune teacher RECIPE --print-launch           vLLM replicas for the recipe's endpoints on this host
evoltune batch export RECIPE RUN FILE            open calls as a provider's batch file, at half price; then import
evoltune batch run RECIPE REQUESTS RESULTS       answers such a file on one's own GPUs instead
evoltune cassette export RUN FILE                a run's teacher calls as a fixture; then replay, info
"""

import argparse
import sys
from collections import Counter

from evoltune.cli import options
from evoltune.cluster import engine
from evoltune.domain import load_domain
from evoltune.errors import WorkError
from evoltune.evolve.loop import evolve
from evoltune.evolve.open_calls import export_calls, import_results, open_calls
from evoltune.orphans import run_tethered
from evoltune.recipe import load_recipe
from evoltune.run.paths import user_path
from evoltune.run.store import Store
from evoltune.teacher.batch_forms import FORMS
from evoltune.teacher.dialects import describe
from evoltune.teacher.journal import export_cassette, read_cassette
from evoltune.teacher.ray_batch import run_batch
from evoltune.teacher.replicas import launch_script

SHOWN_FAILURES = 20
ANY_RECIPE = "recipe file, shipped name, or the recipe.yaml of a run"


def add_teacher(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="recipe file with teacher.endpoints")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value")
    parser.add_argument(
        "--gpus-each", type=options.positive_int, default=1, help="GPUs of a replica (tensor parallel; default: 1)"
    )
    parser.add_argument("--host", help="print the script of another host of the recipe")
    parser.add_argument("--print-launch", action="store_true", help="print the script and stop")
    parser.set_defaults(execute=_teacher)


def _teacher(args: argparse.Namespace) -> int:
    """Runs the replicas until Ctrl-C or SIGTERM, or prints the script that does."""
    teacher = load_recipe(args.recipe, args.overrides).teacher
    script = launch_script(teacher, gpus_each=args.gpus_each, host=args.host)
    if args.print_launch:
        print(script, end="")
        return 0
    return run_tethered(["bash", "-c", script])


def add_batch(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="export|run|import")
    for name, execute, about in (
        ("export", _batch_export, "write the run's open calls; repeat after each import until none is left"),
        ("import", _batch_import, "put the results of a batch into the run's journal"),
    ):
        verb = verbs.add_parser(name, help=about)
        verb.add_argument("recipe", metavar="RECIPE", help=ANY_RECIPE)
        verb.add_argument("run", type=user_path, metavar="RUN", help="run directory")
        verb.add_argument("file", type=user_path, metavar="FILE", help="requests to write, or results to read (JSONL)")
        verb.add_argument("overrides", nargs="*", metavar="a.b=c")
        if name == "export":
            verb.add_argument(
                "--form", choices=tuple(FORMS), default="openai", help="the provider's format (default: openai)"
            )
        options.finish(verb, execute)
    verb = verbs.add_parser("run", help="answer a batch file with vLLM engines on a Ray cluster")
    add = verb.add_argument
    add("recipe", metavar="RECIPE", help="recipe file or shipped name: its teacher.model answers")
    add("file", type=user_path, metavar="REQUESTS", help="requests that `batch export` wrote")
    add("results", type=user_path, metavar="RESULTS", help="results to append to; what it holds is not asked again")
    add("overrides", nargs="*", metavar="a.b=c")
    add("--replicas", type=options.positive_int, default=1, metavar="N", help="engines (default: 1)")
    add("--gpus-each", type=options.positive_int, default=1, metavar="G", help="GPUs of an engine (default: 1)")
    options.add_engine(verb, flag=False)
    options.finish(verb, _batch_run)


def _batch_export(args: argparse.Namespace) -> None:
    recipe = load_recipe(args.recipe, args.overrides)
    with Store.open(args.run) as store:
        count = export_calls(store, open_calls(recipe, load_domain(recipe.domain), store), args.file, args.form)
    options.say(args, {"calls": count, "file": args.file}, [f"{count} calls written to {args.file}"])


def _batch_import(args: argparse.Namespace) -> None:
    """Says what is still open, too."""
    recipe = load_recipe(args.recipe, args.overrides)
    domain = load_domain(recipe.domain)
    with Store.open(args.run) as store:
        counts = import_results(recipe, store, open_calls(recipe, domain, store), args.file)
        still_open = len(open_calls(recipe, domain, store, counts.refused))
    for line in counts.failed[:SHOWN_FAILURES]:
        print(f"failed: {line}", file=sys.stderr)
    for key, why in list(counts.refused.items())[:SHOWN_FAILURES]:
        print(f"given up: {key}: {why}", file=sys.stderr)
    if counts.incomplete:
        print(
            f"{counts.incomplete} calls have some of their samples: these are kept, the next export asks for the others",
            file=sys.stderr,
        )
    if (counts.failed or counts.incomplete) and (line := describe(counts.dialect)):
        print(f"from the next export on: {line} (the provider refused or ignored it otherwise)", file=sys.stderr)
    facts = {
        "journalled": counts.journalled, "failed": counts.failed, "refused": sorted(counts.refused),
        "unknown": counts.unknown, "open": still_open,
    }  # fmt: skip
    next_step = "export again" if still_open else "run `evoltune evolve` to finish"
    line = (
        f"{counts.journalled} replies journalled, {len(counts.failed)} failed, {len(counts.refused)} given up, "
        f"{counts.unknown} not asked for; {still_open} calls are open now: {next_step}"
    )
    options.say(args, facts, [line])
    if counts.cut:
        raise WorkError(
            f"{counts.cut}: the file ends in the middle of this line: the results before it are kept; download "
            "it again and import the rest"
        )


def _batch_run(args: argparse.Namespace) -> int:
    recipe = load_recipe(args.recipe, args.overrides)
    with engine.using("ray", args.ray_address or recipe.compute.ray_address):
        answered, failed = run_batch(
            recipe.teacher.model, args.file, args.results, replicas=args.replicas, gpus_each=args.gpus_each
        )
    failures = f", {failed} failed: run it again" if failed else ""
    facts = {"answered": answered, "failed": failed, "file": args.results}
    options.say(args, facts, [f"{answered} requests answered in {args.results}{failures}"])
    return int(failed > 0)


def add_cassette(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="export|replay|info")
    export = verbs.add_parser("export", help="write a run's journal as JSON lines (gzip when FILE ends in .gz)")
    export.add_argument("run", type=user_path, metavar="RUN")
    export.add_argument("file", type=user_path, metavar="FILE")
    options.finish(export, _cassette_export)
    replay = verbs.add_parser("replay", help="evolve a recipe again, with answers from a cassette alone")
    replay.add_argument("file", type=user_path, metavar="FILE")
    replay.add_argument("recipe", metavar="RECIPE", help=ANY_RECIPE)
    replay.add_argument("run", type=user_path, metavar="RUN", help="run directory to write")
    replay.add_argument("overrides", nargs="*", metavar="a.b=c")
    options.finish(replay, _cassette_replay)
    info = verbs.add_parser("info", help="count the calls on a cassette by purpose")
    info.add_argument("file", type=user_path, metavar="FILE")
    options.finish(info, _cassette_info)


def _cassette_export(args: argparse.Namespace) -> None:
    with Store.read(args.run) as store:
        count = export_cassette(store, args.file)
    options.say(args, {"calls": count, "file": args.file}, [f"{count} calls written to {args.file}"])


def _cassette_replay(args: argparse.Namespace) -> None:
    source = ["teacher.kind=replay", f"teacher.cassette={args.file}"]
    recipe = load_recipe(args.recipe, [*args.overrides, *source])
    print(f"evolving {recipe.name} from {args.file} into {args.run}", file=sys.stderr)
    with Store.open(args.run) as store:
        ledger = store.check_ledger(evolve(recipe, load_domain(recipe.domain), store))
    options.say(args, ledger, ["; ".join(f"{n} {name}" for name, n in ledger.items())])


def _cassette_info(args: argparse.Namespace) -> None:
    purposes: Counter[str] = Counter()
    models: Counter[str] = Counter()
    for call in read_cassette(args.file):
        purposes[str(call.get("purpose", "?"))] += 1
        models[str(call.get("model", "?"))] += 1
    head = f"{purposes.total()} calls of {', '.join(models) or 'no model'}"
    table = [f"  {count:8} {purpose}" for purpose, count in purposes.most_common()]
    options.say(args, {"purposes": purposes, "models": models}, [head, *table])
