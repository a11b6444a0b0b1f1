"""`evoltune verify`: verify the rows of a file, or the evolved rows of a recipe.

    evoltune verify solutions.jsonl --domain math --out verdicts.jsonl
    evoltune verify samples.jsonl --domain code --suite humaneval --require-isolation L3 --fail-under 0.5
    evoltune verify recipes/smoke/math.yaml

Rows are read and written as a stream, in order; with --out a killed command resumes after its last finished row.
Exit 0: every row has a verdict, whatever it is; 1: --fail-under was missed; 2: misuse, or a file that holds no rows.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Any

from evoltune import pipeline
from evoltune.cli import options
from evoltune.domain import load_domain
from evoltune.errors import DataError, DomainError, WorkError
from evoltune.evaluate.samples import ID_COLUMNS, QUESTION_COLUMNS, TEXT_COLUMNS, records_of
from evoltune.evaluate.suites import load_suite
from evoltune.record import STATUSES
from evoltune.rows.storage import download, is_address
from evoltune.verification.checker import open_checker
from evoltune.verification.rows import ROW_COLUMNS, file_key, read_any_rows, verify_to_file, verify_with_profiles

PROGRESS_EVERY = 500


class _MissedError(WorkError):
    """--fail-under was not reached."""


def add_verify(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", help="rows (.jsonl, .json, .csv, .parquet, also .gz; - for standard input), or a recipe (.yaml)")
    add("overrides", nargs="*", help="with a recipe: key.path=value")
    add("--domain", help="domain by name, module:attribute or path (with a rows file)")
    options.add_verification(parser, require="L1")
    add("--timeout-s", dest="program_s", type=options.positive_float, action=options.Renamed, help=argparse.SUPPRESS)
    options.add_engine(parser)
    add("--profiles", default="", help="scorers, comma-separated; more than one: print disagreements")
    add("--map", action="append", default=[], metavar="OURS=THEIRS", help="rename a column: answer=output")
    add("--suite", default="", help="join rows (task_id, completion) with the problems of a suite")
    add("--data", type=Path, help="folder with suite files (default: EVOLTUNE_DATA)")
    add("--policy", action="append", default=[], metavar="KEY=VALUE", help="set an option of the domain's verifier")
    add("--out", default="", help="write verdict rows here (JSONL, in input order)")
    options.add_json(parser, "verdict rows and counts as JSON on standard output")
    add("--fail-under", type=options.share, default=None, help="exit 1 when fewer than this share pass (0 to 1)")
    parser.set_defaults(execute=run)


def run(args: argparse.Namespace) -> None:
    if is_address(args.file):
        args.file = str(download(args.file))
    names_recipe = not args.domain and args.file != "-" and not Path(args.file).exists()
    if names_recipe or args.file.endswith((".yaml", ".yml")):
        _verify_recipe(args)
        return
    if args.overrides:
        raise DataError(f"unexpected argument {args.overrides[0]!r}: overrides go with a recipe, not with a rows file")
    if not args.domain:
        raise DomainError("--domain is missing: which domain verifies these rows? e.g. --domain math")
    _report(args, _verify_rows(args))


def _verify_rows(args: argparse.Namespace) -> Counter[str]:
    """Verifies, writes and prints the rows of a file; the statuses counted, and the rows on which profiles disagree."""
    suite = load_suite(args.suite, args.data, domain=args.domain) if args.suite else None
    profiles = options.words(args.profiles) or [suite.profile if suite else "sound"]
    settings = options.verification_of(args, options.policy_of(args.policy))
    renames = options.pairs(args.map, "--map", "OURS=THEIRS")
    located = _renamed(args, renames)
    rows = records_of(located, suite) if suite else (row for _, row in located)
    counts: Counter[str] = Counter()
    with options.engine_of(args), ExitStack() as stack:
        first = stack.enter_context(open_checker(args.domain, settings, profile=profiles[0]))
        checkers = {profiles[0]: first, **{name: first.with_profile(name) for name in profiles[1:]}}
        how = f"{first.pool.size} workers, isolation {first.level}{f', writing {args.out}' if args.out else ''}"
        print(f"verifying {args.file} as {first.domain.name}, {how}", file=sys.stderr)
        if args.out:
            key = file_key(args.file, first.domain, settings, profiles, renames, suite.sha256 if suite else "")
            verdicts = verify_to_file(checkers, rows, Path(args.out), key, _resumed)
        else:
            verdicts = verify_with_profiles(checkers, rows)
        for number, row in enumerate(verdicts, 1):
            counts[row["status"]] += 1
            counts["disagreements"] += len(set(row.get("profiles", {}).values())) > 1
            _show(args, row)
            if number % PROGRESS_EVERY == 0 and sys.stderr.isatty():
                print(f"\r{number} rows", end="", file=sys.stderr)
    return counts


def _renamed(args: argparse.Namespace, renames: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """The rows under our columns' names. Raises DataError where --map names a column that we or the first row lack."""
    samples = (*ID_COLUMNS, *TEXT_COLUMNS, *QUESTION_COLUMNS, "sample") if args.suite else ROW_COLUMNS
    ours = dict.fromkeys((*samples, *load_domain(args.domain).columns))
    located = read_any_rows(args.file, renames)
    first = list(islice(located, 1))
    row = first[0][1] if first and isinstance(first[0][1], Mapping) else dict.fromkeys(renames.values())
    for name, theirs in renames.items():
        for word, known, whose in ((name, ours, "we read no"), (theirs, row, "the first row has no")):
            if word not in known:
                raise DataError(f"--map {name}={theirs}: {whose} column {word!r}: allowed: {', '.join(known)}")
    return chain(first, located)


def _resumed(rows: int) -> None:
    print(f"{rows} rows were verified before the last stop; resuming", file=sys.stderr)


def _show(args: argparse.Namespace, row: dict[str, Any]) -> None:
    """Each row as JSON; or, without --out, what did not pass in a line; or the disagreements of profiles."""
    by_profile = row.get("profiles", {})
    if args.json:
        if not args.out:
            print(json.dumps(row))
    elif len(set(by_profile.values())) > 1:
        print(f"{row['id']}\t" + "\t".join(f"{p}={s}" for p, s in by_profile.items()))
    elif not args.out and row["status"] != "pass" and not by_profile:
        print(f"{row['id']}\t{row['status']}\t{row['reason'].splitlines()[0][:200] if row['reason'] else ''}")


def _report(args: argparse.Namespace, counts: Counter[str]) -> None:
    total = sum(counts[s] for s in STATUSES)
    share = counts["pass"] / total if total else 0.0
    if args.json:
        print(json.dumps({"rows": total, **{s: counts[s] for s in STATUSES}, "pass_rate": round(share, 6)}))
    else:
        parts = ", ".join(f"{counts[s]} {s}" for s in STATUSES if counts[s])
        more = f", {counts['disagreements']} disagreements between profiles" if "," in args.profiles else ""
        print(f"{total} rows: {parts or 'none'} ({share:.1%} pass){more}")
    if args.fail_under is not None and share < args.fail_under:
        raise _MissedError(f"{share:.4f} of {total} rows pass, --fail-under asks {args.fail_under:g}")


def _verify_recipe(args: argparse.Namespace) -> None:
    args.recipe = args.file
    recipe, folder = options.recipe_of(args)
    with options.published(args, recipe, folder) as publish:
        pipeline.run(recipe, folder, ("verify",))
        publish()
