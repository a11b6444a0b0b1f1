"""`evoltune data select SOURCE... --out chosen.jsonl`: a small good set from large sources, LIMA's way or by quality and
diversity.

    evoltune data select stackexchange:physics/Posts.xml wikihow:wikihowAll.csv --mode lima \\
        --quota stackexchange=400,wikihow=200 --out chosen.jsonl --page review.html
"""

import argparse
import sys
from pathlib import Path

from evoltune.cli import options
from evoltune.curate.select import LIMA_SIZE
from evoltune.curate.sources import counts_by_source, read_decisions, select_from_sources, selected_row, token_counter
from evoltune.domain import load_domain
from evoltune.errors import DataError
from evoltune.recipe import Curate
from evoltune.report.html import templates
from evoltune.report.review_page import write_review
from evoltune.rows.columns import layout
from evoltune.rows.dumps import is_dump
from evoltune.rows.files import jsonl_writer
from evoltune.rows.readers import read_rows
from evoltune.terminal import table

MODES = ("lima", "quality_diversity", "all")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("sources", nargs="+", help="rows file, folder, hub id; or stackexchange:, wikihow:, reddit: and a path")
    add("--out", type=options.jsonl_path, required=True, metavar="FILE", help="chosen rows (.jsonl)")
    add("--size", type=int, default=LIMA_SIZE, help=f"rows to choose (default: {LIMA_SIZE})")
    add("--mode", choices=MODES, default="lima", help="default: lima (the paper's rules, then quality x diversity)")
    add("--quota", default="", metavar="SOURCE=N,...", help="rows per source: stackexchange=400,wikihow=200")
    add("--balance", choices=("none", "source", "skill"), default="source", help="equal shares (default: source)")
    add("--embeddings", default="", metavar="MODEL", help="default: hashed n-gram vectors")
    add("--domain", default="general", help="whose columns are kept (default: general)")
    add("--page", type=Path, metavar="HTML", help="write the accept/reject page of the chosen rows")
    add("--decisions", type=Path, metavar="JSON", help="what the page saved: accepted rows stay, rejected ones go")
    add("--tokenizer", default="", metavar="MODEL", help="count tokens too, with this model's tokenizer")
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    if args.size < 1:
        raise DataError(f"--size {args.size}: must be at least 1")
    if args.page:
        templates()  # without Jinja2 the command fails here, and not after hours of reading
    curate = Curate(
        size=args.size, mode=args.mode, balance=args.balance, quotas=_quotas(args.quota), embeddings=args.embeddings
    )
    accepted, rejected = read_decisions(args.decisions) if args.decisions else (frozenset(), frozenset())
    count_tokens = token_counter(args.tokenizer) if args.tokenizer else None
    domain = load_domain(args.domain)
    for ref in args.sources:
        what = "community dump" if is_dump(ref) else layout(read_rows(ref, []), domain.columns).describe()
        print(f"{ref}: {what}", file=sys.stderr)
    selection = select_from_sources(args.sources, domain, curate, accepted=accepted, rejected=rejected)
    with jsonl_writer(args.out) as write:
        for record in selection.rows:
            write(selected_row(record))
    if args.page:
        write_review(args.page, args.out.stem, map(selected_row, selection.rows))
    facts = {"file": args.out, "rows": len(selection.rows), "left_out": selection.left_out}
    head = ["source", "rows", "words asked", "words answered", *(["tokens"] if count_tokens else [])]
    options.say(args, facts, table(head, list(counts_by_source(selection.rows, count_tokens))))
    dropped = "; ".join(f"{n} {reason}" for reason, n in selection.left_out.most_common())
    print(f"{len(selection.rows)} rows in {args.out}{f'; left out: {dropped}' if dropped else ''}", file=sys.stderr)
    return 0 if selection.rows else 1


def _quotas(text: str) -> dict[str, int]:
    found = {}
    for part in filter(None, text.split(",")):
        name, _, number = part.rpartition("=")
        if not name or not number.isdigit():
            raise DataError(f"--quota {part!r}: must be SOURCE=N, e.g. wikihow=200")
        found[name] = int(number)
    return found
