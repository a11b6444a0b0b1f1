"""The page of one run.

write_report(Path("runs/quickstart"))  ->  runs/quickstart/report.html
"""

import json
from pathlib import Path

from evoltune.report import charts
from evoltune.report.html import packed_json, render_with_charts
from evoltune.report.run_data import RunData, read_run
from evoltune.rows.files import write_file
from evoltune.run.paths import REPORT

PACKED = ("id", "parents", "round", "operator", "verdict", "outcome", "text", "answer")
"""Fields of a row in the order in which run.js unpacks them."""


def write_report(folder: Path) -> Path:
    """Writes `report.html` into the run directory and returns its path. Raises DataError when it is not a run."""
    path = folder / REPORT
    write_file(path, render_run(read_run(folder)).encode(errors="replace"))
    return path


def render_run(run: RunData) -> str:
    specs = {
        "funnel": charts.funnel(run.ledgers),
        "verdicts": charts.verdicts(run.verdicts),
        "difficulty": charts.difficulty(run.difficulty),
        "diversity": charts.diversity(run.diversity),
        "loss": charts.loss(run.loss),
        "scores": charts.scores(run.scores),
    }
    return render_with_charts(
        "run.html",
        {name: spec for name, spec in specs.items() if spec["data"]["values"]},
        scripts=("run.js",),
        run=run,
        rows=packed_json([[row[name] for name in PACKED] for row in run.rows]),
        pretty=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )
