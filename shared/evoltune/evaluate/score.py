"""Score generations: verdicts from the domain's own verifier in worker processes, and the metrics over them.

    outcomes = verify_samples(suite, samples, ["sound"], verification, Path("gsm8k.verdicts.jsonl"))["sound"]
    metrics(suite, outcomes, ks=(1, 10))["measures"]["pass@1"]

Invariant: one outcome for each sample and profile, in a journal that survives kill -9; what the same verifier has judged
is not judged again. "No answer found" is counted apart from wrong, and what could not be judged apart from both.

maj@k is the answer that most of k samples agree on. Two answers are equal when one passes with the other as reference,
so 1/2 and 0.5 vote together. A vote never changes a verdict; the winning answer counts as right only if it was judged
right by itself.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from evoltune.domain import Profile, load_domain, source_hash
from evoltune.errors import DataError, nearest
from evoltune.evaluate.difficulty import difficulties_of, numeric_order, skills_of
from evoltune.evaluate.samples import Sample, answered
from evoltune.evaluate.statistics import Measure, mean, pass_at_k
from evoltune.evaluate.suites import Suite
from evoltune.recipe import Verification
from evoltune.record import Verdict, digest
from evoltune.rows.files import Journal, read_journal
from evoltune.terminal import progress
from evoltune.verification.checker import Checker, limits_of, open_checker
from evoltune.verification.records import NO_ANSWER

Place = tuple[str, int, str]
"""(problem, sample, hash of the text): a changed text is judged anew."""
NOT_JUDGED = "no verifier can judge these answers; compare systems with `evoltune judge`"
Pair = tuple[str, str]
"""Two extracted answers as written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The verdict on one sample under one profile."""

    problem: str
    sample: int
    status: str
    reason: str = ""
    extracted: str = ""
    """What the verifier read out of the text, where it says so."""

    @property
    def passed(self) -> bool:
        return self.status == "pass"

    @property
    def without_answer(self) -> bool:
        return self.status == "fail" and self.reason == NO_ANSWER


def profile_of(suite: Suite, name: str) -> tuple[str, Profile]:
    """(`domain/name@version`, the profile). Raises DataError with the nearest name."""
    profiles = load_domain(suite.domain).profiles
    if name not in profiles:
        raise DataError(
            f"profile {name!r}: the domain {suite.domain!r} of suite {suite.name} has none: {nearest(name, profiles)}"
        )
    return f"{suite.domain}/{name}@{profiles[name].version}", profiles[name]


def verifier_version(suite: Suite, profile: str, verification: Verification) -> str:
    """Hash of all that a verdict depends on besides the text: profile, domain source, problems, policy, limits."""
    label, _ = profile_of(suite, profile)
    source = source_hash(load_domain(suite.domain))
    return digest([label, source, suite.sha256, limits_of(verification)])


def verify_samples(
    suite: Suite,
    samples: Sequence[Sample],
    profiles: Sequence[str],
    verification: Verification,
    out: Path,
    *,
    cache: bool = True,
) -> dict[str, list[Outcome]]:
    """Judges what the journal `out` does not hold yet; returns profile -> one outcome per sample, in their order.

    `cache`: judge equal answers to a problem once. Raises DataError for an unknown profile or problem, or two samples
    of one name.
    """
    places = _places(suite, samples)
    versions = {name: verifier_version(suite, name, verification) for name in profiles}
    known: dict[str, dict[Place, dict[str, Any]]] = {version: {} for version in versions.values()}
    for row in read_journal(out):
        if row.get("verifier") in known:
            known[row["verifier"]][row["problem"], row["sample"], row["text"]] = row
    todo = {
        name: missing
        for name, version in versions.items()
        if (missing := [i for i, place in enumerate(places) if place not in known[version]])
    }
    if todo:
        # One pool for all profiles: starting workers takes longer than judging a short suite.
        with Journal(out) as journal, open_checker(suite.domain, verification, cache=cache) as checker:
            for name, missing in todo.items():
                verdicts = _verdicts(checker.with_profile(name), suite, [samples[i] for i in missing], name)
                for i, verdict in zip(missing, verdicts, strict=True):
                    row = _journal_row(places[i], verdict, profile_of(suite, name)[0], versions[name])
                    known[versions[name]][places[i]] = row
                    journal.append(row)
    names = ("problem", "sample", "status", "reason", "extracted")
    return {
        name: [Outcome(**{n: known[version][place][n] for n in names}) for place in places]
        for name, version in versions.items()
    }


def _verdicts(checker: Checker, suite: Suite, samples: Sequence[Sample], profile: str) -> Iterator[Verdict]:
    """One verdict per sample, in order, with a progress bar."""
    tasks = {task.name: task for task in suite.tasks}
    records = (answered(suite, tasks[sample.problem], sample.text) for sample in samples)
    label, _ = profile_of(suite, profile)
    with progress(f"scoring {suite.name} by {label}", len(samples)) as advance:
        for record in checker.verify(records):
            verdict = record.answers[0].verdict
            assert verdict is not None
            yield verdict
            advance(1)


def _places(suite: Suite, samples: Sequence[Sample]) -> list[Place]:
    for (problem, sample), count in Counter((s.problem, s.sample) for s in samples).items():
        if count > 1:
            raise DataError(f"two generations are named {problem!r}, sample {sample}: number them 0, 1, ...")
    names = dict.fromkeys(task.name for task in suite.tasks)
    unknown = next((s.problem for s in samples if s.problem not in names), None)
    if unknown is not None:
        raise DataError(f"suite {suite.name} has no problem {unknown!r}: {nearest(unknown, list(names)[:200])}")
    return [(s.problem, s.sample, digest(s.text)) for s in samples]


def _journal_row(place: Place, verdict: Verdict, label: str, version: str) -> dict[str, Any]:
    problem, sample, text = place
    return {
        "problem": problem, "sample": sample, "profile": label, "status": verdict.status, "reason": verdict.reason,
        "extracted": str(verdict.evidence.get("extracted", "")), "text": text, "verifier": version,
    }  # fmt: skip


def by_problem(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of each problem in sample order; problems in the order of the outcomes."""
    found: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        found[outcome.problem].append(outcome)
    return {problem: sorted(group, key=lambda o: o.sample) for problem, group in found.items()}


