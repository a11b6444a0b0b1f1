"""An ablation as one page: the figure, and the table behind it.

write_ablation(Path("runs/study"))        # reads ablation/ablation.json, writes ablation/ablation.html
"""

import json
from pathlib import Path

from evoltune.evaluate.ablation import bars
from evoltune.report.charts import scores
from evoltune.report.html import render_with_charts
from evoltune.rows.files import write_file
from evoltune.run.paths import ABLATION, ABLATION_PAGE, ABLATION_RESULTS


def write_ablation(run: Path) -> Path:
    """Raises MissingExtraError without Jinja2 and vl-convert."""
    folder = run / ABLATION
    results = json.loads((folder / ABLATION_RESULTS).read_text(encoding="utf-8"))
    rows = bars(results)
    spec = scores(rows, order=tuple(dict.fromkeys(row["label"] for row in rows)))
    not_judged = dict.fromkeys(suite for entry in results for suite in entry.get("not_judged", ()))
    page = render_with_charts(
        "variants.html", {"scores": spec}, name=run.name, results=results, not_judged=list(not_judged)
    )
    write_file(folder / ABLATION_PAGE, page)
    return folder / ABLATION_PAGE
