"""`evoltune data eliminate FILE`: the elimination rules over rows that exist already."""

import argparse
from collections import Counter
from contextlib import nullcontext

from evoltune.cli import options
from evoltune.evolve.rules.registry import RULES, core_reasons
from evoltune.record import Task
from evoltune.rows.columns import Conversation, recognise
from evoltune.rows.files import jsonl_writer
from evoltune.rows.readers import read_located

SHOWN_CHARS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", help="rows (JSONL, JSON, Parquet, CSV, a folder, a run); without: list the rules"
    )
    parser.add_argument("--explain", action="store_true", help="for each dropped row: where, why, its beginning")
    parser.add_argument("--out", type=options.jsonl_path, metavar="FILE", help="write the kept rows (.jsonl)")
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Drops rows by the first rule that fires on the instruction, then on the answer."""
    if args.file is None:
        rules = [{"about": rule.about, "name": rule.name, "fires": rule.doc} for rule in RULES]
        options.say(args, rules, [f"{r['about']:12} {r['name']:24} {r['fires']}" for r in rules])
        return 0
    dropped: Counter[str] = Counter()
    total = 0
    with jsonl_writer(args.out) if args.out else nullcontext(lambda row: None) as keep:
        for where, row in read_located(args.file):
            total += 1
            turns = recognise(row)
            reasons = [turns] if isinstance(turns, str) else _reasons(turns)
            if not reasons:
                keep(row)
                continue
            dropped[reasons[0]] += 1
            if args.explain and not args.json:
                print(f"{where}: {', '.join(reasons)}{_beginning(turns)}")
    kept = total - dropped.total()
    counts = "; ".join(f"{n} {reason}" for reason, n in dropped.most_common()) or "nothing"
    facts = {"rows": total, "kept": kept, "dropped": dict(dropped.most_common()), "out": args.out}
    written = [f"kept rows: {args.out}"] if args.out else []
    options.say(args, facts, [f"{total} rows, {kept} kept, dropped: {counts}", *written])
    return 0


def _reasons(turns: Conversation) -> list[str]:
    task = Task(instruction=turns.instruction)
    reasons = [f"instruction: {reason}" for reason in core_reasons(None, task, None)]
    if "output" in turns.columns:
        reasons += [f"answer: {reason}" for reason in core_reasons(None, task, turns.output)]
    return reasons


def _beginning(turns: Conversation | str) -> str:
    if isinstance(turns, str):
        return ""
    text = " ".join((turns.output or turns.instruction).split())
    return f": {text[:SHOWN_CHARS]}" + ("..." if len(text) > SHOWN_CHARS else "")
