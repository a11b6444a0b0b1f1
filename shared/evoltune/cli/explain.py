"""`evoltune runs explain RUN ID`: a row's history back to its seed, with prompts, decisions, verdicts and cost.

`ID` may be a prefix of at least four characters.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evoltune.errors import DataError
from evoltune.record import verdict_to_json
from evoltune.run import queries
from evoltune.run.store import Store
from evoltune.terminal import printable

ANSWER_LINES = 12


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
        for entry in generations:
            print("\n".join(_lines(entry)))
    return 0


def lineage(store: Store, record_id: str) -> Iterator[dict[str, Any]]:
    """The record, then its ancestors up to the seed, each with its decisions and teacher calls."""
    waiting = [record_id]
    seen: set[str] = set()
    while waiting:
        current = waiting.pop(0)
        if current not in seen:
            seen.add(current)
            entry = _history(store, current)
            waiting += entry["parents"]
            yield entry


def _history(store: Store, record_id: str) -> dict[str, Any]:
    record = store.record(record_id)
    return {
        "id": record_id,
        "round": record.round,
        "operator": record.operator or "seed",
        "instruction": record.task.instruction,
        "reference": record.task.reference,
        "answers": [
            {"model": a.model, "text": a.text, "verdict": verdict_to_json(a.verdict) if a.verdict else None}
            for a in record.answers
        ],
        "decisions": [
            {"step": key, "decision": reason or "kept", "why": store.noted(f"why:{key}:{record_id}")}
            for key, reason in queries.record_decisions(store, record_id)
        ],
        "calls": queries.record_calls(store, record_id),
        "parents": list(record.parents),
    }


def _full_id(store: Store, prefix: str) -> str:
    found = queries.ids_with_prefix(store, prefix, 2)
    if len(found) != 1 or (len(prefix) < 4 and found != [prefix]):
        what = "no record" if not found else "several records"
        raise DataError(f"{store.folder}: {what} with an id that begins {prefix!r}: the report lists ids")
    return found[0]


def _lines(entry: dict[str, Any]) -> Iterator[str]:
    """What is printed of a record. Its text cannot control the terminal."""
    kind = "row" if entry["parents"] else "seed"
    yield f"{kind} {entry['id']}  round {entry['round']}  {entry['operator']}"
    for line in entry["instruction"].splitlines() or [""]:
        yield f"  | {printable(line)}"
    for decision in entry["decisions"]:
        why = f" ({printable(json.dumps(decision['why'], ensure_ascii=False))})" if decision["why"] else ""
        yield f"  {decision['step']}: {printable(decision['decision'])}{why}"
    for answer in entry["answers"]:
        verdict = answer["verdict"] or {"status": "not judged", "reason": ""}
        yield f"  answer ({answer['model']}): {verdict['status']} {printable(verdict['reason'])}"
        for line in answer["text"].splitlines()[:ANSWER_LINES]:
            yield f"  > {printable(line)}"
    for call in entry["calls"]:
        tokens = call["prompt_tokens"] + call["completion_tokens"]
        yield f"  call {call['purpose']}: {tokens} tokens, ${call['usd']:.6f}"
    if entry["parents"]:
        yield f"  came from {', '.join(entry['parents'])}\n"
