"""Scores of several answers to each problem: pass@k, maj@k, best-of-k, and how much of a suite a file answers.

    measures_of(suite, outcomes, (1, 4), settings, ranks)      # {"pass@1": {...}, "pass@4": ..., "maj@4": ..., "best@4": ...}

Invariant: a measure is given only where each problem has enough answers, and always with its interval over problems.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from evoltune.errors import DataError
from evoltune.evaluate.results import percent, percent_interval
from evoltune.evaluate.score import Outcome, by_problem, can_vote, majority, nothing_judged, passes
from evoltune.evaluate.statistics import mean
from evoltune.evaluate.suites import Suite
from evoltune.recipe import Verification

Ranks = Mapping[tuple[str, int], float]
"""(problem, sample) -> a number that ranks a problem's answers, the best highest: a reward, a log-probability."""


def best_of_k(passed: Sequence[bool], k: int) -> float:
    """The probability that the best-ranked of k answers, drawn from these, is right. `passed`: from the best rank to the worst.

    With k = n it is 1.0 or 0.0: whether the best of all is right.
    """
    n = len(passed)
    if not 1 <= k <= n:
        raise DataError(f"best@{k} needs at least {k} samples per problem, there are {n}: ask for k <= {n}")
    return sum(math.comb(n - 1 - i, k - 1) for i, right in enumerate(passed) if right) / math.comb(n, k)


def measures_of(
    suite: Suite, outcomes: Sequence[Outcome], ks: Sequence[int], verification: Verification, ranks: Ranks | None = None
) -> dict[str, dict[str, Any]]:
    """pass@k for each k; for k above 1 also maj@k where answers can be compared, and best@k where they are ranked.

    Raises DataError when a problem has fewer than k answers, or an answer no rank although others have one.
    """
    if nothing_judged(outcomes):
        return {}
    found = {f"pass@{k}": asdict(mean(list(passes(outcomes, k).values()))) for k in ks}
    for k in (k for k in ks if k > 1):
        if can_vote(suite) and any(o.extracted for o in outcomes):
            found[f"maj@{k}"] = asdict(majority(suite, outcomes, k, verification))
        if ranks:
            ranked = [_ranked(group, ranks) for group in by_problem(outcomes).values()]
            found[f"best@{k}"] = asdict(mean([best_of_k(passed, k) for passed in ranked]))
    return found


def _ranked(group: Sequence[Outcome], ranks: Ranks) -> list[bool]:
    missing = next((o for o in group if (o.problem, o.sample) not in ranks), None)
    if missing:
        raise DataError(
            f"--rank-by: answer {missing.sample} to problem {missing.problem!r} has no number in that column"
        )
    return [o.passed for o in sorted(group, key=lambda o: -ranks[o.problem, o.sample])]


def coverage(suite: Suite, outcomes: Sequence[Outcome]) -> str:
    """What a score is not of: the problems of the suite that no sample answers, or "" where there are none."""
    answered = {o.problem for o in outcomes}
    total = len(suite.tasks)
    if len(answered) >= total:
        return ""
    whole = sum(passes(outcomes).values()) / total
    first = next(task.name for task in suite.tasks if task.name not in answered)
    return (
        f"only {len(answered)} of the {total} problems of {suite.name} are answered (the first without an answer is {first!r}): "
        f"the scores are not the suite's; with the others as wrong, pass@1 is {percent(whole)}"
    )


def lines(measures: Mapping[str, Mapping[str, Any]], problems: int) -> Iterator[str]:
    """A line for each measure."""
    for name, m in measures.items():
        yield f"  {name}: {percent(m['value'])} (95% {percent_interval(m['interval'])}, {m['method']}, {problems} problems)"
