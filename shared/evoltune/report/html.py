"""Rendering of pages: Jinja2 with autoescape for what a reader reads, JSON for what scripts show as text."""

import base64
import gzip
import json
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from evoltune.errors import require
from evoltune.report.charts import Spec
from evoltune.rows.files import cache_folder, write_file


def templates() -> Any:
    """The Jinja2 environment of all pages. Raises MissingExtraError without Jinja2."""
    require("an HTML page", "report", "jinja2")
    import jinja2

    loader = jinja2.FunctionLoader(static)
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)


def render(template: str, **values: Any) -> str:
    """A template of `static/`, filled in; every value is escaped unless the template says `safe`."""
    page: str = templates().get_template(template).render(**values)
    return page


def render_with_charts(template: str, specs: dict[str, Spec], *, scripts: tuple[str, ...] = (), **values: Any) -> str:
    """A page whose elements with `data-chart="NAME"` are filled with `specs[NAME]` in the browser."""
    script = "".join(map(static, ("charts.js", *scripts)))
    return render(
        template, css=static("page.css"), vega=chart_script(), script=script, charts=embedded_json(specs), **values
    )


def embedded_json(value: object) -> str:
    """JSON that is safe inside a script element: it has no `<` that could end the element."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")


def packed_json(value: object) -> str:
    """JSON, gzipped and in base64: 10,000 rows stay under 5 MB."""
    return base64.b64encode(gzip.compress(embedded_json(value).encode(), 9, mtime=0)).decode()


def static(name: str) -> str:
    return (files("evoltune.report") / "static" / name).read_text(encoding="utf-8")


def chart_file(cache: Path) -> Path:
    """Where `chart_script` is kept below a cache folder."""
    return cache / f"vega-{version('vl-convert-python')}.js"


@cache
def chart_script() -> str:
    """Vega, Vega-Lite and vega-embed as one script, from the copy that vl-convert brings. It is kept in the cache: vl-convert takes two
    seconds of CPU to put it together."""
    require("the charts of an HTML page", "report", "vl_convert")
    import vl_convert

    kept = chart_file(cache_folder())
    try:
        return kept.read_text(encoding="utf-8")
    except OSError:
        pass
    made: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")
    with suppress(OSError):  # a cache that nobody can write to
        write_file(kept, made.encode())
    return made
