"""One static HTML page per run: opens offline, asks the network for nothing, treats all data as text.

    write_report(Path("runs/quickstart"))  ->  runs/quickstart/report.html

Invariant: the page is a pure function of the run directory; text of rows reaches the browser only as escaped HTML or
as JSON that scripts put into text nodes.
"""

from __future__ import annotations

from pathlib import Path

from evoltune.report.gather import gather
from evoltune.report.page import render


def write_report(folder: Path) -> Path:
    """Writes `report.html` into the run directory (temporary name, then rename) and returns its path."""
    path = folder / "report.html"
    temporary = path.with_suffix(".html.tmp")
    temporary.write_text(render(gather(folder)), encoding="utf-8", errors="replace")
    temporary.replace(path)
    return path
