"""Several runs on one page: their scores, rows, operators and cost side by side, and how each differs from the first.

write_comparison([Path("runs/a"), Path("runs/b"), Path("runs/c")])  ->  runs/a/compare-a-b-c.html
"""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evoltune.errors import DataError, EvoltuneError
from evoltune.evaluate.compare import differences
from evoltune.report import charts
from evoltune.report.html import render_with_charts
from evoltune.report.run_data import RunData, read_run
from evoltune.report.summary import summary
from evoltune.rows.files import write_file
from evoltune.run.paths import AFTER

REASONS = 12
"""Reasons of losses in the table, the most frequent ones."""
NAMED = 3
"""Runs whose names are in the page's file name."""


def write_comparison(places: Sequence[Path]) -> Path:
    """Writes the page into the first run's directory and returns its path. Raises DataError: not a run, or fewer than two."""
    if len(places) < 2:
        raise DataError("a comparison needs two or more runs")
    names = labels(places)
    runs = [replace(read_run(place), name=name) for place, name in zip(places, names, strict=True)]
    scores = _scores(runs)
    bars = [{**found, "label": name} for s in scores for name, found in zip(names, s["runs"], strict=True) if found]
    stages = dict.fromkeys(stage for run in runs for stage in run.ledgers)
    page = render_with_charts(
        "comparison.html",
        {"scores": charts.scores(bars, order=names)} if bars else {},
        runs=runs,
        names=names,
        scores=scores,
        summaries=[(run.name, summary(run)) for run in runs],
        stages=[(stage, [run.ledgers.get(stage) for run in runs]) for stage in stages],
        losses=_losses(runs),
        operators=_operators(runs),
        spent=[_spent(run) for run in runs],
        others=[
            {"name": run.name, "causes": _causes(places[0], place), "recipe": _line_diff(runs[0].recipe_text, run.recipe_text)}
            for place, run in zip(places[1:], runs[1:], strict=True)
        ],
    )  # fmt: skip
    stems = [name.replace("/", "-") for name in names]
    named = "-".join(stems) if len(stems) <= NAMED else f"{stems[0]}-and-{len(stems) - 1}-others"
    path = places[0] / f"compare-{named}.html"
    write_file(path, page.encode(errors="replace"))
    return path


def labels(places: Sequence[Path]) -> list[str]:
    """The folders' names; with as many of the folders above as it takes to tell them apart."""
    parts = [place.resolve().parts for place in places]
    for depth in range(1, max(map(len, parts)) + 1):
        found = ["/".join(own[-depth:]) for own in parts]
        if len(set(found)) == len(found):
            return found
    return [f"{name} ({number})" for number, name in enumerate(found, 1)]  # the same folder twice


def _scores(runs: Sequence[RunData]) -> list[dict[str, Any]]:
    """{suite, measure, runs}: of each run's trained model; None where it was not measured."""
    of = [{(s["suite"], s["measure"]): s for s in run.scores if s["label"] == AFTER} for run in runs]
    keys = dict.fromkeys(key for found in of for key in found)
    return [{"suite": s, "measure": m, "runs": [found.get((s, m)) for found in of]} for s, m in keys]


def _losses(runs: Sequence[RunData]) -> list[tuple[str, list[int]]]:
    """(reason, rows that each run lost by it), the most frequent first."""
    of = [Counter(row["outcome"] for row in run.rows if row["outcome"] != "kept") for run in runs]
    total: Counter[str] = sum(of, Counter())
    return [(reason, [found[reason] for found in of]) for reason, _ in total.most_common(REASONS)]


def _operators(runs: Sequence[RunData]) -> list[tuple[str, list[dict[str, Any] | None]]]:
    """(operator, its counts and its tokens for a kept row in each run)."""
    found: dict[str, list[dict[str, Any] | None]] = {}
    for number, run in enumerate(runs):
        yields = {y["operator"]: y for y in run.yields}
        for own in run.operators:
            tokens = yields.get(own["operator"], {}).get("tokens")
            each = round(tokens / own["kept"]) if tokens and own["kept"] else None
            found.setdefault(own["operator"], [None] * len(runs))[number] = {**own, "tokens_each": each}
    return sorted(found.items(), key=lambda item: (item[0] == "seed", item[0]))


def _spent(run: RunData) -> dict[str, float]:
    kept = sum(row["outcome"] == "kept" and bool(row["parents"]) for row in run.rows)
    calls, tokens, usd = (
        sum(sum(own[name] for name in columns) for own in run.spent.values())
        for columns in (("calls",), ("prompt_tokens", "completion_tokens"), ("usd",))
    )
    return {"calls": calls, "tokens": tokens, "usd": usd, "kept": kept}


def _causes(a: Path, b: Path) -> list[str]:
    try:
        return [str(difference) for difference in differences(a, b)]
    except EvoltuneError as error:
        return [f"not compared: {error}"]


def _line_diff(left: str, right: str) -> list[tuple[str, str]]:
    """(kind, line) with kind in "same", "gone", "new"."""
    kinds = {"  ": "same", "- ": "gone", "+ ": "new"}
    diff = difflib.ndiff(left.splitlines(), right.splitlines())
    return [(kinds[line[:2]], line[2:]) for line in diff if line[:2] in kinds]
