"""The history of optimised prompts as one page: what was tried in each step, and why it was taken or not.

write_history(Path("runs/demo/optimise"))        # reads history.json, writes history.html
"""

import difflib
import json
from pathlib import Path
from typing import Any

from evoltune.report.html import render, static
from evoltune.rows.files import write_file
from evoltune.run.paths import HISTORY, HISTORY_PAGE


def write_history(folder: Path) -> Path:
    """Raises MissingExtraError without Jinja2."""
    history = json.loads((folder / HISTORY).read_text(encoding="utf-8"))
    steps = [{**step, "diff": _diff(step)} for step in history["steps"]]
    page = render("optimise.html", css=static("page.css"), history=history, steps=steps)
    write_file(folder / HISTORY_PAGE, page)
    return folder / HISTORY_PAGE


def _diff(step: dict[str, Any]) -> list[tuple[str, str]]:
    """(" ", "+" or "-", line) of the prompt before and the candidate that was judged."""
    lines = difflib.ndiff(step["before"].splitlines(), step["prompt"].splitlines()) if step["prompt"] else ()
    return [(line[0], line[2:]) for line in lines if line[0] != "?"]
