"""`evoltune decontaminate FILE --against humaneval,mbpp`: audits anybody's dataset, by text and by the domains' methods.

Exit code 0: clean, or cleaned with --clean; 1: contaminated rows were found; 2: misuse or a source that cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evoltune.cli import options
from evoltune.curate.certificate import (
    build_certificate,
    certificate_path,
    methods_of,
    write_certificate,
)
from evoltune.curate.decontaminate.audit import Audit, SuiteGroup, audit_records, summary
from evoltune.curate.decontaminate.stage import DomainOverlap, hit_to_json
from evoltune.domain import load_domain
from evoltune.errors import DataError
from evoltune.recipe import Curate
from evoltune.record import Record
from evoltune.rows.columns import layout, recognise
from evoltune.rows.files import file_digest, jsonl_writer
from evoltune.rows.readers import BadRow, Row, read_located, read_rows
from evoltune.rows.records import to_record

if TYPE_CHECKING:
    from evoltune.evaluate.suites import Suite


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dataset", help="rows file (.jsonl, .json, .csv, .parquet, .gz), dataset folder, run, or hub id"
    )
    parser.add_argument(
        "--against", required=True, metavar="SUITES", help="e.g. humaneval,mbpp or math/gsm8k"
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder with suite files (default: EVOLTUNE_DATA)"
    )
    parser.add_argument("--ngrams", default="13", metavar="N,N", help="word n-grams (default: 13)")
    parser.add_argument(
        "--jaccard", type=float, default=0.6, help="of word 3-shingles (default: 0.6; 1: off)"
    )
    parser.add_argument(
        "--no-paraphrase", action="store_true", help="skip rewordings with the same numbers or structure"
    )
    parser.add_argument(
        "--no-overlap", action="store_true", help="text only: run no code and compare no skeletons"
    )
    parser.add_argument("--workers", type=int, default=0, help="checker processes (default: cores)")
    options.add_engine(parser)
    parser.add_argument(
        "--require", default="L1", choices=("L0", "L1", "L2", "L3"), help="least isolation for code"
    )
    parser.add_argument(
        "--clean",
        type=options.jsonl_path,
        metavar="OUT",
        help="write the clean rows (.jsonl) and their certificate",
    )
    parser.add_argument("--write", action="store_true", help="certify the dataset as it is, if it is clean")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    limits = _options(args)
    suites = _suites(args)
    target = Path(args.dataset).expanduser()
    if args.write and not target.exists():
        raise DataError(
            f"--write: {args.dataset!r} is no file or folder here: use --clean OUT to write what is clean"
        )
    print(f"{args.dataset}: {layout(read_rows(args.dataset, [])).describe()}", file=sys.stderr)
    bad: list[BadRow] = []
    with ExitStack() as stack:
        stack.enter_context(options.engine_of(args))
        groups = [
            _group(stack, name, args, suites) for name in dict.fromkeys(s.domain for s in suites.values())
        ]
        found = Audit(sizes={name: len(suite.tasks) for name, suite in suites.items()})
        domain = load_domain(next(iter(suites.values())).domain)
        rows = (located for ref in _files(args.dataset) for located in _records(ref, domain, bad))
        _walk(rows, groups, limits, found, args.clean)
    overlap = [] if args.no_overlap else sorted({m for g in groups if g.overlap for m in g.overlap.methods})
    _certify(args, found, suites, methods_of(limits, overlap), target)
    print(_as_json(found, bad) if args.json else _as_text(found, bad))
    return 0 if not found.hits or args.clean else 1


def _options(args: argparse.Namespace) -> Curate:
    try:
        ngrams = tuple(int(n) for n in args.ngrams.split(",") if n)
    except ValueError:
        raise DataError(f"--ngrams {args.ngrams!r}: must be numbers, e.g. 8,13") from None
    if any(n < 1 for n in ngrams) or not 0 < args.jaccard <= 1:
        raise DataError(
            f"--ngrams {args.ngrams!r} --jaccard {args.jaccard}: n from 1, Jaccard above 0 and up to 1"
        )
    return Curate(
        ngrams=ngrams,
        contamination_jaccard=args.jaccard,
        paraphrase=not args.no_paraphrase,
        overlap=not args.no_overlap,
    )


def _suites(args: argparse.Namespace) -> dict[str, Suite]:
    from evoltune.evaluate.suites import load_suite

    names = [name.strip() for name in args.against.split(",") if name.strip()]
    if not names:
        raise DataError("--against: name at least one suite, e.g. humaneval")
    return {name: load_suite(name, args.data) for name in names}


def _group(stack: ExitStack, ref: str, args: argparse.Namespace, suites: dict[str, Suite]) -> SuiteGroup:
    """The suites of one domain; a checker is opened only where the domain has overlap functions."""
    tasks = {name: suite.tasks for name, suite in suites.items() if suite.domain == ref}
    methods = sorted(load_domain(ref).overlap)
    if args.no_overlap or not methods:
        return SuiteGroup(suites=tasks)
    from evoltune.verification.checker import open_checker

    checker = stack.enter_context(open_checker(ref, workers=args.workers, require=args.require))
    return SuiteGroup(suites=tasks, overlap=DomainOverlap(checker=checker, methods=methods))


Located = tuple[Record, Row]


def _files(ref: str) -> list[str]:
    """A dataset folder is audited with all its splits; everything else as it is read."""
    splits = sorted(str(p) for p in Path(ref).expanduser().glob("*.parquet"))
    return splits or [ref]


def _records(ref: str, domain: Any, bad: list[BadRow]) -> Iterator[Located]:
    for where, row in read_located(ref, bad):
        turns = recognise(row)
        if isinstance(turns, str):
            bad.append(BadRow(where=where, reason=turns))
            continue
        yield to_record(domain, {**row, "id": where}, turns, where), row


def _walk(
    rows: Iterator[Located], groups: Sequence[SuiteGroup], options: Curate, found: Audit, clean: Path | None
) -> None:
    """Sends every row through the audit, with a progress line; writes the clean ones to `clean`."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    waiting: deque[Row] = deque()

    def records() -> Iterator[Record]:
        for record, row in rows:
            waiting.append(row)
            yield record

    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed} rows, {task.fields[hit]} hit"),
        TimeElapsedColumn(),
    )
    with (
        jsonl_writer(clean) if clean else nullcontext(lambda row: None) as write,
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task("audit", total=None, hit=0)
        for _, is_clean in audit_records(records(), groups, options, found):
            row = waiting.popleft()
            if is_clean:
                write(row)
            progress.update(task, advance=1, hit=len(found.hits))


def _certify(
    args: argparse.Namespace, found: Audit, suites: dict[str, Suite], methods: dict[str, Any], target: Path
) -> None:
    """Writes certificates: of the clean copy, and with --write of the dataset itself when nothing was found."""
    hits = [{"row": row, "hits": [hit_to_json(h) for h in hs]} for row, hs in sorted(found.hits.items())]
    kept = found.rows - len(found.hits)
    rows = {"in": found.rows, "kept": kept, "contaminated": len(found.hits)}
    proof = build_certificate(suites, methods, rows=rows, hits=hits)
    if args.clean:
        write_certificate(
            certificate_path(args.clean), {**proof, "files": {args.clean.name: file_digest(args.clean)}}
        )
        print(f"{kept} clean rows in {args.clean}", file=sys.stderr)
    if args.write and found.hits:
        print(
            f"no certificate: {len(found.hits)} rows are contaminated; --clean OUT writes the others",
            file=sys.stderr,
        )
    elif args.write:
        files = sorted(target.glob("*.parquet")) if target.is_dir() else [target]
        path = certificate_path(target)
        write_certificate(path, {**proof, "files": {file.name: file_digest(file) for file in files}})
        print(f"certificate: {path}", file=sys.stderr)


def _as_text(found: Audit, bad: Sequence[BadRow]) -> str:
    lines = [summary(found)]
    if bad:
        lines.append(f"\n{len(bad)} rows could not be read, and are in no clean copy:")
        lines += [f"  {b.where}: {b.reason}" for b in bad[:10]]
    return "\n".join(lines)


def _as_json(found: Audit, bad: Sequence[BadRow]) -> str:
    hits = {row: [hit_to_json(h) for h in hits] for row, hits in found.hits.items()}
    unread = [plain_bad(b) for b in bad]
    return json.dumps(
        {"rows": found.rows, "suites": dict(found.sizes), "hits": hits, "unreadable": unread}, indent=1
    )


def plain_bad(row: BadRow) -> dict[str, str]:
    return {"where": row.where, "reason": row.reason}
