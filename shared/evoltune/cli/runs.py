"""`evoltune runs`: watch, explain, publish, fetch.

evoltune runs watch runs/mine            a live view, also while another process runs it or after it has died
evoltune runs explain runs/mine 3f2a     a row's history back to its seed; four characters of an id suffice
evoltune runs publish runs/mine s3://bucket/mine
"""

import argparse
import json
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from evoltune.cli import options
from evoltune.errors import DataError
from evoltune.recipe import load_recipe
from evoltune.rows.storage import is_address
from evoltune.run import queries
from evoltune.run.lock import is_locked
from evoltune.run.paths import CHECKPOINT, METRICS, RECIPE, REPORT, RUN_LOCK, SLURM, STORE, user_path
from evoltune.run.publish import fetch, publish
from evoltune.run.store import Store
from evoltune.terminal import console, printable

ORDER = ("evolve", "verify", "dedup", "decontaminate", "select")
SNAPSHOTS = 30
"""Kept for the rates that are shown."""
ANSWER_LINES = 12


def add_watch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=user_path, help="run directory")
    parser.add_argument("--once", action="store_true", help="print the view once and stop")
    options.add_json(parser, "print the figures once as JSON")
    parser.add_argument(
        "--every-s", type=options.positive_float, default=1.0, help="seconds between updates (default: 1)"
    )
    parser.set_defaults(execute=_watch)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The figures of a run at one moment."""

    alive: bool
    finished: bool = False
    """Nothing works on it, and its last stage has written the report."""
    stage: str = "starting"
    decided: int = 0
    kept: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    budget: dict[str, float] = field(default_factory=dict)
    planned: int = 0
    steps: list[dict[str, Any]] = field(default_factory=list)
    drops: list[tuple[str, str, str]] = field(default_factory=list)
    """(step, reason, instruction) of the newest dropped records."""
    training: dict[str, Any] | None = None

    @property
    def evolved(self) -> int:
        return next((s["decided"] for s in self.steps if s["step"] == "evolve"), 0)


def _watch(args: argparse.Namespace) -> None:
    if not (args.run / STORE).is_file() and not (args.run / RECIPE).is_file():
        raise DataError(f"{args.run}: no run there: give the directory of a run")
    if args.json:
        print(json.dumps(asdict(snapshot(args.run)), indent=2))
        return
    from rich.live import Live

    history: deque[tuple[float, Snapshot]] = deque(maxlen=SNAPSHOTS)
    history.append((time.monotonic(), snapshot(args.run)))
    if args.once or history[-1][1].finished:
        console().print(view(args.run, history))
        return
    with Live(view(args.run, history), refresh_per_second=4, console=console()) as live:
        while not _is_over(args.run, history):
            time.sleep(args.every_s)
            history.append((time.monotonic(), snapshot(args.run)))
            live.update(view(args.run, history))


def _is_over(folder: Path, history: Sequence[tuple[float, Snapshot]]) -> bool:
    """Whether the run is finished, or whoever was seen at work on it has gone. Slurm starts each stage as a job of its own."""
    now, was_alive = history[-1][1], len(history) > 1 and history[-2][1].alive
    return now.finished or (was_alive and not now.alive and not (folder / SLURM).is_dir())


def snapshot(folder: Path) -> Snapshot:
    """Reads the figures of this moment."""
    alive = is_locked(folder / RUN_LOCK)
    finished = not alive and (folder / REPORT).is_file()
    training = _last_metrics(folder / CHECKPOINT / METRICS)
    if not (folder / STORE).is_file():
        return Snapshot(alive=alive, finished=finished, training=training)
    with Store.read(folder) as store:
        counts = sorted(queries.step_counts(store), key=lambda c: ORDER.index(c[0]) if c[0] in ORDER else len(ORDER))
        steps: list[dict[str, Any]] = [dict(zip(("step", "decided", "kept"), count, strict=True)) for count in counts]
        spent = store.spent().values()
        return Snapshot(
            alive=alive,
            finished=finished,
            stage="training" if training else (steps[-1]["step"] if steps else "starting"),
            decided=sum(s["decided"] for s in steps),
            kept=sum(s["kept"] for s in steps),
            verdicts=dict(Counter(queries.row_verdicts(store).values())),
            calls=int(sum(s["calls"] for s in spent)),
            tokens=int(sum(s["prompt_tokens"] + s["completion_tokens"] for s in spent)),
            usd=float(sum(s["usd"] for s in spent)),
            budget=_budget(folder),
            planned=queries.planned(store),
            steps=steps,
            drops=queries.latest_drops(store, 5),
            training=training,
        )


def view(folder: Path, history: deque[tuple[float, Snapshot]]) -> Any:
    """The view as a rich renderable."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    now = history[-1][1]
    steps = Table("stage", "decided", "kept", "kept %")
    for step in now.steps:
        share = f"{step['kept'] / step['decided']:.0%}" if step["decided"] else ""
        steps.add_row(Text(printable(step["step"])), f"{step['decided']:,}", f"{step['kept']:,}", share)
    verdicts = ", ".join(f"{status} {n:,}" for status, n in sorted(now.verdicts.items())) or "none yet"
    drops = Table("last drops", "reason", "text")
    for name, reason, text in now.drops:
        drops.add_row(Text(printable(name)), Text(printable(reason)), Text(printable(text[:90])))
    return Group(Text("\n".join(_head(folder, history))), steps, Text(f"verdicts: {verdicts}"), drops)


