"""The review page of a selection: one static HTML file on which a person accepts or rejects rows.

Decisions stay in the browser (localStorage) and are saved as `decisions.json`, which `evoltune data select --decisions`
reads: accepted rows are always taken, rejected rows never, and other rows take their place.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evoltune.report.html import embedded_json, render, static
from evoltune.rows.files import write_file


def write_review(path: Path, title: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """One page over rows with `id`, `source`, `instruction`, `output`. All text is escaped; the page loads nothing."""
    key = embedded_json(f"evoltune-review:{title}")
    page = render("review.html", title=title, key=key, rows=rows, css=static("review.css"), script=static("review.js"))
    write_file(path, page.encode(errors="replace"))
