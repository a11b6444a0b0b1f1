"""Two runs beside each other: scores with their intervals, stages, the first cause of a difference, the recipes' lines."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoltune.errors import EvoltuneError
from evoltune.report.gather import Page, gather


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What a comparison shows."""

    a: Page
    b: Page
    scores: Sequence[Mapping[str, Any]]
    """{suite, measure, a, b}: the rows of Page.scores of the trained models."""
    stages: Sequence[tuple[str, Mapping[str, int], Mapping[str, int]]]
    causes: Sequence[str]
    recipe: Sequence[tuple[str, str]]
    """(kind, line) with kind in "same", "gone", "new"."""


def pair(a: Path, b: Path) -> Pair:
    """Raises StoreError when a folder is not a run."""
    left, right = gather(a), gather(b)
    return Pair(
        a=left,
        b=right,
        scores=_scores(left, right),
        stages=[
            (n, left.ledgers.get(n, {}), right.ledgers.get(n, {}))
            for n in dict.fromkeys([*left.ledgers, *right.ledgers])
        ],
        causes=_causes(a, b),
        recipe=_lines(left.recipe_text, right.recipe_text),
    )


def _scores(left: Page, right: Page) -> list[dict[str, Any]]:
    by_key = [
        {(s["suite"], s["measure"]): s for s in page.scores if s["label"] == "after"}
        for page in (left, right)
    ]
    keys = dict.fromkeys([*by_key[0], *by_key[1]])
    return [
        {"suite": s, "measure": m, "a": by_key[0].get((s, m)), "b": by_key[1].get((s, m))} for s, m in keys
    ]


def _causes(a: Path, b: Path) -> list[str]:
    from evoltune.evaluate.compare import differences

    try:
        return [str(difference) for difference in differences(a, b)]
    except EvoltuneError as error:
        return [f"not compared: {error}"]


def _lines(left: str, right: str) -> list[tuple[str, str]]:
    kinds = {"  ": "same", "- ": "gone", "+ ": "new"}
    diff = difflib.ndiff(left.splitlines(), right.splitlines())
    return [(kinds[line[:2]], line[2:]) for line in diff if line[:2] in kinds]
