"""maj@k: the answer that most of k samples agree on, where "agree" is the domain's own equality.

    measure = majority(suite, outcomes, k=8, verify=Verification())

Two candidates are equal when one passes with the other as reference: no new hook, and 1/2 and 0.5 vote together.
Invariant: votes never lift a verdict; the winning answer counts as right only if it was judged right by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from evoltune.errors import DataError
from evoltune.evaluate.score import Outcome, by_problem
from evoltune.evaluate.statistics import Measure, mean
from evoltune.evaluate.suites import Suite
from evoltune.recipe import Verification
from evoltune.record import Answer, Record, Task
from evoltune.verification.checker import open_checker

Pair = tuple[str, str]
"""Two candidates as written."""


def can_vote(suite: Suite) -> bool:
    """Whether answers can be compared with each other: problems with a reference and without tests."""
    return all(task.tests is None and task.reference is not None for task in suite.tasks)


def majority(suite: Suite, outcomes: Sequence[Outcome], k: int, verify: Verification) -> Measure:
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
    equal = _equalities(suite, groups, verify)
    return mean([float(_winner(group, equal[problem])) for problem, group in groups.items()])


def _equalities(
    suite: Suite, groups: Mapping[str, Sequence[Outcome]], verify: Verification
) -> dict[str, set[Pair]]:
    """The pairs of different candidates that the verifier holds equal, by problem."""
    tasks = {task.name: task for task in suite.tasks}
    asked = [
        (problem, pair)
        for problem, group in groups.items()
        for pair in combinations(dict.fromkeys(o.extracted for o in group if o.extracted), 2)
    ]
    found: dict[str, set[Pair]] = {problem: set() for problem in groups}
    if asked:
        with open_checker(suite.domain, verify) as checker:
            judged = checker.verify(_records(suite.domain, tasks, asked))
            for (problem, pair), record in zip(asked, judged, strict=True):
                verdict = record.answers[0].verdict
                if verdict and verdict.status == "pass":
                    found[problem].add(pair)
    return found


def _records(domain: str, tasks: Mapping[str, Task], asked: Sequence[tuple[str, Pair]]) -> Iterator[Record]:
    for problem, (one, two) in asked:
        yield Record(
            domain=domain, task=replace(tasks[problem], reference=one), answers=(Answer(text=two, model=""),)
        )


def _winner(group: Sequence[Outcome], equal: set[Pair]) -> bool:
    """Whether the largest camp's first answer was judged right. Samples without an answer do not vote."""
    camps: list[list[Outcome]] = []
    for outcome in group:
        if not outcome.extracted:
            continue
        home = next(
            (
                c
                for c in camps
                if c[0].extracted == outcome.extracted or (c[0].extracted, outcome.extracted) in equal
            ),
            None,
        )
        if home is None:
            camps.append([outcome])
        else:
            home.append(outcome)
    return bool(camps) and max(camps, key=len)[0].passed  # max takes the first of equals: the earliest camp
