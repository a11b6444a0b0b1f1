"""`evoltune explain RUN ID`: a row's way back to its seed, with prompts, decisions, verdicts and cost.

`ID` may be a prefix of at least four characters.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evoltune.errors import DataError
from evoltune.record import verdict_to_json
from evoltune.run.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument("id", help="record id, or its first characters")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    with Store.read(args.run) as store:
        generations = list(lineage(store, _full_id(store, args.id)))
    if args.json:
        print(json.dumps(generations, ensure_ascii=False, indent=2))
    else:
        for depth, entry in enumerate(generations):
            _print(entry, depth)
    return 0


def lineage(store: Store, record_id: str) -> Iterator[dict[str, Any]]:
    """The record, then its ancestors up to the seed, each with its decisions and teacher calls."""
    waiting, seen = [record_id], set()
    while waiting:
        current = waiting.pop(0)
        if current in seen:
            continue
        seen.add(current)
        record = store.record(current)
        calls = store.sql(
            "SELECT purpose, request, texts, prompt_tokens, completion_tokens, usd FROM calls WHERE record=? ORDER BY rowid",
            current,
        )
        yield {
            "id": current,
            "round": record.round,
            "operator": record.operator or "seed",
            "instruction": record.task.instruction,
            "reference": record.task.reference,
            "answers": [
                {
                    "model": a.model,
                    "text": a.text,
                    "verdict": verdict_to_json(a.verdict) if a.verdict else None,
                }
                for a in record.answers
            ],
            "decisions": [
                {"step": step, "decision": reason or "kept", "why": store.noted(f"why:{step}:{current}")}
                for step, reason in store.sql(
                    "SELECT step, reason FROM decisions WHERE record=? ORDER BY step", current
                )
            ],
            "calls": [
                dict(
                    zip(
                        ("purpose", "request", "texts", "prompt_tokens", "completion_tokens", "usd"),
                        row,
                        strict=True,
                    )
                )
                for row in calls
            ],
            "parents": list(record.parents),
        }
        waiting.extend(record.parents)


def _full_id(store: Store, prefix: str) -> str:
    found = [
        i
        for (i,) in store.sql("SELECT id FROM records WHERE substr(id, 1, ?)=? LIMIT 3", len(prefix), prefix)
    ]
    if len(found) != 1 or (len(prefix) < 4 and found != [prefix]):
        what = "no record" if not found else "several records"
        raise DataError(f"{store.folder}: {what} with an id that begins {prefix!r}: the report lists ids")
    return str(found[0])


def _print(entry: dict[str, Any], depth: int) -> None:
    """Text of rows is data: control characters are shown, never sent to the terminal."""
    out = sys.stdout
    out.write(
        f"{'seed' if not entry['parents'] else 'row'} {entry['id']}  round {entry['round']}  {entry['operator']}\n"
    )
    for line in entry["instruction"].splitlines() or [""]:
        out.write(f"  | {_plain(line)}\n")
    for decision in entry["decisions"]:
        why = f" ({_plain(json.dumps(decision['why'], ensure_ascii=False))})" if decision["why"] else ""
        out.write(f"  {decision['step']}: {_plain(decision['decision'])}{why}\n")
    for answer in entry["answers"]:
        verdict = answer["verdict"] or {"status": "not judged", "reason": ""}
        out.write(f"  answer ({answer['model']}): {verdict['status']} {_plain(verdict['reason'])}\n")
        for line in answer["text"].splitlines()[:12]:
            out.write(f"  > {_plain(line)}\n")
    for call in entry["calls"]:
        tokens = call["prompt_tokens"] + call["completion_tokens"]
        out.write(f"  call {call['purpose']}: {tokens} tokens, ${call['usd']:.6f}\n")
    if entry["parents"]:
        out.write(f"  came from {', '.join(entry['parents'])}\n\n")


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in text)
