"""The pages: of one run, of two runs compared, and the review page of a selection.

    write_report(Path("runs/quickstart"))  ->  runs/quickstart/report.html
    write_comparison(Path("runs/a"), Path("runs/b"))  ->  runs/a/compare-a-b.html

On the review page a person accepts or rejects rows. Decisions stay in the browser (localStorage) and are saved as
`decisions.json`, which `evoltune data select --decisions` reads: accepted rows are always taken, rejected rows never, and
other rows take their place.
"""

import difflib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evoltune.errors import DataError, EvoltuneError
from evoltune.evaluate.compare import differences
from evoltune.report import charts
from evoltune.report.html import embedded_json, packed_json, render, render_with_charts, static
from evoltune.report.run_data import RunData, read_run
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
        "verdicts": charts.verdicts(run.verdicts),
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


# ---- two runs


def write_comparison(a: Path, b: Path) -> Path:
    """Writes `compare-A-B.html` into the first run's directory and returns its path. Raises DataError: not a run."""
    path = a / f"compare-{a.resolve().name}-{b.resolve().name}.html"
    left, right = read_run(a), read_run(b)
    scores = _paired_scores(left, right)
    bars = [
        {**score[side], "label": run.name}
        for side, run in (("a", left), ("b", right))
        for score in scores
        if score[side]
    ]
    stages = dict.fromkeys([*left.ledgers, *right.ledgers])
    page = render_with_charts(
        "comparison.html",
        {"scores": charts.scores(bars, order=(left.name, right.name))} if bars else {},
        a=left,
        b=right,
        scores=scores,
        stages=[(name, left.ledgers.get(name, {}), right.ledgers.get(name, {})) for name in stages],
        causes=_causes(a, b),
        recipe=_line_diff(left.recipe_text, right.recipe_text),
    )
    write_file(path, page.encode(errors="replace"))
    return path


def _paired_scores(left: RunData, right: RunData) -> list[dict[str, Any]]:
    """{suite, measure, a, b}: scores of the trained models; None where one was not measured."""
    a, b = ({(s["suite"], s["measure"]): s for s in run.scores if s["label"] == "after"} for run in (left, right))
    keys = dict.fromkeys([*a, *b])
    return [{"suite": s, "measure": m, "a": a.get((s, m)), "b": b.get((s, m))} for s, m in keys]


def _causes(a: Path, b: Path) -> list[str]:
    try:
        return [str(difference) for difference in differences(a, b)]
    except EvoltuneError as error:
        return [f"not compared: {error}"]


def _line_diff(left: str, right: str) -> list[tuple[str, str]]:
    """(kind, line) with kind in "same", "gone", "new"."""
    kinds = {"  ": "same", "- ": "gone", "+ ": "new"}
    diff = difflib.ndiff(left.splitlines(), right.splitlines())
    return [(kinds[line[:2]], line[2:]) for line in diff if line[:2] in kinds]


# ---- a selection


def write_review(path: Path, title: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """One page over rows with `id`, `source`, `instruction`, `output`. All text is escaped; the page loads nothing."""
    key = embedded_json(f"evoltune-review:{title}")
    page = render("review.html", title=title, key=key, rows=rows, css=static("review.css"), script=static("review.js"))
    write_file(path, page.encode(errors="replace"))
