"""`evoltune data decontaminate FILE --against humaneval,mbpp`: audits any dataset, by text and by the domains' methods.

Exit code 0: clean, or cleaned with --clean; 1: some rows are contaminated or could not be checked; 2: misuse or a source
that cannot be read.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from evoltune.cli import options
from evoltune.curate.audit import Audit, audit_dataset, certify
from evoltune.errors import DataError
from evoltune.evaluate.suites import load_suite
from evoltune.recipe import Curate, Sandbox, Verification
from evoltune.rows.columns import layout
from evoltune.rows.readers import read_rows

EXAMPLES = 5  # hits and unreadable rows that are printed; --json prints all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("dataset", help="rows file (.jsonl, .json, .csv, .parquet, .gz), dataset folder, run, or hub id")
    add("--against", required=True, metavar="SUITES", help="e.g. humaneval,mbpp or math/gsm8k")
    add("--data", type=Path, metavar="DIR", help="folder with suite files (default: EVOLTUNE_DATA)")
    add("--ngrams", default="13", metavar="N,N", help="word n-grams (default: 13)")
    add("--jaccard", type=float, default=0.6, help="of word 3-shingles (default: 0.6; 1: off)")
    add("--no-paraphrase", action="store_true", help="skip rewordings with the same numbers or structure")
    add("--no-overlap", action="store_true", help="text only: run no code and compare no skeletons")
    add("--workers", type=int, default=0, help="checker processes (default: cores)")
    options.add_engine(parser)
    add("--require", default="L1", choices=("L0", "L1", "L2", "L3"), help="least isolation for code")
    add("--clean", type=options.jsonl_path, metavar="OUT", help="write the clean rows and their certificate")
    add("--write", action="store_true", help="certify the dataset as it is, if it is clean")
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    curate = _curate_options(args)
    names = [name.strip() for name in args.against.split(",") if name.strip()]
    if not names:
        raise DataError("--against: name at least one suite, e.g. humaneval")
    suites = {name: load_suite(name, args.data) for name in names}
    dataset = Path(args.dataset).expanduser()
    if args.write and not dataset.exists():
        raise DataError(f"--write: {args.dataset!r} is no file or folder here: use --clean OUT to write what is clean")
    print(f"{args.dataset}: {layout(read_rows(args.dataset, [])).describe()}", file=sys.stderr)
    verification = Verification(workers=args.workers, sandbox=Sandbox(require=args.require))
    with options.engine_of(args):
        audit = audit_dataset(args.dataset, suites, curate, verification, args.clean)
    not_clean = audit.rows - audit.clean_rows
    if args.clean:
        certify(audit, suites, curate, args.clean)
        print(f"{audit.clean_rows} clean rows in {args.clean}", file=sys.stderr)
    if args.write and not_clean:
        print(
            f"no certificate: {len(audit.hits)} rows are contaminated, {len(audit.unchecked)} could not be checked; "
            "--clean OUT writes the others",
            file=sys.stderr,
        )
    elif args.write:
        print(f"certificate: {certify(audit, suites, curate, dataset)}", file=sys.stderr)
    sizes = {name: len(suite.tasks) for name, suite in suites.items()}
    options.say(args, _facts(audit, sizes), _lines(audit, sizes))
    return 0 if not not_clean or args.clean else 1


def _curate_options(args: argparse.Namespace) -> Curate:
    try:
        ngrams = tuple(int(n) for n in args.ngrams.split(",") if n)
    except ValueError:
        raise DataError(f"--ngrams {args.ngrams!r}: must be numbers, e.g. 8,13") from None
    if any(n < 1 for n in ngrams) or not 0 < args.jaccard <= 1:
        raise DataError(f"--ngrams {args.ngrams!r} --jaccard {args.jaccard}: n from 1, Jaccard above 0 and up to 1")
    return Curate(
        ngrams=ngrams,
        contamination_jaccard=args.jaccard,
        paraphrase=not args.no_paraphrase,
        overlap=not args.no_overlap,
    )


def _facts(audit: Audit, sizes: Mapping[str, int]) -> dict[str, object]:
    return {
        "rows": audit.rows,
        "suites": sizes,
        "hits": msgspec.to_builtins(audit.hits),
        "unchecked": msgspec.to_builtins(audit.unchecked),
        "unreadable": [{"where": bad.where, "reason": bad.reason} for bad in audit.unreadable],
    }


def _lines(audit: Audit, sizes: Mapping[str, int]) -> Iterator[str]:
    """For each suite, rows and problems by method and the strongest hits; then what was not checked or not read."""
    yield f"{audit.rows} rows checked, {len(audit.hits)} give away a benchmark problem"
    for suite, size in sizes.items():
        found = [(row, hit) for row, hits in audit.hits.items() for hit in hits if hit.suite == suite]
        rows, problems = {row for row, _ in found}, {hit.task for _, hit in found}
        yield f"\n{suite}: {len(rows)} rows hit {len(problems)} of {size} problems"
        rows_by = Counter(method for _, method in {(row, hit.method) for row, hit in found})
        problems_by = Counter(method for _, method in {(hit.task, hit.method) for _, hit in found})
        for method, count in sorted(rows_by.items()):
            yield f"  {method:12} {count:6} rows {problems_by[method]:6} problems"
        for row, hit in sorted(found, key=lambda pair: (-pair[1].score, pair[0], pair[1].method))[:EXAMPLES]:
            yield f"    {row}: {hit.task} by {hit.method} ({hit.score:g})"
    if audit.unchecked:
        yield f"\n{len(audit.unchecked)} rows could not be checked, and are in no clean copy:"
        for row, checks in list(audit.unchecked.items())[:EXAMPLES]:
            yield f"  {row}: {checks[0].suite} by {checks[0].method}: {checks[0].reason}"
    if audit.unreadable:
        yield f"\n{len(audit.unreadable)} rows could not be read, and are in no clean copy:"
        yield from (f"  {bad.where}: {bad.reason}" for bad in audit.unreadable[: 2 * EXAMPLES])
