"""`evoltune select SOURCE... --out chosen.jsonl`: a small good set out of large sources, LIMA's way or by quality x diversity.

    evoltune select stackexchange:physics/Posts.xml wikihow:wikihowAll.csv --mode lima --quota stackexchange=400,wikihow=200 \\
        --out chosen.jsonl --page review.html
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from evoltune.cli import options
from evoltune.curate.dedup.stage import dedup
from evoltune.curate.select.lima_rules import LIMA_SIZE, objection
from evoltune.curate.select.review import read_decisions, write_review
from evoltune.curate.select.stage import choose, source_of
from evoltune.dataset.mix import source_records
from evoltune.domain import load_domain
from evoltune.errors import DataError, MissingExtraError
from evoltune.recipe import Curate, Source
from evoltune.record import Drop, Record
from evoltune.rows.columns import layout
from evoltune.rows.dumps import is_dump
from evoltune.rows.files import jsonl_writer
from evoltune.rows.readers import BadRow, read_rows
from evoltune.text.words import words

MODES = ("lima", "quality_diversity", "all")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources",
        nargs="+",
        help="rows file, folder, hub id; or stackexchange:, wikihow:, reddit: and a path",
    )
    parser.add_argument(
        "--out", type=options.jsonl_path, required=True, metavar="FILE", help="chosen rows (.jsonl)"
    )
    parser.add_argument("--size", type=int, default=LIMA_SIZE, help=f"rows to choose (default: {LIMA_SIZE})")
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="lima",
        help="default: lima (the paper's rules, then quality x diversity)",
    )
    parser.add_argument(
        "--quota",
        default="",
        metavar="SOURCE=N,...",
        help="rows per source, e.g. stackexchange=400,wikihow=200",
    )
    parser.add_argument(
        "--balance",
        choices=("none", "source", "skill"),
        default="source",
        help="equal shares (default: source)",
    )
    parser.add_argument("--embeddings", default="", metavar="MODEL", help="default: hashed n-gram vectors")
    parser.add_argument("--domain", default="general", help="whose columns are kept (default: general)")
    parser.add_argument(
        "--page", type=Path, metavar="HTML", help="write the accept/reject page of the chosen rows"
    )
    parser.add_argument(
        "--decisions", type=Path, metavar="JSON", help="what the page saved: accepted stay, rejected go"
    )
    parser.add_argument(
        "--tokenizer", default="", metavar="MODEL", help="count tokens too, with this model's tokenizer"
    )
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")


def run(args: argparse.Namespace) -> int:
    if args.size < 1:
        raise DataError(f"--size {args.size}: must be at least 1")
    options = Curate(
        size=args.size,
        mode=args.mode,
        balance=args.balance,
        quotas=_quotas(args.quota),
        embeddings=args.embeddings,
    )
    accepted, rejected = read_decisions(args.decisions) if args.decisions else (frozenset(), frozenset())
    count = _tokenizer(args.tokenizer) if args.tokenizer else None
    bad: list[BadRow] = []
    reasons: Counter[str] = Counter()
    rows = list(_candidates(args, bad, reasons, rejected))
    must = [r for r in rows if r.task.name in accepted]
    rest = [r for r in rows if r.task.name not in accepted]
    chosen = [*must, *choose(rest, options, max(0, args.size - len(must)))]
    chosen.sort(key=lambda r: r.id)
    with jsonl_writer(args.out) as write:
        for record in chosen:
            write(_plain(record))
    if args.page:
        write_review(args.page, args.out.stem, (_plain(r) for r in chosen))
    reasons["unreadable"] += len(bad)
    reasons["not selected"] += len(rows) - len(chosen)
    reasons = +reasons
    if args.json:
        print(json.dumps({"file": str(args.out), "rows": len(chosen), "left_out": reasons}))
    else:
        print(table(chosen, count))
    dropped = "; ".join(f"{n} {reason}" for reason, n in reasons.most_common() if n)
    print(
        f"{len(chosen)} rows in {args.out}" + (f"; left out: {dropped}" if dropped else ""), file=sys.stderr
    )
    return 0 if chosen else 1


def _quotas(text: str) -> dict[str, int]:
    found = {}
    for part in filter(None, text.split(",")):
        name, _, number = part.rpartition("=")
        if not name or not number.isdigit():
            raise DataError(f"--quota {part!r}: must be SOURCE=N, e.g. wikihow=200")
        found[name] = int(number)
    return found


def _candidates(
    args: argparse.Namespace, bad: list[BadRow], reasons: Counter[str], rejected: frozenset[str]
) -> list[Record]:
    """The rows of all sources that pass the mode's rules and are no duplicates; the rest is counted in `reasons`."""
    domain = load_domain(args.domain)
    for ref in args.sources:
        what = "community dump" if is_dump(ref) else layout(read_rows(ref, []), domain.columns).describe()
        print(f"{ref}: {what}", file=sys.stderr)
    passed: list[Record] = []
    for ref in args.sources:
        for record in source_records(Source(path=ref), domain, bad):
            reason = objection(record.answers[0].text) if args.mode == "lima" else ""
            reason = "rejected by hand" if record.task.name in rejected else reason
            reasons[reason] += bool(reason)
            if not reason:
                passed.append(record)
    kept: list[Record] = []
    for result in dedup(Curate(embeddings=args.embeddings))(passed):
        if isinstance(result, Drop):
            reasons[result.reason] += 1
        else:
            kept.append(result)
    return kept


def _plain(record: Record) -> dict[str, Any]:
    known = {k: v for k, v in record.task.fields.items() if isinstance(v, str)}
    text = {"instruction": record.task.instruction, "output": record.answers[0].text}
    return {"id": record.task.name, **text, "source": source_of(record), **known}


def table(records: Sequence[Record], count: Callable[[str], int] | None = None) -> str:
    """Rows, words (and tokens) per source, as printed."""
    head = ["source", "rows", "words asked", "words answered", *(["tokens"] if count else [])]
    lines = [head]
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(source_of(record), []).append(record)
    for name, rows in [*sorted(groups.items()), ("all", list(records))]:
        asked, answered = [r.task.instruction for r in rows], [r.answers[0].text for r in rows]
        sums = [_total(asked, lambda t: len(words(t))), _total(answered, lambda t: len(words(t)))]
        tokens = [_total([*asked, *answered], count)] if count else []
        lines.append([name, *(f"{n:,}" for n in (len(rows), *sums, *tokens))])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _total(texts: Iterable[str], count: Callable[[str], int]) -> int:
    return sum(map(count, texts))


def _tokenizer(model: str) -> Callable[[str], int]:
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "train", "counting tokens") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise DataError(
            f"--tokenizer {model!r}: no such model ({type(error).__name__}): give a folder or a hub id"
        ) from error
    return lambda text: len(tokenizer(text)["input_ids"])
