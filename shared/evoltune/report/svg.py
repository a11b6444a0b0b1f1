"""Charts as SVG files: difficulty by round for the dataset card, scores with intervals for an ablation.

They are the charts of the report page, drawn by vl-convert. Invariant: equal numbers give equal bytes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evoltune.report import charts

WIDTH = 480  # pixels


def difficulty_svg(counts: Mapping[str, Mapping[str, int]], levels: Sequence[str]) -> str:
    """One bar per group (a round, a source), divided by level. Empty without vl-convert.

    Args:
        counts: group -> level -> rows.
        levels: the levels in order.
    """
    rows = [
        {"round": group, "level": level, "rows": by_level.get(level, 0)}
        for group, by_level in counts.items()
        for level in levels
    ]
    return _svg(charts.difficulty(rows))


def scores_svg(rows: Sequence[Mapping[str, Any]]) -> str:
    """Bars with 95% intervals; rows: {label, suite, measure, value, low, high}. Empty without vl-convert."""
    return _svg(charts.scores(rows, order=tuple(dict.fromkeys(str(row["label"]) for row in rows))))


def _svg(spec: charts.Spec) -> str:
    try:
        import vl_convert
    except ImportError:
        return ""
    drawn: str = vl_convert.vegalite_to_svg({**spec, "width": WIDTH, "background": "white"})
    return drawn + "\n"
