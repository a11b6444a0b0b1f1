"""`evoltune eliminate FILE`: the elimination rules over rows that exist already."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evoltune.errors import DataError
from evoltune.evolve.rules.registry import RULES, all_reasons
from evoltune.record import Task
from evoltune.rows.files import jsonl_writer
from evoltune.rows.readers import read_located


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", help="rows (JSONL, JSON, Parquet, CSV, a folder, a run); without: list the rules"
    )
    parser.add_argument(
        "--explain", action="store_true", help="one line per dropped row: where, why, its beginning"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the kept rows as JSON lines")
    parser.add_argument("--json", action="store_true", help="the counts as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Drops rows by the first rule that fires on the instruction, then on the answer."""
    if args.file is None:
        for rule in RULES:
            print(f"{rule.about:12} {rule.name:24} {rule.doc}")
        return 0
    counts: Counter[str] = Counter()
    kept: list[Mapping[str, Any]] = []
    total = 0
    for where, row, reasons in _judged(args.file):
        total += 1
        if not reasons:
            kept.append(row)
            continue
        counts[reasons[0]] += 1
        if args.explain:
            print(f"{where}: {', '.join(reasons)}: {_beginning(row)}")
    if args.out:
        _write(args.out, kept)
    if args.json:
        print(json.dumps({"rows": total, "kept": len(kept), "dropped": dict(counts.most_common())}))
    else:
        dropped = "; ".join(f"{n} {reason}" for reason, n in counts.most_common()) or "nothing"
        print(f"{total} rows, {len(kept)} kept, dropped: {dropped}")
    return 0


def _judged(file: str) -> Iterator[tuple[str, Mapping[str, Any], list[str]]]:
    for where, row in read_located(file):
        asked, given = _pair(row)
        if not asked and given is None:
            raise DataError(f"{where}: no instruction and no answer: columns are {', '.join(map(str, row))}")
        task = Task(instruction=asked)
        reasons = [] if not asked else [f"instruction: {r}" for r in all_reasons(None, task, None)]
        reasons += [] if given is None else [f"answer: {r}" for r in all_reasons(None, task, given)]
        yield _named(where, file), row, reasons


def _named(where: str, file: str) -> str:
    """`folder/rows.jsonl:2` also where the reader gave the bare file name."""
    name = Path(file).name
    return f"{file}{where[len(name) :]}" if where.startswith(f"{name}:") else where


ASKED = ("instruction", "prompt", "question", "problem")
GIVEN = ("output", "response", "completion", "answer", "text")


def _pair(row: Mapping[str, Any]) -> tuple[str, str | None]:
    """(instruction with its input, answer) of an Alpaca, prompt/completion or chat row."""
    turns = row.get("messages") or row.get("conversations")
    if isinstance(turns, list) and turns:
        said = [str(t.get("content", t.get("value", ""))) for t in turns if isinstance(t, dict)]
        return (said[-2], said[-1]) if len(said) > 1 else (said[0] if said else "", None)
    asked = next((row[k] for k in ASKED if isinstance(row.get(k), str)), "")
    extra = row.get("input")
    if isinstance(extra, str) and extra.strip():
        asked = f"{asked}\n{extra}"
    return asked, next((row[k] for k in GIVEN if isinstance(row.get(k), str)), None)


def _beginning(row: Mapping[str, Any]) -> str:
    asked, given = _pair(row)
    text = " ".join((given if given is not None and asked else asked).split())
    return text[:100] + ("..." if len(text) > 100 else "")


def _write(path: Path, rows: list[Mapping[str, Any]]) -> None:
    try:
        with jsonl_writer(path) as write:
            for row in rows:
                write(row)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from error
    print(f"kept rows: {path}", file=sys.stderr)
