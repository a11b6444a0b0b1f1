"""`evoltune runs watch RUN`: a live view of a run in the terminal, also while another process runs it or after it has died.

Reads only the store and the training log.
"""

import argparse
import json
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evoltune.errors import DataError
from evoltune.recipe import load_recipe
from evoltune.run import queries
from evoltune.run.lock import is_locked
from evoltune.run.paths import CHECKPOINT, METRICS, RECIPE, RUN_LOCK, STORE
from evoltune.run.store import Store
from evoltune.terminal import printable

ORDER = ("evolve", "verify", "dedup", "decontaminate", "select")
SNAPSHOTS = 30
"""Kept for the rates that are shown."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument("--once", action="store_true", help="print the view once and stop")
    parser.add_argument("--json", action="store_true", help="print the figures once as JSON")
    parser.add_argument("--every-s", type=float, default=1.0, help="seconds between updates (default: 1)")


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The figures of a run at one moment."""

    alive: bool
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


def run(args: argparse.Namespace) -> int:
    if not (args.run / STORE).is_file() and not (args.run / RECIPE).is_file():
        raise DataError(f"{args.run}: no run there: give the directory of a run")
    if args.json:
        print(json.dumps(asdict(snapshot(args.run)), indent=2))
        return 0
    from rich.console import Console
    from rich.live import Live

    history: deque[tuple[float, Snapshot]] = deque(maxlen=SNAPSHOTS)
    history.append((time.monotonic(), snapshot(args.run)))
    if args.once:
        Console().print(view(args.run, history))
        return 0
    with Live(view(args.run, history), refresh_per_second=4) as live:
        while True:
            time.sleep(args.every_s)
            history.append((time.monotonic(), snapshot(args.run)))
            live.update(view(args.run, history))


def snapshot(folder: Path) -> Snapshot:
    """Reads the figures of this moment."""
    alive = is_locked(folder / RUN_LOCK)
    training = _last_metrics(folder / CHECKPOINT / METRICS)
    if not (folder / STORE).is_file():
        return Snapshot(alive=alive, training=training)
    with Store.read(folder) as store:
        steps: list[dict[str, Any]] = [
            {"step": name, "decided": decided, "kept": kept} for name, decided, kept in queries.step_counts(store)
        ]
        steps.sort(key=lambda s: ORDER.index(s["step"]) if s["step"] in ORDER else len(ORDER))
        spent = store.spent().values()
        return Snapshot(
            alive=alive,
            stage="training" if training else (steps[-1]["step"] if steps else "starting"),
            decided=sum(s["decided"] for s in steps),
            kept=sum(s["kept"] for s in steps),
            verdicts=queries.verdict_counts(store),
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
    state = "running" if now.alive else "not running (the same command resumes it)"
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
    budget = load_recipe(path).teacher.budget
    caps = {name: float(getattr(budget, name)) for name in ("usd", "tokens", "calls", "wall_s")}
    return {name: cap for name, cap in caps.items() if cap}


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
