"""One set of generations under several scorers: how much of a score is the model's, and how much the harness's.

    panel = rescore(suite, samples, ("sound", "openai-A"), Verification(), folder)
    print("\\n".join(report(panel)))

Invariant: all profiles judge the very same texts; where they disagree the first profile (sound) says who is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoltune.evaluate.samples import Sample
from evoltune.evaluate.score import Outcome, figures, judge, profile_of
from evoltune.evaluate.statistics import pass_at_k
from evoltune.evaluate.suites import Suite
from evoltune.evaluate.tables import percent, table
from evoltune.recipe import Verification
from evoltune.rows.journal import Journal


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Figures by profile label, and the samples on which the profiles disagree."""

    suite: Suite
    figures: Mapping[str, Mapping[str, Any]]
    disagreements: Sequence[Mapping[str, Any]]
    arbiter: str


def rescore(
    suite: Suite,
    samples: Sequence[Sample],
    profiles: Sequence[str],
    verify: Verification,
    folder: Path,
    *,
    ks: Sequence[int] = (1,),
    cache: bool = True,
) -> Panel:
    """Judges the samples under each profile; verdicts and disagreements are written below `folder`."""
    named = {profile_of(suite, name)[0]: name for name in dict.fromkeys(profiles)}
    fewest = min(Counter(sample.problem for sample in samples).values(), default=0)
    for k in ks:  # before an hour of judging
        pass_at_k(fewest, 0, k)
    verdicts = folder / f"{suite.name}.verdicts.jsonl"
    outcomes = {
        label: judge(suite, samples, name, verify, verdicts, cache=cache) for label, name in named.items()
    }
    arbiter = next((label for label, name in named.items() if name == "sound"), next(iter(named)))
    split = list(disagreements(samples, outcomes, arbiter))
    path = folder / f"{suite.name}.disagreements.jsonl"
    path.unlink(missing_ok=True)
    with Journal(path) as journal:
        for row in split:
            journal.append(row)
    return Panel(
        suite=suite,
        figures={label: figures(suite, found, ks) for label, found in outcomes.items()},
        disagreements=split,
        arbiter=arbiter,
    )


def disagreements(
    samples: Sequence[Sample], outcomes: Mapping[str, Sequence[Outcome]], arbiter: str
) -> Iterator[dict[str, Any]]:
    """A row for each sample that some profiles pass and others do not; `wrong`: who differs from the arbiter."""
    for i, sample in enumerate(samples):
        found = {label: column[i] for label, column in outcomes.items()}
        if len({outcome.passed for outcome in found.values()}) > 1:
            truth = found[arbiter].passed
            yield {
                "problem": sample.problem,
                "sample": sample.sample,
                "verdicts": {label: outcome.status for label, outcome in found.items()},
                "extracted": {
                    label: outcome.extracted for label, outcome in found.items() if outcome.extracted
                },
                "wrong": [label for label, outcome in found.items() if outcome.passed != truth],
                "text": sample.text[-400:],
            }


def report(panel: Panel, shown: int = 12) -> Iterator[str]:
    """Lines: one row per profile, then what they disagree on. Never one figure for several profiles."""
    measures = list(next(iter(panel.figures.values()))["measures"])
    head = ["profile", *measures, "95%", "no answer", "unjudged", "n"]
    rows = []
    for label, found in panel.figures.items():
        low, high = found["measures"][measures[0]]["interval"]
        values = [percent(found["measures"][m]["value"]) for m in measures]
        rows.append(
            [
                label,
                *values,
                f"{low:.1%} to {high:.1%}",
                found["no_answer"],
                found["unjudged"],
                found["samples"],
            ]
        )
    yield from table(head, rows)
    wrong = Counter(label for row in panel.disagreements for label in row["wrong"])
    yield f"{len(panel.disagreements)} samples on which the profiles disagree; {panel.arbiter} decides:"
    for label in panel.figures:
        if label != panel.arbiter:
            yield f"  {label}: differs on {wrong[label]}"
    for row in panel.disagreements[:shown]:
        said = ", ".join(f"{label} {status}" for label, status in row["verdicts"].items())
        yield f"  {row['problem']} #{row['sample']}: {said}"
    if len(panel.disagreements) > shown:
        yield f"  ... {len(panel.disagreements) - shown} more in {panel.suite.name}.disagreements.jsonl"
