"""`evoltune watch RUN`: a live view of a run in the terminal; works while another process runs it, and after it died.

Reads the store and the loss log only; text of rows is shown as text (control characters escaped).
"""

from __future__ import annotations

import argparse
import fcntl
import json
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evoltune.errors import DataError
from evoltune.run.store import FILE, Store

ORDER = ("evolve", "verify", "dedup", "decontaminate", "select")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument("--once", action="store_true", help="print the view once and stop")
    parser.add_argument("--json", action="store_true", help="print the figures once as JSON")
    parser.add_argument("--every-s", type=float, default=1.0, help="seconds between looks (default: 1)")


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look at the run directory shows."""

    alive: bool
    stage: str
    decided: int
    kept: int
    verdicts: dict[str, int]
    calls: int
    tokens: int
    usd: float
    budget: dict[str, float]
    planned: int
    steps: list[dict[str, Any]] = field(default_factory=list)
    drops: list[tuple[str, str, str]] = field(default_factory=list)
    training: dict[str, Any] | None = None


def run(args: argparse.Namespace) -> int:
    if not (args.run / FILE).is_file() and not (args.run / "recipe.yaml").is_file():
        raise DataError(f"{args.run}: no run there: give the directory of a run")
    if args.json:
        look = look_at(args.run)
        print(json.dumps({**look.__dict__}, indent=2))
        return 0
    from rich.console import Console
    from rich.live import Live

    history: deque[tuple[float, Look]] = deque(maxlen=30)
    history.append((time.monotonic(), look_at(args.run)))
    if args.once:
        Console().print(view(args.run, history))
        return 0
    with Live(view(args.run, history), refresh_per_second=4) as live:
        while True:
            time.sleep(args.every_s)
            history.append((time.monotonic(), look_at(args.run)))
            live.update(view(args.run, history))


def look_at(folder: Path) -> Look:
    """The figures of this moment."""
    training = _last_metric(folder / "checkpoint" / "metrics.jsonl")
    if not (folder / FILE).is_file():
        return Look(
            alive=_alive(folder), stage="starting", decided=0, kept=0, verdicts={}, calls=0, tokens=0, usd=0.0,
            budget={}, planned=0, training=training,
        )  # fmt: skip
    with Store.read(folder) as store:
        steps = [
            {"step": key.partition("@")[0], "decided": n, "kept": kept}
            for key, n, kept in store.sql(
                "SELECT step, count(*), sum(reason='') FROM decisions GROUP BY step"
            )
        ]
        steps.sort(key=lambda s: ORDER.index(s["step"]) if s["step"] in ORDER else len(ORDER))
        verdicts = dict(store.sql("SELECT json_extract(body, '$.status'), count(*) FROM verdicts GROUP BY 1"))
        spent = store.spent().values()
        drops = list(
            store.sql(
                "SELECT d.step, d.reason, json_extract(r.body, '$.task.instruction') FROM decisions d JOIN records r "
                "ON r.id=d.record WHERE d.reason<>'' ORDER BY r.rowid DESC LIMIT 5"
            )
        )
        planned = [
            v
            for (v,) in store.sql(
                "SELECT value FROM meta WHERE key LIKE 'planned:%' ORDER BY key DESC LIMIT 1"
            )
        ]
    stage = "training" if training else (steps[-1]["step"] if steps else "starting")
    return Look(
        alive=_alive(folder),
        stage=stage,
        decided=sum(s["decided"] for s in steps),
        kept=sum(s["kept"] for s in steps),
        verdicts=verdicts,
        calls=int(sum(s["calls"] for s in spent)),
        tokens=int(sum(s["prompt_tokens"] + s["completion_tokens"] for s in spent)),
        usd=float(sum(s["usd"] for s in spent)),
        budget=_budget(folder),
        planned=int(json.loads(planned[0])) if planned else 0,
        steps=steps,
        drops=[(step.partition("@")[0], reason, text or "") for step, reason, text in drops],
        training=training,
    )


def view(folder: Path, history: deque[tuple[float, Look]]) -> Any:
    """The view as a rich renderable."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    now, look = history[-1]
    then, first = history[0]
    rate = (look.calls - first.calls) / (now - then) if now > then else 0.0
    state = "running" if look.alive else "not running (the same command resumes it)"
    head = Text(f"{folder}  {look.stage}, {state}\n")
    cap = look.budget.get("usd") or 0
    spend = f"${look.usd:.4f}" + (f" of ${cap:.2f}" if cap else "")
    head.append(f"calls {look.calls:,} ({rate:.1f}/s), tokens {look.tokens:,}, spent {spend}\n")
    left = look.planned - next((s["decided"] for s in look.steps if s["step"] == "evolve"), 0)
    evolved_then = next((s["decided"] for s in first.steps if s["step"] == "evolve"), 0)
    speed = (look.planned - left - evolved_then) / (now - then) if now > then else 0.0
    if left > 0:
        head.append(
            f"evolve: {left:,} of {look.planned:,} rows left"
            + (f", about {left / speed:,.0f} s\n" if speed else "\n")
        )
    if look.training:
        head.append("training: " + ", ".join(f"{k} {v}" for k, v in look.training.items()) + "\n")
    steps = Table("stage", "decided", "kept", "kept %")
    for step in look.steps:
        share = f"{step['kept'] / step['decided']:.0%}" if step["decided"] else ""
        steps.add_row(Text(plain(step["step"])), f"{step['decided']:,}", f"{step['kept']:,}", share)
    mix = Text(
        "verdicts: " + (", ".join(f"{k} {v:,}" for k, v in sorted(look.verdicts.items())) or "none yet")
    )
    drops = Table("last drops", "reason", "text")
    for step_name, reason, text in look.drops:
        drops.add_row(Text(plain(step_name)), Text(plain(reason)), Text(plain(text[:90])))
    return Group(head, steps, mix, drops)


def plain(text: str) -> str:
    """Text of rows for a terminal: nothing in it can move the cursor or change colours."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _alive(folder: Path) -> bool:
    """Whether a process holds the run's lock."""
    path = folder / "run.lock"
    if not path.is_file():
        return False
    with path.open() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _budget(folder: Path) -> dict[str, float]:
    from evoltune.recipe import load_recipe

    path = folder / "recipe.yaml"
    if not path.is_file():
        return {}
    budget = load_recipe(path).teacher.budget
    return {
        name: float(getattr(budget, name))
        for name in ("usd", "tokens", "calls", "wall_s")
        if getattr(budget, name)
    }


def _last_metric(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    for line in reversed(path.read_text(encoding="utf-8", errors="replace").splitlines()):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        return {k: v for k, v in value.items() if k in ("step", "loss", "tokens_per_second")}
    return None
