"""The pages: of one run, and the review page of a selection.

    write_report(Path("runs/quickstart"))  ->  runs/quickstart/report.html

On the review page a person accepts or rejects rows. Decisions stay in the browser (localStorage) and are saved as
`decisions.json`, which `evoltune data select --decisions` reads: accepted rows are always taken, rejected rows never, and
other rows take their place.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evoltune.errors import DataError
from evoltune.report import charts
from evoltune.report.html import embedded_json, packed_json, render, render_with_charts, static
from evoltune.report.run_data import read_run
from evoltune.report.summary import summary
from evoltune.rows.files import write_file
from evoltune.run.paths import REPORT

PACKED = ("id", "parents", "round", "operator", "verdict", "outcome", "text", "answer")
"""Fields of a row in the order in which run.js unpacks them."""


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Writes `report.html` into the run directory, or the file `out`, and returns its path. Raises DataError when it is not a
    run, or may not be written there."""
    run, path = read_run(folder), out or folder / REPORT
    if not out and not os.access(folder, os.W_OK):
        raise DataError(f"{folder}: may not be written: name another place for the page with --out FILE")
    specs = {
        "funnel": charts.funnel(run.ledgers),
        "fates": charts.fates(run.fates),
        "reasoning": charts.reasoning(run.reasoning),
        "difficulty": charts.difficulty(run.difficulty),
        "diversity": charts.diversity(run.diversity),
        "loss": charts.loss(run.loss),
        "reinforcement": charts.reinforcement(run.rl),
        "scores": charts.scores(run.scores),
        "judged": charts.judged(run.judged),
        "radar": charts.radar(run.judged),
    }
    shown = {name: spec for name, spec in specs.items() if spec["data"]["values"]}
    page = render_with_charts(
        "run.html",
        shown,
        scripts=("run.js",),
        shown=shown,
        summary=summary(run),
        run=run,
        rows=packed_json([[row[name] for name in PACKED] for row in run.rows]),
        pretty=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )
    write_file(path, page.encode(errors="replace"))
    return path


# ---- a selection


def write_review(path: Path, title: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """One page over rows with `id`, `source`, `instruction`, `output`. All text is escaped; the page loads nothing."""
    key = embedded_json(f"evoltune-review:{title}")
    page = render("review.html", title=title, key=key, rows=rows, css=static("review.css"), script=static("review.js"))
    write_file(path, page.encode(errors="replace"))
