"""Two small SVG pictures: difficulty by round (the WizardCoder picture), and scores with intervals (the LIMA picture).

Invariant: a picture is a function of its numbers; equal numbers give equal bytes. Text is escaped, colours read on light
and dark pages, and every mark carries its figure as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, ROW = 640, 26
SHADES = ("#9ecae1", "#4292c6", "#084594")
_STYLE = "<style>text{font:13px system-ui,sans-serif;fill:#57606a}.in{fill:#fff;font-size:11px}</style>"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A score with its 95% interval, all between 0 and 1."""

    label: str
    value: float
    low: float
    high: float


def difficulty_picture(counts: Mapping[str, Mapping[str, int]], levels: Sequence[str]) -> str:
    """One bar per group (round, source), cut by level; counts: group -> level -> rows."""
    most = max((sum(row.values()) for row in counts.values()), default=0) or 1
    parts = [f'<text x="{140 + 150 * i}" y="16">■ {escape(name)}</text>' for i, name in enumerate(levels)]
    parts = [p.replace("<text", f'<text style="fill:{SHADES[i % 3]}"', 1) for i, p in enumerate(parts)]
    for n, (group, row) in enumerate(counts.items()):
        y, x = 30 + n * ROW, 140.0
        parts.append(f'<text x="130" y="{y + 15}" text-anchor="end">{escape(group)}</text>')
        for i, name in enumerate(levels):
            width = (WIDTH - 220) * row.get(name, 0) / most
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="20" fill="{SHADES[i % 3]}"/>'
            )
            if width > 30:
                parts.append(f'<text class="in" x="{x + 4:.1f}" y="{y + 14}">{row.get(name, 0)}</text>')
            x += width
        parts.append(f'<text x="{x + 6:.1f}" y="{y + 15}">{sum(row.values())}</text>')
    return _svg("Rows by difficulty", parts, 40 + len(counts) * ROW)


def score_picture(groups: Mapping[str, Sequence[Bar]]) -> str:
    """Horizontal bars with whiskers, grouped under their axis."""
    parts: list[str] = []
    y = 10
    for name, bars in groups.items():
        parts.append(f'<text x="10" y="{y + 14}" style="font-weight:600">{escape(name)}</text>')
        y += ROW
        for bar in bars:
            parts += _score_bar(bar, y)
            y += ROW
    return _svg("Scores with 95% intervals", parts, y + 10)


def _score_bar(bar: Bar, y: int) -> list[str]:
    left, scale = 170, WIDTH - 260
    low, high, value = (left + scale * v for v in (bar.low, bar.high, bar.value))
    return [
        f'<text x="{left - 10}" y="{y + 14}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect x="{left}" y="{y + 2}" width="{value - left:.1f}" height="16" fill="{SHADES[1]}"/>',
        f'<path d="M{low:.1f} {y + 10}H{high:.1f}M{low:.1f} {y + 5}v10M{high:.1f} {y + 5}v10" stroke="#57606a" fill="none"/>',
        f'<text x="{max(high, value) + 8:.1f}" y="{y + 14}">{bar.value:.1%}</text>',
    ]


def _svg(title: str, parts: Sequence[str], height: int) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">'
    return f"{head}<title>{title}</title>{_STYLE}{''.join(parts)}</svg>\n"
