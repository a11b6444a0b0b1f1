"""maj@k: the answer that most of k samples agree on, where agreement is the domain's own equality.

    measure = majority(suite, outcomes, k=8, verification=Verification())

Two answers are equal when one passes with the other as reference, so 1/2 and 0.5 vote together.
Invariant: a vote never changes a verdict; the winning answer counts as right only if it was judged right by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from evoltune.errors import DataError
from evoltune.evaluate.samples import answered
from evoltune.evaluate.score import Outcome, by_problem
from evoltune.evaluate.statistics import Measure, mean
from evoltune.evaluate.suites import Suite
from evoltune.recipe import Verification
from evoltune.verification.checker import open_checker

Pair = tuple[str, str]
"""Two extracted answers as written."""


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
                verdict = record.answers[0].verdict
                if verdict and verdict.status == "pass":
                    found[problem].add(pair)
    return found


def _majority_is_right(group: Sequence[Outcome], equal: set[Pair]) -> bool:
    """Whether the first answer of the largest class was judged right. Samples without an answer do not vote."""
    classes: list[list[Outcome]] = []
    for outcome in group:
        if not outcome.extracted:
            continue
        for members in classes:
            first = members[0].extracted
            if first == outcome.extracted or (first, outcome.extracted) in equal:
                members.append(outcome)
                break
        else:
            classes.append([outcome])
    return bool(classes) and max(classes, key=len)[0].passed  # max takes the first of equals: the earliest class
