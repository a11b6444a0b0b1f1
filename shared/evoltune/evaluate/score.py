"""Scoring: generations in, verdicts and figures out, by the domain's own verifier in the checker's processes.

    outcomes = judge(suite, samples, "sound", verify, verdicts_path)
    table = figures(suite, outcomes, ks=(1, 10))

Invariant: one outcome for each sample and profile, in a file that survives kill -9; a sample judged before by the same
verifier is not judged again. "No answer found" is counted apart from wrong, and what we could not judge apart from both.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evoltune.domain import load_domain, source_hash
from evoltune.errors import DataError, nearest
from evoltune.evaluate.samples import Sample
from evoltune.evaluate.statistics import mean, pass_at_k
from evoltune.evaluate.suites import Suite
from evoltune.recipe import Verification
from evoltune.record import Answer, Record, digest
from evoltune.rows.journal import Journal, rows
from evoltune.terminal import progress
from evoltune.verification.checker import limits_of, open_checker
from evoltune.verification.records import NO_ANSWER


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one sample fared under one profile."""

    problem: str
    sample: int
    status: str
    reason: str = ""
    extracted: str = ""
    """What was read out of the text, where the verifier says so."""

    @property
    def passed(self) -> bool:
        return self.status == "pass"

    @property
    def unextracted(self) -> bool:
        return self.status == "fail" and self.reason == NO_ANSWER


def profile_of(suite: Suite, name: str) -> tuple[str, Any]:
    """(`domain/name@version`, the profile). Raises DataError naming the nearest."""
    profiles = load_domain(suite.domain).profiles
    if name not in profiles:
        raise DataError(
            f"profile {name!r}: the domain {suite.domain!r} of suite {suite.name} has none: {nearest(name, profiles)}"
        )
    return f"{suite.domain}/{name}@{profiles[name].version}", profiles[name]


def verifier_version(suite: Suite, profile: str, verify: Verification) -> str:
    """Names all that a verdict depends on besides the text: profile, the domain's source, problems, policy, limits."""
    label, _ = profile_of(suite, profile)
    return digest([label, source_hash(load_domain(suite.domain)), suite.sha256, limits_of(verify)])


def judge(
    suite: Suite,
    samples: Sequence[Sample],
    profile: str,
    verify: Verification,
    out: Path,
    *,
    cache: bool = True,
) -> list[Outcome]:
    """One outcome per sample, in order; judges what the file `out` does not hold yet under this profile and verifier.

    Raises DataError for a sample of an unknown problem and for two samples of one name.
    """
    tasks = {task.name: task for task in suite.tasks}
    places = _places(suite, samples, tasks)
    label, _ = profile_of(suite, profile)
    version = verifier_version(suite, profile, verify)
    known = {place: row for place, row in _judged(out, version)}
    todo = [i for i, place in enumerate(places) if place not in known]
    if todo:
        records = (
            Record(domain=suite.domain, task=tasks[s.problem], answers=(Answer(text=s.text, model=""),))
            for s in (samples[i] for i in todo)
        )
        with (
            Journal(out) as journal,
            open_checker(suite.domain, verify, cache=cache, profile=profile) as checker,
            progress(f"scoring {suite.name} by {label}", len(todo)) as advance,
        ):
            for i, record in zip(todo, checker.verify(records), strict=True):
                known[places[i]] = row = _row(places[i], record, label, version)
                journal.append(row)
                advance(1)
    return [_outcome(known[place]) for place in places]


Place = tuple[str, int, str]
"""(problem, sample, hash of the text): a changed text is judged anew."""


def _places(suite: Suite, samples: Sequence[Sample], tasks: Mapping[str, Any]) -> list[Place]:
    seen: set[tuple[str, int]] = set()
    places = []
    for sample in samples:
        if sample.problem not in tasks:
            raise DataError(
                f"suite {suite.name} has no problem {sample.problem!r}: {nearest(sample.problem, list(tasks)[:200])}"
            )
        if (sample.problem, sample.sample) in seen:
            raise DataError(
                f"two generations are named {sample.problem!r}, sample {sample.sample}: number them 0, 1, ..."
            )
        seen.add((sample.problem, sample.sample))
        places.append((sample.problem, sample.sample, digest(sample.text)))
    return places


def _judged(out: Path, version: str) -> Iterator[tuple[Place, dict[str, Any]]]:
    for row in rows(out):
        if row.get("verifier") == version:
            yield (row["problem"], row["sample"], row["text"]), row


def _row(place: Place, record: Record, label: str, version: str) -> dict[str, Any]:
    verdict = record.answers[0].verdict
    if verdict is None:
        raise ValueError(f"the checker gave no verdict on {place}")
    problem, sample, text = place
    return {
        "problem": problem, "sample": sample, "profile": label, "status": verdict.status, "reason": verdict.reason,
        "extracted": str(verdict.evidence.get("extracted", "")), "text": text, "verifier": version,
    }  # fmt: skip


def _outcome(row: Mapping[str, Any]) -> Outcome:
    return Outcome(**{name: row[name] for name in ("problem", "sample", "status", "reason", "extracted")})


# ---- figures


def by_problem(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """Outcomes of each problem in sample order; problems in the order of the outcomes."""
    found: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        found[outcome.problem].append(outcome)
    return {problem: sorted(group, key=lambda o: o.sample) for problem, group in found.items()}


def passes(outcomes: Iterable[Outcome], k: int = 1) -> dict[str, float]:
    """Unbiased pass@k of each problem. Raises DataError when a problem has fewer than k samples."""
    return {p: pass_at_k(len(g), sum(o.passed for o in g), k) for p, g in by_problem(outcomes).items()}


def figures(suite: Suite, outcomes: Sequence[Outcome], ks: Sequence[int] = (1,)) -> dict[str, Any]:
    """Plain JSON of a suite's scores under one profile: measures, statuses, and tables by skill and difficulty."""
    groups = by_problem(outcomes)
    solved = passes(outcomes)
    return {
        "n": len(groups),
        "samples": len(outcomes),
        "problems": len(suite.tasks),
        "measures": {f"pass@{k}": asdict(mean(list(passes(outcomes, k).values()))) for k in ks},
        "statuses": dict(sorted(Counter(o.status for o in outcomes).items())),
        "no_answer": sum(o.unextracted for o in outcomes),
        "unjudged": sum(o.status in ("error", "unverifiable") for o in outcomes),
        "by_skill": _table(suite, solved, ("skill", "type", "subject")),
        "by_difficulty": _table(suite, solved, ("difficulty", "level")),
    }


def _table(suite: Suite, solved: Mapping[str, float], names: Sequence[str]) -> dict[str, Any]:
    """{group: {n, value, interval}} over the first of these fields that the suite's tasks have."""
    found: dict[str, list[float]] = defaultdict(list)
    for task in suite.tasks:
        value = next((task.fields[n] for n in names if task.fields.get(n) not in (None, "")), None)
        if value is not None and task.name in solved:
            for part in value if isinstance(value, list | tuple) else (value,):
                found[str(part)].append(solved[task.name])
    return {
        group: {"n": len(values), **asdict(mean(values))}
        for group, values in sorted(found.items(), key=_natural)
    }


def _natural(item: tuple[str, Any]) -> tuple[float, str]:
    digits = "".join(c for c in item[0] if c.isdigit())
    return (float(digits) if digits else -1.0, item[0])