def _head(folder: Path, history: deque[tuple[float, Snapshot]]) -> list[str]:
    (began, first), (ended, now) = history[0], history[-1]
    seconds = ended - began
    rate = (now.calls - first.calls) / seconds if seconds > 0 else 0.0
    done = f"finished: {folder / REPORT}" if now.finished else "not running (the same command resumes it)"
    state = "running" if now.alive else done
    cap = now.budget.get("usd") or 0
    spent = f"${now.usd:.4f}" + (f" of ${cap:.2f}" if cap else "")
    lines = [
        f"{folder}  {now.stage}, {state}",
        f"calls {now.calls:,} ({rate:.1f}/s), tokens {now.tokens:,}, spent {spent}",
    ]
    left = now.planned - now.evolved
    if left > 0:
        speed = (now.evolved - first.evolved) / seconds if seconds > 0 else 0.0
        time_left = f", about {left / speed:,.0f} s" if speed else ""
        lines.append(f"evolve: {left:,} of {now.planned:,} rows left{time_left}")
    if now.training:
        lines.append("training: " + ", ".join(f"{k} {v}" for k, v in now.training.items()))
    return [*lines, ""]


def _budget(folder: Path) -> dict[str, float]:
    path = folder / RECIPE
    if not path.is_file():
        return {}
    caps = msgspec.structs.asdict(load_recipe(path).teacher.budget)
    return {name: float(cap) for name, cap in caps.items() if cap}


def _last_metrics(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    for line in reversed(path.read_text(encoding="utf-8", errors="replace").splitlines()):
        try:
            value = json.loads(line)
        except ValueError:  # a line that is just being written
            continue
        return {k: v for k, v in value.items() if k in ("step", "loss", "tokens_per_second")}
    return None


def add_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=user_path, help="run directory")
    parser.add_argument("id", help="record id, or its first characters")
    options.add_json(parser, "print JSON")
    parser.set_defaults(execute=_explain)


def _explain(args: argparse.Namespace) -> None:
    with Store.read(args.run) as store:
        generations = list(lineage(store, _full_id(store, args.id)))
    if args.json:
        print(json.dumps(generations, ensure_ascii=False, indent=2))
    else:
        for entry in generations:
            print("\n".join(_lines(entry)))


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
        "operator_version": record.operator_version,
        "instruction": record.task.instruction,
        "reference": record.task.reference,
        "answers": [
            {"model": a.model, "text": a.text, "verdict": asdict(a.verdict) if a.verdict else None}
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
    yield f"{kind} {entry['id']}  round {entry['round']}  {entry['operator']} {entry['operator_version']}".rstrip()
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


def add_publish(parser: argparse.ArgumentParser) -> None:
    _add_transfer(parser)
    repair = "read back what is there, and replace what is damaged"
    parser.add_argument("--repair", action="store_true", help=repair)
    options.finish(parser, _transfer)


def _add_transfer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help="publish: a folder; fetch: an address, e.g. s3://bucket/run")
    parser.add_argument("target", help="publish: an address; fetch: a folder")


def add_fetch(parser: argparse.ArgumentParser) -> None:
    _add_transfer(parser)
    options.finish(parser, _transfer)


def _transfer(args: argparse.Namespace) -> None:
    address, folder = (args.target, args.source) if args.verb == "publish" else (args.source, args.target)
    if not is_address(address):
        raise DataError(f"{address}: not an address: give SCHEME://..., e.g. s3://bucket/run or file:///mnt/run")
    if args.verb == "publish":
        is_live = is_locked(Path(folder) / RUN_LOCK)
        manifest = publish(Path(folder), address, snapshot=is_live, repair=args.repair)
    else:
        manifest = fetch(address, Path(folder))
    files, version = manifest["files"], manifest["version"]
    size = sum(entry["bytes"] for entry in files.values())
    facts = {"address": address, "folder": folder, "version": version, "files": len(files), "bytes": size}
    line = f"{args.verb}: {len(files)} files, {size / 1e6:.1f} MB, {address} (version {version[:12]})"
    options.say(args, facts, [line])
