"""Plain-text tables of scores, with published figures beside ours; a profile stands in every row.

Invariant: two figures of different profiles are never in one cell or averaged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import yaml

from evoltune.errors import DataError


class Published(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A figure from a paper, a model card or a leaderboard."""

    model: str
    suite: str
    value: float
    """A rate between 0 and 1."""
    profile: str
    """How it was measured, in the words of its source; one of our profile names where it is the same."""
    source: str
    measure: str = "pass@1"


@cache
def published() -> tuple[Published, ...]:
    """The shipped list `published.yaml`."""
    text = (files("evoltune.evaluate") / "published.yaml").read_text(encoding="utf-8")
    return tuple(msgspec.convert(yaml.safe_load(text), list[Published]))


def percent(value: float) -> str:
    return f"{value:.1%}"


def table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Aligned columns: text to the left, numbers to the right."""
    cells = [[str(c) for c in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    right = [all(_numeric(row[i]) for row in cells[1:]) and len(cells) > 1 for i in range(len(head))]
    for number, row in enumerate(cells):
        line = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)]
        yield "  ".join(line).rstrip()
        if number == 0:
            yield "  ".join("-" * w for w in widths)


def _numeric(cell: str) -> bool:
    return cell.strip("%+-.").replace(".", "").replace(",", "").isdigit() or cell in ("", "-")


def load_scores(place: Path) -> dict[str, Any]:
    """A `scores.json`, or the one of an evaluation folder, or the newest of a run."""
    for path in (
        place,
        place / "scores.json",
        place / "eval" / "after" / "scores.json",
        place / "eval" / "before" / "scores.json",
    ):
        if path.is_file():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise DataError(f"{path}: not JSON: {error}: run the evaluation again") from error
            if isinstance(found, dict) and isinstance(found.get("suites"), dict):
                return found
            raise DataError(f"{path}: no scores in it: give a scores.json, an eval folder or a run")
    raise DataError(f"{place}: no scores.json there: give a scores.json, an eval folder or a run")


def score_table(scores: Mapping[str, Mapping[str, Any]], *, beside: bool = True) -> Iterator[str]:
    """One table per suite: a row for each system and measure, then published figures with their own profiles."""
    suites = list(dict.fromkeys(name for found in scores.values() for name in found["suites"]))
    for suite in suites:
        rows: list[list[object]] = []
        for system, found in scores.items():
            entry = found["suites"].get(suite)
            for measure, value in (entry or {}).get("measures", {}).items():
                low, high = value["interval"]
                rows.append(
                    [
                        system,
                        measure,
                        percent(value["value"]),
                        f"{low:.1%} to {high:.1%}",
                        entry["n"],
                        value["profile"],
                    ]
                )
        theirs = [p for p in published() if p.suite == suite] if beside else []
        rows += [
            [p.model, p.measure, percent(p.value), "-", "-", f"{p.profile} ({p.source})"] for p in theirs
        ]
        yield suite
        yield from table(["system", "measure", "score", "95%", "n", "profile"], rows)
        yield ""
    for system, found in scores.items():
        if found.get("training_data", "certified") not in ("certified", "unknown"):
            yield f"{system}: {found['training_data']}"
