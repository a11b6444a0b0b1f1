"""Page -> HTML: Jinja2 with autoescape for what a reader reads, compressed JSON for what scripts show as text."""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from importlib.resources import files
from typing import Any

import evoltune.report.charts as charts
from evoltune.errors import MissingExtraError
from evoltune.report.compare import Pair
from evoltune.report.gather import Page


def render(page: Page) -> str:
    """The whole document of one run."""
    specs = {name: spec for name, spec in _charts(page).items() if spec}
    return _document(
        "page.html",
        specs,
        script=_static("charts.js") + _static("page.js"),
        page=page,
        rows=_packed([_compact(row) for row in page.rows]),
        pretty=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )


def render_pair(pair: Pair) -> str:
    """The whole document of a comparison."""
    bars = [
        {**s, "label": label}
        for label, page in (("a", pair.a), ("b", pair.b))
        for s in page.scores
        if s["label"] == "after"
    ]
    names = {"a": pair.a.name, "b": pair.b.name}
    rows = [{**bar, "label": names[bar["label"]]} for bar in bars]
    specs = {"scores": charts.scores(rows, order=tuple(names.values()))} if rows else {}
    return _document("compare.html", specs, script=_static("charts.js"), pair=pair)


def _document(template: str, specs: dict[str, Any], *, script: str, **values: Any) -> str:
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("jinja2", "report", "the report page") from error
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_static(template)).render(
        css=_static("page.css"), script=script, vega=_vega(), charts=_json(specs), **values
    )


def _charts(page: Page) -> dict[str, dict[str, Any]]:
    found = {}
    if page.ledgers:
        found["funnel"] = charts.funnel(page.ledgers)
    if page.verdicts:
        found["verdicts"] = charts.verdict_mix(page.verdicts)
    if page.difficulty:
        found["difficulty"] = charts.difficulty(page.difficulty)
    if page.diversity:
        found["diversity"] = charts.diversity(page.diversity)
    if page.loss:
        found["loss"] = charts.loss(page.loss)
    if page.scores:
        found["scores"] = charts.scores(page.scores)
    return found


def _compact(row: Any) -> list[Any]:
    return [row[k] for k in ("id", "parents", "round", "operator", "verdict", "fate", "text", "answer")]


def _json(value: object) -> str:
    """JSON that is safe inside a script element: no `<` can end it."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")


def _packed(value: object) -> str:
    return base64.b64encode(gzip.compress(_json(value).encode(), 9, mtime=0)).decode()


def _static(name: str) -> str:
    return (files("evoltune.report") / "static" / name).read_text(encoding="utf-8")


@cache
def _vega() -> str:
    """Vega, Vega-Lite and vega-embed as one script that fetches nothing."""
    try:
        import vl_convert
    except ImportError as error:
        raise MissingExtraError("vl_convert", "report", "the charts of the report page") from error
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle.replace("</script", "<\\/script")
