"""The pages: of one run, of two runs compared, and the review page of a selection.

    write_report(Path("runs/quickstart"))  ->  runs/quickstart/report.html
    write_comparison(Path("runs/a"), Path("runs/b"))  ->  runs/a/compare-a-b.html

On the review page a person accepts or rejects rows. Decisions stay in the browser (localStorage) and are saved as
`decisions.json`, which `evoltune data select --decisions` reads: accepted rows are always taken, rejected rows never, and
other rows take their place.
"""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoltune.errors import EvoltuneError
from evoltune.evaluate.compare import differences
from evoltune.report import charts
from evoltune.report.html import embedded_json, packed_json, render, render_with_charts, static
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


# ---- two runs


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What the page shows."""

    a: RunData
    b: RunData
    scores: Sequence[Mapping[str, Any]]
    """{suite, measure, a, b}: scores of the trained models; None where one was not measured."""
    stages: Sequence[tuple[str, Mapping[str, int], Mapping[str, int]]]
    """(stage, ledger of a, ledger of b)"""
    causes: Sequence[str]
    recipe: Sequence[tuple[str, str]]
    """(kind, line) with kind in "same", "gone", "new"."""


def write_comparison(a: Path, b: Path) -> Path:
    """Writes `compare-A-B.html` into the first run's directory and returns its path. Raises DataError: not a run."""
    path = a / f"compare-{a.resolve().name}-{b.resolve().name}.html"
    write_file(path, render_comparison(compare_runs(a, b)).encode(errors="replace"))
    return path


def compare_runs(a: Path, b: Path) -> Comparison:
    left, right = read_run(a), read_run(b)
    stages = dict.fromkeys([*left.ledgers, *right.ledgers])
    return Comparison(
        a=left,
        b=right,
        scores=_paired_scores(left, right),
        stages=[(name, left.ledgers.get(name, {}), right.ledgers.get(name, {})) for name in stages],
        causes=_causes(a, b),
        recipe=_line_diff(left.recipe_text, right.recipe_text),
    )


def render_comparison(comparison: Comparison) -> str:
    names = (comparison.a.name, comparison.b.name)
    bars = [
        {**score[side], "label": name}
        for side, name in zip("ab", names, strict=True)
        for score in comparison.scores
        if score[side]
    ]
    specs = {"scores": charts.scores(bars, order=names)} if bars else {}
    return render_with_charts("comparison.html", specs, comparison=comparison)


def _paired_scores(left: RunData, right: RunData) -> list[dict[str, Any]]:
    a, b = ({(s["suite"], s["measure"]): s for s in run.scores if s["label"] == "after"} for run in (left, right))
    keys = dict.fromkeys([*a, *b])
    return [{"suite": s, "measure": m, "a": a.get((s, m)), "b": b.get((s, m))} for s, m in keys]


def _causes(a: Path, b: Path) -> list[str]:
    try:
        return [str(difference) for difference in differences(a, b)]
    except EvoltuneError as error:
        return [f"not compared: {error}"]


def _line_diff(left: str, right: str) -> list[tuple[str, str]]:
    kinds = {"  ": "same", "- ": "gone", "+ ": "new"}
    diff = difflib.ndiff(left.splitlines(), right.splitlines())
    return [(kinds[line[:2]], line[2:]) for line in diff if line[:2] in kinds]


# ---- a selection


def write_review(path: Path, title: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """One page over rows with `id`, `source`, `instruction`, `output`. All text is escaped; the page loads nothing."""
    key = embedded_json(f"evoltune-review:{title}")
    page = render("review.html", title=title, key=key, rows=rows, css=static("review.css"), script=static("review.js"))
    write_file(path, page.encode(errors="replace"))
