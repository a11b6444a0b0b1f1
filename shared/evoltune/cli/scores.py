"""Scores side by side, and what they are scores of: compare, judge, suites, profiles.

evoltune compare runs/a runs/b runs/c                        is the difference real, and what is its first cause
evoltune judge study.yaml --page                             a blinded ranking page for people
evoltune suites build rows.jsonl --size 218 --out set.jsonl
evoltune profiles --lock tests/profiles.lock.json            accept the present ways to score
"""

import argparse
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evoltune.arena import standings
from evoltune.arena.judge import judge_study
from evoltune.arena.ranking_page import write_page
from evoltune.arena.study import load_study
from evoltune.cli import options
from evoltune.errors import DataError, RecipeError
from evoltune.evaluate.compare import compare, differences
from evoltune.evaluate.difficulty import balanced_set, difficulty_in, numeric_order
from evoltune.evaluate.profiles import present_lock, profile_rows
from evoltune.evaluate.results import load_scores, score_table
from evoltune.evaluate.suites import share_tables, suite_rows, suite_shares
from evoltune.report.comparison_page import write_comparison
from evoltune.rows.files import jsonl_writer, write_json
from evoltune.rows.readers import read_rows
from evoltune.run.paths import JUDGED, RUNS, user_path
from evoltune.terminal import table

SUITES_EXAMPLES = """\
evoltune suites                                              profile, licence, hash, where the file is
evoltune suites compare general/wizardlm general/vicuna      shares of skills and difficulty
evoltune suites build rows.jsonl --size 218 --out set.jsonl  a difficulty-balanced set from your rows
"""


def _say_table(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    options.say(args, rows, table([*rows[0]], [[*row.values()] for row in rows]))


def add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", type=user_path, help="run, eval folder or scores.json: the others are compared with it")
    parser.add_argument("b", type=user_path, help="another one")
    parser.add_argument("more", nargs="*", type=user_path, help="and more")
    page = "write an HTML page of these runs side by side, into the folder of the first"
    parser.add_argument("--page", action="store_true", help=page)
    options.finish(parser, _compare)


def _compare(args: argparse.Namespace) -> int:
    """1: some scores cannot be compared (other profile, scorer or problems); the causes are printed all the same."""
    places = (args.a, args.b, *args.more)
    lines = list(score_table({str(place): load_scores(place) for place in places}, beside=False))
    compared: list[dict[str, Any]] = []
    for other in places[1:]:
        facts, said = _pair(args.a, other)
        compared.append(facts)
        lines += [f"{other} against {args.a}:", *(f"  {line}" for line in said)] if args.more else said
    result: dict[str, Any] = {"compared": compared} if args.more else compared[0]
    if args.page:
        result["page"] = str(write_comparison(places))
        lines.append(f"page: {result['page']}")
    options.say(args, result, lines)
    return int(any(facts["not_compared"] for facts in compared))


def _pair(a: Path, b: Path) -> tuple[dict[str, Any], list[str]]:
    """What is known about b against a, as JSON and as lines."""
    causes = differences(a, b)
    try:
        paired, refusal = compare(a, b), ""
    except DataError as error:
        paired, refusal = {}, str(error)
    lines = [f"{name}: {p.sentence}" for name, p in paired.items()]
    lines += [f"not compared: {refusal}"] if refusal else []
    lines.append(f"first cause: {causes[0]}" if causes else "nothing that decides a score differs")
    lines += [f"  also: {cause}" for cause in causes[1:]]
    facts = {
        "a": str(a),
        "b": str(b),
        "paired": {name: asdict(p) for name, p in paired.items()},
        "not_compared": refusal,
        "causes": [asdict(cause) for cause in causes],
    }
    return facts, lines


def add_judge(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("study", type=user_path, help="systems, suite, protocol and judge: see docs/evaluate.md")
    add("--page", action="store_true", help="no judge: write a blinded ranking page for people, and its key")
    add("--out", type=user_path, metavar="DIR", help="where to write (default: runs/judge/STUDY)")
    add("--dry-run", action="store_true", help="print what would be done and stop")
    options.finish(parser, _judge)


def _judge(args: argparse.Namespace) -> None:
    study, folder = load_study(args.study), args.out or RUNS / JUDGED / args.study.stem
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
        options.say(args, result, standings.report(result))


def add_suites(parser: argparse.ArgumentParser) -> None:
    parser.epilog, parser.formatter_class = SUITES_EXAMPLES, argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(metavar="ls|compare|build")
    listing = actions.add_parser("ls", help="list the suites (the default)")
    shares = actions.add_parser("compare", help="shares of skills and difficulty, suites side by side")
    shares.add_argument("suite", nargs="+", help="suite, domain/suite or domain:FILE")
    for verb, execute in ((parser, _list_suites), (listing, _list_suites), (shares, _compare_suites)):
        options.add_data(verb)
        options.finish(verb, execute)
    build = actions.add_parser("build", help="draw a set balanced over difficulty and skill")
    build.add_argument("rows", help="rows with a difficulty and a skill: file, folder or hub id")
    build.add_argument(
        "--size", type=options.positive_int, default=218, help="problems to draw (default: 218, WizardLM's)"
    )
    build.add_argument("--seed", type=int, default=0)
    build.add_argument("--out", type=options.jsonl_path, required=True, metavar="FILE")
    options.finish(build, _build_suite)


def _list_suites(args: argparse.Namespace) -> None:
    _say_table(args, suite_rows(args.data))


def _compare_suites(args: argparse.Namespace) -> None:
    shares = suite_shares(args.suite, args.data)
    options.say(args, shares, share_tables(shares))


def _build_suite(args: argparse.Namespace) -> None:
    if args.out.exists():
        raise RecipeError(f"--out {args.out} exists: choose another name")
    rows = balanced_set(read_rows(args.rows), args.size, args.seed)
    with jsonl_writer(args.out) as write:
        for row in rows:
            write(row)
    counts = Counter(difficulty_in(row) for row in rows)
    spread = {difficulty: counts[difficulty] for difficulty in sorted(counts, key=numeric_order)}
    text = ", ".join(f"{difficulty}: {n}" for difficulty, n in spread.items())
    facts = {"file": str(args.out), "rows": len(rows), "by_difficulty": spread}
    options.say(args, facts, [f"{len(rows)} rows in {args.out}; by difficulty {text}"])


def add_profiles(parser: argparse.ArgumentParser) -> None:
    lock = "write version and hash of every profile to FILE"
    parser.add_argument("--lock", type=user_path, metavar="FILE", help=lock)
    options.finish(parser, _profiles)


def _profiles(args: argparse.Namespace) -> None:
    if args.lock:
        found = present_lock()
        write_json(args.lock, found)
        facts = {"file": str(args.lock), "profiles": len(found)}
        options.say(args, facts, [f"{len(found)} profiles locked in {args.lock}"])
    else:
        _say_table(args, profile_rows())
