"""The charts, as Vega-Lite specifications: one function each, data in, specification out.

A page draws them in the browser with a bundle that vl-convert brings; two of them are also drawn as SVG files, for the
dataset card and for an ablation. Invariant: equal numbers give equal bytes.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

Spec = dict[str, Any]
Row = Mapping[str, Any]
SVG_WIDTH = 480  # pixels
COLOURS = ["#5aa469", "#8d99ae", "#d7603e", "#c9a66b", "#b23a48", "#e9a03b", "#7b5ea7", "#4a7fb5"]
"""Of what became of rows: the first is that of kept ones."""
MOST_REASONS = len(COLOURS) - 2
OTHER_REASONS = "other reasons"


def _spec(values: Sequence[Row], **rest: Any) -> Spec:
    fit = {"type": "fit-x", "contains": "padding"}  # labels and all into the width that there is
    return {"data": {"values": list(values)}, "width": "container", "autosize": fit, **rest}


def _height(values: Sequence[Row], field: str, step: int) -> int:
    """Pixels, `step` for each distinct value. Vega-Lite's own step height does not go with a container width."""
    return step * max(1, len({value[field] for value in values}))


def _category(field: str, **more: Any) -> Spec:
    return {"field": field, "type": "nominal", "title": None, **more}


def _number(field: str, title: str) -> Spec:
    whole = {"axis": {"tickMinStep": 1, "format": "d"}} if title.startswith("rows") else {}  # no 0.2 of a row
    return {"field": field, "type": "quantitative", "title": title, **whole}


def _legend(**more: Any) -> Spec:
    return {"orient": "bottom", **more}


def funnel(ledgers: Mapping[str, Mapping[str, int]]) -> Spec:
    """Rows kept and dropped by reason, stage by stage; reasons beyond the most frequent ones are one colour."""
    reasons: Counter[str] = Counter()
    for ledger in ledgers.values():
        reasons.update({outcome: n for outcome, n in ledger.items() if outcome not in ("in", "kept", "pending") and n})
    named = [reason for reason, _ in reasons.most_common(MOST_REASONS)]
    order = ["kept", *named, *([OTHER_REASONS] if len(reasons) > len(named) else [])]
    counted: Counter[tuple[int, str, str]] = Counter()
    for place, (stage, ledger) in enumerate(ledgers.items()):
        for outcome, n in ledger.items():
            if outcome not in ("in", "pending") and n:
                counted[place, stage, outcome if outcome in order else OTHER_REASONS] += n
    rows = [
        {"stage": stage, "outcome": outcome, "rows": n, "place": place, "order": order.index(outcome)}
        for (place, stage, outcome), n in counted.items()
    ]
    encoding = {
        "y": _category("stage", sort={"field": "place", "op": "min"}),
        "x": _number("rows", "rows"),
        "color": _category(
            "outcome",
            scale={"domain": order, "range": COLOURS[: len(order)]},
            legend=_legend(columns=1, labelLimit=260),
        ),
        "order": {"field": "order"},
    }
    return _bars(rows, _height(rows, "stage", 34), encoding)


def _bars(rows: Sequence[Row], height: int, encoding: Spec) -> Spec:
    return _spec(rows, mark={"type": "bar", "tooltip": True}, height=height, encoding=encoding)


def fates(rows: Sequence[Row]) -> Spec:
    """Rows by operator and where they ended."""
    lost = ["evolve", "sample", "verify", "dedup", "decontaminate", "select"]
    order = ["kept", "pending", *(f"lost in {step}" for step in lost)]
    known = [fate for fate in order if any(row["fate"] == fate for row in rows)]
    scale = {"domain": known, "range": [COLOURS[order.index(fate)] for fate in known]}
    rows = [{**row, "order": order.index(row["fate"])} for row in rows if row["fate"] in order]
    encoding = {
        "y": _category("operator"),
        "x": _number("rows", "rows drawn"),
        "color": _category("fate", scale=scale, legend=_legend(columns=2)),
        "order": {"field": "order"},
    }
    return _bars(rows, _height(rows, "operator", 24), encoding)


