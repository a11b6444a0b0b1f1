"""One static HTML page per run: opens offline, asks the network for nothing, treats all data as text.

    write_report(Path("runs/quickstart"))  ->  runs/quickstart/report.html

Invariant: the page is a pure function of the run directory; text of rows reaches the browser only as escaped HTML or
as JSON that scripts put into text nodes.
"""

from __future__ import annotations

from pathlib import Path

from evoltune.report.compare import pair
from evoltune.report.gather import gather
from evoltune.report.page import render, render_pair
from evoltune.rows.files import write_file


def write_report(folder: Path) -> Path:
    """Writes `report.html` into the run directory and returns its path."""
    return _write(folder / "report.html", render(gather(folder)))


def write_comparison(a: Path, b: Path) -> Path:
    """Writes `compare-A-B.html` beside the first run and returns its path."""
    name = f"compare-{a.resolve().name}-{b.resolve().name}.html"
    return _write(a / name, render_pair(pair(a, b)))


def _write(path: Path, text: str) -> Path:
    write_file(path, text.encode(errors="replace"))
    return path
