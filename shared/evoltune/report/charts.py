"""The charts, as Vega-Lite specifications: one function each, data in, specification out.

Vega-Lite is drawn in the browser from a bundle that vl-convert carries, so nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Spec = dict[str, Any]


def _spec(values: Sequence[Mapping[str, Any]], **rest: Any) -> Spec:
    return {
        "data": {"values": list(values)},
        "width": "container",
        **rest,
    }


def _height(values: Sequence[Mapping[str, Any]], field: str, step: int) -> int:
    """Pixels for one bar row per distinct value (a `step` height and a container width do not go together)."""
    return step * max(1, len({v[field] for v in values}))


def funnel(ledgers: Mapping[str, Mapping[str, int]]) -> Spec:
    """Rows kept and dropped by reason, stage by stage."""
    rows = [
        {"stage": stage, "fate": fate, "rows": n, "order": order}
        for order, (stage, ledger) in enumerate(ledgers.items())
        for fate, n in ledger.items()
        if fate not in ("in", "pending") and n
    ]
    return _spec(
        rows,
        mark={"type": "bar", "tooltip": True},
        height=_height(rows, "stage", 34),
        encoding={
            "y": {"field": "stage", "type": "nominal", "sort": {"field": "order"}, "title": None},
            "x": {"field": "rows", "type": "quantitative", "title": "rows"},
            "color": {
                "field": "fate",
                "type": "nominal",
                "title": None,
                "legend": {"orient": "bottom", "columns": 3, "labelLimit": 260},
            },
        },
    )


def verdict_mix(verdicts: Sequence[Mapping[str, Any]]) -> Spec:
    """Verdicts by operator."""
    return _spec(
        verdicts,
        mark={"type": "bar", "tooltip": True},
        height=_height(verdicts, "operator", 24),
        encoding={
            "y": {"field": "operator", "type": "nominal", "title": None},
            "x": {"field": "rows", "type": "quantitative", "title": "rows"},
            "color": {
                "field": "verdict",
                "type": "nominal",
                "title": None,
                "legend": {"orient": "bottom", "columns": 3},
            },
        },
    )


def loss(metrics: Sequence[Mapping[str, Any]]) -> Spec:
    """Training loss by optimizer step."""
    rows = [{"step": m["step"], "loss": m["loss"]} for m in metrics if "step" in m and "loss" in m]
    return _spec(
        rows,
        mark={"type": "line", "point": len(rows) < 80, "tooltip": True},
        height=220,
        encoding={
            "x": {"field": "step", "type": "quantitative", "title": "step"},
            "y": {"field": "loss", "type": "quantitative", "title": "loss (nats per label token)"},
        },
    )


def scores(rows: Sequence[Mapping[str, Any]], order: tuple[str, ...] = ("before", "after")) -> Spec:
    """Scores of labelled models (before and after, or two runs) with 95% intervals."""
    values = [{**r, "what": f"{r['measure']} ({r['suite']})"} for r in rows]
    colour = {
        "field": "label",
        "type": "nominal",
        "title": None,
        "sort": list(order),
        "legend": {"orient": "bottom"},
    }
    y = {"field": "what", "type": "nominal", "title": None, "axis": {"labelLimit": 220}}
    x = {"type": "quantitative", "scale": {"domain": [0, 1]}, "axis": {"format": "%"}, "title": "solved"}
    offset = {"yOffset": {"field": "label", "sort": list(order)}}
    return _spec(
        values,
        height=_height(values, "what", 44),
        layer=[
            {
                "mark": {"type": "bar", "tooltip": True},
                "encoding": {"y": y, "x": {"field": "value", **x}, "color": colour, **offset},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"y": y, "x": {"field": "low", **x}, "x2": {"field": "high"}, **offset},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 5, "fontSize": 11, "color": "#777"},
                "encoding": {
                    "y": y,
                    "x": {"field": "high", **x},
                    "text": {"field": "value", "type": "quantitative", "format": ".1%"},
                    **offset,
                },
            },
        ],
    )


def difficulty(rows: Sequence[Mapping[str, Any]]) -> Spec:
    """Kept rows by round and level (the WizardCoder picture: ample simple, complex and very complex)."""
    return _spec(
        rows,
        mark={"type": "bar", "tooltip": True},
        height=_height(rows, "round", 28),
        encoding={
            "y": {"field": "round", "type": "ordinal", "title": "round"},
            "x": {"field": "rows", "type": "quantitative", "title": "rows kept"},
            "color": {
                "field": "level",
                "type": "ordinal",
                "sort": ["simple", "complex", "very complex"],
                "title": None,
                "legend": {"orient": "bottom"},
            },
        },
    )


def diversity(points: Sequence[Mapping[str, Any]]) -> Spec:
    """A map of the kept rows: near points share wording; colours are clusters, shapes are rounds."""
    bare = {"axis": None, "type": "quantitative"}
    return _spec(
        points,
        mark={"type": "point", "filled": True, "opacity": 0.65, "size": 34},
        height=320,
        encoding={
            "x": {"field": "x", **bare},
            "y": {"field": "y", **bare},
            "color": {"field": "cluster", "type": "nominal", "legend": None},
            "shape": {"field": "round", "type": "nominal", "title": "round", "legend": {"orient": "bottom"}},
            "tooltip": [{"field": "text", "type": "nominal"}, {"field": "round"}, {"field": "cluster"}],
        },
    )