def reasoning(rows: Sequence[Row]) -> Spec:
    """Kept rows by round and kind of reasoning."""
    encoding = {
        "y": _category("reasoning"),
        "x": _number("rows", "rows kept"),
        "color": {"field": "round", "type": "ordinal", "title": "round", "legend": _legend()},
    }
    return _bars(rows, _height(rows, "reasoning", 24), encoding)


def difficulty(rows: Sequence[Row]) -> Spec:
    """Rows by round and level of difficulty, as in the WizardCoder paper (2306.08568)."""
    levels = ["simple", "complex", "very complex", "not measured"]
    rows = [{**row, "order": levels.index(row["level"]) if row["level"] in levels else len(levels)} for row in rows]
    encoding = {
        "y": {"field": "round", "type": "ordinal", "title": "round"},
        "x": _number("rows", "rows kept"),
        "color": {"field": "level", "type": "ordinal", "sort": levels, "title": None, "legend": _legend()},
        "order": {"field": "order"},
    }
    return _bars(rows, _height(rows, "round", 28), encoding)


def loss(metrics: Sequence[Row]) -> Spec:
    """Training loss by optimizer step."""
    rows = [{"step": m["step"], "loss": m["loss"]} for m in metrics if "step" in m and "loss" in m]
    return _spec(
        rows,
        mark={"type": "line", "point": len(rows) < 80, "tooltip": True},
        height=220,
        encoding={"x": _number("step", "step"), "y": _number("loss", "loss (nats per label token)")},
    )


def reinforcement(metrics: Sequence[Row]) -> Spec:
    """Reward, its parts, and verified accuracy on held-out prompts, by step of reinforcement learning."""
    names = {
        "reward": "reward",
        "verifier": "verified",
        "steps": "step score",
        "unjudged": "not judged",
        "accuracy": "held-out solved",
        "preferred": "pairs preferred",
    }
    rows = [{"step": m["step"], "what": names[name], "value": m[name]} for m in metrics for name in names if name in m]
    return _spec(
        rows,
        mark={"type": "line", "point": len(rows) < 200, "tooltip": True},
        height=260,
        encoding={
            "x": _number("step", "step"),
            "y": _number("value", "mean of a step"),
            "color": _category("what", sort=list(names.values()), legend=_legend()),
        },
    )


def scores(rows: Sequence[Row], order: Sequence[str] = ("before", "sft", "after")) -> Spec:
    """Scores of labelled models (before and after, or two runs) with their 95% intervals."""
    values = [{**row, "what": f"{row['measure']} ({row['suite']})"} for row in rows]
    y = _category("what", axis={"labelLimit": 220})
    x = {"type": "quantitative", "scale": {"domain": [0, 1]}, "axis": {"format": "%"}, "title": "solved"}
    place = {"y": y, "yOffset": {"field": "label", "sort": list(order)}}
    bar = {
        "mark": {"type": "bar", "tooltip": True},
        "encoding": {
            **place,
            "x": {"field": "value", **x},
            "color": _category("label", sort=list(order), legend=_legend()),
        },
    }
    interval = {
        "mark": {"type": "rule", "strokeWidth": 2},
        "encoding": {**place, "x": {"field": "low", **x}, "x2": {"field": "high"}},
    }
    figure = {
        "mark": {"type": "text", "align": "left", "dx": 5, "fontSize": 11, "color": "#777"},
        "encoding": {
            **place,
            "x": {"field": "high", **x},
            "text": {"field": "value", "type": "quantitative", "format": ".1%"},
        },
    }
    return _spec(values, height=_height(values, "what", 44), layer=[bar, interval, figure])


def diversity(points: Sequence[Row]) -> Spec:
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
            "shape": {"field": "round", "type": "nominal", "title": "round", "legend": _legend()},
            "tooltip": [{"field": "text", "type": "nominal"}, {"field": "round"}, {"field": "cluster"}],
        },
    )


