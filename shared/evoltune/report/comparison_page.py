"""The page that compares two runs: scores with their intervals, causes of a difference, stages, the recipes' lines.

write_comparison(Path("runs/a"), Path("runs/b"))  ->  runs/a/compare-a-b.html
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoltune.errors import EvoltuneError
from evoltune.evaluate.compare import differences
from evoltune.report import charts
from evoltune.report.html import render_with_charts
from evoltune.report.run_data import RunData, read_run
from evoltune.rows.files import write_file


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
