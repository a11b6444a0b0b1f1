"""Two pictures for people who look at files: difficulty by round (WizardCoder's) and scores with intervals (LIMA's).

The charts are those of the report page, drawn as SVG by vl-convert. Invariant: equal numbers give equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evoltune.report import charts

WIDTH = 480


def difficulty_picture(counts: Mapping[str, Mapping[str, int]], levels: Sequence[str]) -> str:
    """One bar per group (round, source), cut by level; counts: group -> level -> rows. Empty without vl-convert."""
    rows = [
        {"round": group, "level": level, "rows": row.get(level, 0)}
        for group, row in counts.items()
        for level in levels
    ]
    return _svg(charts.difficulty(rows))


def score_picture(rows: Sequence[Mapping[str, Any]]) -> str:
    """Bars with 95% intervals; rows: {label, suite, measure, value, low, high}. Empty without vl-convert."""
    return _svg(charts.scores(rows, order=tuple(dict.fromkeys(str(row["label"]) for row in rows))))


def _svg(spec: charts.Spec) -> str:
    try:
        import vl_convert
    except ImportError:
        return ""
    drawn: str = vl_convert.vegalite_to_svg({**spec, "width": WIDTH, "background": "white"})
    return drawn + "\n"