def judged(studies: Sequence[Row]) -> Spec:
    """Wins, ties, losses and problems that do not count, of each pair, over all problems and by difficulty where several are named. A
    pair that is the only one is not named in each line."""
    pairs = [pair for study in studies for pair in study["pairs"]]
    several = len(pairs) > 1
    title = (
        "share of problems"
        if several
        else f"share of problems, {pairs[0]['a']} against {pairs[0]['b']}"
        if pairs
        else ""
    )
    rows = [
        {
            "pair": f"{study['suite']}: {pair['a']} against {pair['b']}, {group}" if several else group,
            "result": result.replace("_", " "),
            "answers": tally[result],
            "order": order,
        }
        for study in studies
        for pair in study["pairs"]
        for group, tally in [("all", pair), *(pair["by_difficulty"].items() if len(pair["by_difficulty"]) > 1 else ())]
        for order, result in enumerate(("win", "tie", "lose", "not_counted"))
        if tally["n"] and tally.get(result)
    ]
    encoding = {
        "y": _category("pair", sort=None, axis={"labelLimit": 220}),
        "x": {"field": "answers", "type": "quantitative", "stack": "normalize", "title": title, "axis": {"format": "%"}},
        "color": _category(
            "result",
            scale={"domain": ["win", "tie", "lose", "not counted"], "range": ["#5aa469", "#8d99ae", "#d7603e", "#dcdfe4"]},
            legend=_legend(columns=2),
        ),
        "order": {"field": "order"},
    }  # fmt: skip
    return _bars(rows, _height(rows, "pair", 26), encoding)


def radar(studies: Sequence[Row]) -> Spec:
    """The share of each pair by skill, as WizardLM draws it (2304.12244, figure 4): 100% is equal to the other system."""
    points: list[Row] = []
    names: dict[str, tuple[float, float]] = {}
    for study in studies:
        for pair in study["pairs"]:
            skills = [(skill, found["value"]) for skill, found in pair["radar"].items() if found["value"] is not None]
            if len(skills) < 3:  # two axes span no area
                continue
            label = f"{pair['a']} of {pair['b']}"
            for order, (skill, value) in enumerate([*skills, skills[0]]):
                angle = 2 * math.pi * (order % len(skills)) / len(skills)
                x, y = math.sin(angle), math.cos(angle)
                names[skill] = x, y
                points.append(
                    {"pair": label, "skill": skill, "share": value, "order": order, "x": value * x, "y": value * y}
                )
    most = max((point["share"] for point in points), default=1.0)
    ring = [{"x": math.sin(a / 30 * math.pi), "y": math.cos(a / 30 * math.pi), "order": a} for a in range(61)]
    labels = [{"skill": skill, "x": 1.12 * most * x, "y": 1.12 * most * y} for skill, (x, y) in names.items()]
    bare = {"type": "quantitative", "axis": None, "scale": {"domain": [-1.3 * most, 1.3 * most]}}
    place = {"x": {"field": "x", **bare}, "y": {"field": "y", **bare}}
    by_order = {"field": "order"}
    lines = {
        "mark": {"type": "line", "point": True, "tooltip": True},
        "encoding": {**place, "order": by_order, "color": _category("pair", legend=_legend())},
    }
    circle = {
        "data": {"values": ring},
        "mark": {"type": "line", "strokeDash": [4, 3], "color": "#888"},
        "encoding": {**place, "order": by_order},
    }
    text = {
        "data": {"values": labels},
        "mark": {"type": "text", "fontSize": 11, "color": "#777"},
        "encoding": {**place, "text": {"field": "skill"}},
    }
    return _spec(points, layer=[circle, lines, text]) | {"width": 300, "height": 300}  # a circle, also on a phone


# ---- files


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
    return _svg(difficulty(rows))


def scores_svg(rows: Sequence[Mapping[str, Any]]) -> str:
    """Bars with 95% intervals; rows: {label, suite, measure, value, low, high}. Empty without vl-convert."""
    return _svg(scores(rows, order=tuple(dict.fromkeys(str(row["label"]) for row in rows))))


def _svg(spec: Spec) -> str:
    try:
        import vl_convert
    except ImportError:
        return ""
    drawn: str = vl_convert.vegalite_to_svg({**spec, "width": SVG_WIDTH, "background": "white"})
    return drawn + "\n"