def passes(outcomes: Iterable[Outcome], k: int = 1) -> dict[str, float]:
    """Unbiased pass@k of each problem. Raises DataError when a problem has fewer than k samples."""
    return {p: pass_at_k(len(g), sum(o.passed for o in g), k) for p, g in by_problem(outcomes).items()}


def is_open(suite: Suite, verification: Verification) -> bool:
    """Whether no verifier can judge answers to any of the suite's problems, which one word as the answer to each shows."""
    if any(task.reference is not None or task.tests is not None for task in suite.tasks):
        return False
    with open_checker(suite.domain, verification) as checker:
        judged = list(checker.verify(answered(suite, task, "?") for task in suite.tasks))
    return all(answer.verdict and answer.verdict.status == "unverifiable" for r in judged for answer in r.answers)


def nothing_judged(outcomes: Sequence[Outcome]) -> bool:
    """Whether no answer at all could be judged, as in a suite of open questions."""
    return bool(outcomes) and all(o.status == "unverifiable" for o in outcomes)


def metrics(suite: Suite, outcomes: Sequence[Outcome], ks: Sequence[int] = (1,)) -> dict[str, Any]:
    """Plain JSON of a suite's scores under one profile: pass@k, statuses, and pass@1 by skill and difficulty.

    Without any verdict there is no measure, and `not_judged` says so: open answers are no wrong answers.
    """
    solved = passes(outcomes)
    judged = not nothing_judged(outcomes)
    return {
        "n": len(solved),
        "samples": len(outcomes),
        "problems": len(suite.tasks),
        "measures": {f"pass@{k}": asdict(mean(list(passes(outcomes, k).values()))) for k in ks if judged},
        **({} if judged else {"not_judged": NOT_JUDGED}),
        "statuses": dict(sorted(Counter(o.status for o in outcomes).items())),
        "no_answer": sum(o.without_answer for o in outcomes),
        "unjudged": sum(o.status in ("error", "unverifiable") for o in outcomes),
        "by_skill": _by_group(suite, solved, skills_of) if judged else {},
        "by_difficulty": _by_group(suite, solved, difficulties_of) if judged else {},
    }


def _by_group(
    suite: Suite, solved: Mapping[str, float], groups_of: Callable[[Mapping[str, Any]], list[str]]
) -> dict[str, Any]:
    """{group: {n, value, interval, method}} over the problems that state one."""
    found: dict[str, list[float]] = defaultdict(list)
    for task in suite.tasks:
        if task.name in solved:
            for group in groups_of(task.fields):
                found[group].append(solved[task.name])
    ordered = sorted(found, key=numeric_order)
    return {group: {"n": len(found[group]), **asdict(mean(found[group]))} for group in ordered}


def can_vote(suite: Suite) -> bool:
    """Whether answers can be compared with each other: every problem has a reference and no tests."""
    return all(task.tests is None and task.reference is not None for task in suite.tasks)


def majority(suite: Suite, outcomes: Sequence[Outcome], k: int, verification: Verification) -> Measure:
    """maj@k over the first k samples of each problem; a tie goes to the answer that came first.

    Raises DataError when the suite's answers cannot be compared or a problem has fewer than k samples.
    """
    if not can_vote(suite):
        raise DataError(
            f"maj@k: the answers of suite {suite.name} are judged by tests, so they cannot vote: ask for pass@k"
        )
    groups = {problem: group[:k] for problem, group in by_problem(outcomes).items()}
    short = next((p for p, group in groups.items() if len(group) < k), None)
    if short is not None:
        raise DataError(f"maj@{k} needs {k} samples per problem, {short!r} has {len(groups[short])}")
    equal = _equal_pairs(suite, groups, verification)
    return mean([float(_majority_is_right(group, equal[problem])) for problem, group in groups.items()])


def _equal_pairs(
    suite: Suite, groups: Mapping[str, Sequence[Outcome]], verification: Verification
) -> dict[str, set[Pair]]:
    """The pairs of different answers that the verifier holds equal, by problem."""
    tasks = {task.name: task for task in suite.tasks}
    asked = [
        (problem, pair)
        for problem, group in groups.items()
        for pair in combinations(dict.fromkeys(o.extracted for o in group if o.extracted), 2)
    ]
    found: dict[str, set[Pair]] = {problem: set() for problem in groups}
    if asked:
        with open_checker(suite.domain, verification) as checker:
            judged = checker.verify(
                answered(suite, replace(tasks[problem], reference=reference), answer)
                for problem, (reference, answer) in asked
            )
            for (problem, pair), record in zip(asked, judged, strict=True):
                if (verdict := record.answers[0].verdict) and verdict.status == "pass":
                    found[problem].add(pair)
    return found


def _majority_is_right(group: Sequence[Outcome], equal: set[Pair]) -> bool:
    """Whether the first answer of the largest class was judged right. Samples without an answer do not vote."""
    classes: list[list[Outcome]] = []
    for outcome in (o for o in group if o.extracted):
        for members in classes:
            first = members[0].extracted
            if first == outcome.extracted or (first, outcome.extracted) in equal:
                members.append(outcome)
                break
        else:
            classes.append([outcome])
    return bool(classes) and max(classes, key=len)[0].passed  # max takes the first of equals: the earliest class
