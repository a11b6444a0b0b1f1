"""One set of generations under several profiles: how much of a score is the model's, and how much the scorer's.

    panel = rescore(suite, samples, ("sound", "openai-A"), Verification(), Path("runs/rescore/gpt3"))
    print("\\n".join(report(panel)))

Invariant: all profiles judge the same texts; where they disagree, `sound` decides (the first profile, where it is absent).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoltune.evaluate.results import percent, percent_interval
from evoltune.evaluate.samples import Sample, answered
from evoltune.evaluate.score import Outcome, metrics, profile_of, verify_samples
from evoltune.evaluate.several import coverage, measures_of
from evoltune.evaluate.statistics import pass_at_k
from evoltune.evaluate.suites import Suite
from evoltune.recipe import Verification
from evoltune.rows.files import jsonl_writer
from evoltune.terminal import table
from evoltune.verification.reasons import Reasons


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Metrics by profile label, and the samples on which the profiles disagree."""

    suite: Suite
    figures: Mapping[str, Mapping[str, Any]]
    disagreements: Sequence[Mapping[str, Any]]
    arbiter: str
    reasons: Reasons
    """Why samples did not pass, by the arbiter."""
    incomplete: str
    """Which part of the suite the samples answer; empty: all of it."""


def rescore(
    suite: Suite,
    samples: Sequence[Sample],
    profiles: Sequence[str],
    verification: Verification,
    folder: Path,
    *,
    ks: Sequence[int] = (1,),
    cache: bool = True,
) -> Panel:
    """Judges the samples under each profile; verdicts and disagreements are written below `folder`."""
    names = {profile_of(suite, name)[0]: name for name in dict.fromkeys(profiles)}
    fewest = min(Counter(sample.problem for sample in samples).values(), default=0)
    for k in ks:
        pass_at_k(fewest, 0, k)  # raises for a k that is too large, before an hour of judging
    verdicts = folder / f"{suite.name}.verdicts.jsonl"
    found = verify_samples(suite, samples, list(names.values()), verification, verdicts, cache=cache)
    outcomes = {label: found[name] for label, name in names.items()}
    arbiter = next((label for label, name in names.items() if name == "sound"), next(iter(names)))
    disagreements = list(_disagreements(samples, outcomes, arbiter))
    with jsonl_writer(folder / f"{suite.name}.disagreements.jsonl") as write:
        for row in disagreements:
            write(row)
    ranks = {(s.problem, s.sample): s.rank for s in samples if s.rank is not None}
    figures = {
        label: metrics(suite, column) | {"measures": measures_of(suite, column, ks, verification, ranks)}
        for label, column in outcomes.items()
    }
    return Panel(
        suite=suite, figures=figures, disagreements=disagreements, arbiter=arbiter,
        reasons=_reasons(suite, samples, outcomes[arbiter]), incomplete=coverage(suite, outcomes[arbiter]),
    )  # fmt: skip


def _reasons(suite: Suite, samples: Sequence[Sample], outcomes: Sequence[Outcome]) -> Reasons:
    tasks, found = {task.name: task for task in suite.tasks}, Reasons()
    for sample, outcome in zip(samples, outcomes, strict=True):
        evidence = {"extracted": outcome.extracted}
        labels = {"id": sample.problem, "sample": sample.sample, "evidence": evidence}
        verdict = {**labels, "status": outcome.status, "reason": outcome.reason}
        found.add(verdict, answered(suite, tasks[sample.problem], sample.text))
    return found


def _disagreements(
    samples: Sequence[Sample], outcomes: Mapping[str, Sequence[Outcome]], arbiter: str
) -> Iterator[dict[str, Any]]:
    """A row for each sample that some profiles pass and others do not; `wrong`: who differs from the arbiter."""
    for i, sample in enumerate(samples):
        found = {label: column[i] for label, column in outcomes.items()}
        if len({outcome.passed for outcome in found.values()}) > 1:
            yield {
                "problem": sample.problem,
                "sample": sample.sample,
                "verdicts": {label: outcome.status for label, outcome in found.items()},
                "extracted": {label: o.extracted for label, o in found.items() if o.extracted},
                "wrong": [label for label, o in found.items() if o.passed != found[arbiter].passed],
                "text": sample.text[-400:],
            }


def report(panel: Panel, shown: int = 12) -> Iterator[str]:
    """Lines: one row per profile, then what they disagree on. Never one figure for several profiles."""
    measures = max((list(found["measures"]) for found in panel.figures.values()), key=len)
    body = [
        [
            label,
            *(percent(found["measures"][m]["value"]) if m in found["measures"] else "not judged" for m in measures),
            percent_interval(found["measures"][measures[0]]["interval"]) if found["measures"] else "not judged",
            *(found[key] for key in ("no_answer", "unjudged", "samples")),
        ]
        for label, found in panel.figures.items()
    ]
    yield from table(["profile", *measures, "95%", "no answer", "unjudged", "n"], body)
    wrong = Counter(label for row in panel.disagreements for label in row["wrong"])
    if len(panel.figures) > 1:
        yield f"{len(panel.disagreements)} samples on which the profiles disagree; {panel.arbiter} decides:"
    yield from (f"  {label}: differs on {wrong[label]}" for label in panel.figures if label != panel.arbiter)
    for row in panel.disagreements[:shown]:
        verdicts = ", ".join(f"{label} {status}" for label, status in row["verdicts"].items())
        yield f"  {row['problem']} #{row['sample']}: {verdicts}"
    if len(panel.disagreements) > shown:
        yield f"  ... {len(panel.disagreements) - shown} more in {panel.suite.name}.disagreements.jsonl"
    if panel.reasons.counts:
        yield f"why samples did not pass, by {panel.arbiter}:"
        yield from panel.reasons.lines()
    if panel.incomplete:
        yield panel.incomplete
