"""Results of an evaluation on disk: find and read `scores.json`, print it as tables with published scores beside ours.

    print("\\n".join(score_table({"mine": load_scores(Path("runs/mine"))})))

Invariant: every row shows its profile; scores of two profiles are never in one cell or averaged.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import yaml

from evoltune.errors import DataError
from evoltune.evaluate.statistics import pass_at_k
from evoltune.rows.files import read_journal
from evoltune.run.paths import AFTER, BEFORE, EVAL, SCORES
from evoltune.terminal import table


class Published(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A score from a paper, a model card or a leaderboard."""

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


def percent_interval(interval: Sequence[float]) -> str:
    return f"{interval[0]:.1%} to {interval[1]:.1%}"


def scores_file(place: Path) -> Path:
    """A `scores.json`, or the one of an evaluation folder, of a verdict file, or the newest of a run. Raises DataError."""
    after, before = place / EVAL / AFTER, place / EVAL / BEFORE
    if place.name.endswith((".jsonl", ".jsonl.gz")):
        place = place.with_name(place.name.removesuffix(".gz")).with_suffix(".scores.json")
    for path in (place, *(folder / SCORES for folder in (place, after, before))):
        if path.is_file():
            return path
    raise DataError(f"{place}: no scores.json there: give a scores.json, an eval folder, a run or a file of verdicts")


def load_scores(place: Path) -> dict[str, Any]:
    """The content of `scores_file(place)`. Raises DataError."""
    path = scores_file(place)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}: run the evaluation again") from error
    if isinstance(found, dict) and isinstance(found.get("suites"), dict):
        return found
    raise DataError(f"{path}: no scores in it: give a scores.json, an eval folder or a run")


def solved_problems(place: Path, suite: str, entry: Mapping[str, Any]) -> dict[str, float]:
    """pass@1 of each problem, from the verdicts behind `entry`, the suite's part of `scores.json`."""
    found: dict[str, dict[int, bool]] = {}
    folder = scores_file(place).parent
    if "verdicts" in entry:  # of `evoltune verify --out`: the rows of one id answer one problem
        for row in read_journal(folder / entry["verdicts"]):
            answers = found.setdefault(row["id"] if isinstance(row["id"], str) else json.dumps(row["id"]), {})
            answers[len(answers)] = row["status"] == "pass"
    for row in read_journal(folder / f"{suite}.verdicts.jsonl"):
        if row["verifier"] == entry["verifier"]:
            found.setdefault(row["problem"], {})[row["sample"]] = row["status"] == "pass"
    return {problem: pass_at_k(len(v), sum(v.values()), 1) for problem, v in found.items()}


def score_table(scores: Mapping[str, Mapping[str, Any]], *, beside: bool = True) -> Iterator[str]:
    """One table per suite: a row for each system and measure, then (`beside`) published scores with their profiles."""
    for suite in dict.fromkeys(name for found in scores.values() for name in found["suites"]):
        body: list[list[object]] = []
        for system, found in scores.items():
            entry = found["suites"].get(suite, {})
            for measure, m in entry.get("measures", {}).items():
                cells = [percent(m["value"]), percent_interval(m["interval"]), entry["n"], m["profile"]]
                body.append([system, measure, *cells])
            if entry.get("not_judged"):
                body.append([system, "not judged", "-", "-", entry["n"], entry.get("profile", "-")])
        for p in published() if beside else ():
            if p.suite == suite:
                body.append([p.model, p.measure, percent(p.value), "-", "-", f"{p.profile} ({p.source})"])
        yield suite
        yield from table(["system", "measure", "score", "95%", "n", "profile"], body)
        yield ""
    for system, found in scores.items():
        if found.get("training_data", "certified") not in ("certified", "unknown"):
            yield f"{system}: {found['training_data']}"
