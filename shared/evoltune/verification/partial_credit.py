"""Partial credit: the share of a row's test cases that an answer passes, each case verified by itself.

    with_fractions(domain, rows, verdicts, verify)     # [1.0, 0.5, None]

Invariant: an answer that passes as a whole scores 1, one that could not be verified None, and a task that cannot be split the
score of the whole. Cases run only for answers that fail.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evoltune.domain import Domain, author_code, to_task
from evoltune.errors import DataError

AT_ONCE = 8
"""Cases of one answer that are verified before the next ones are looked at; TIMEOUTS, where the whole ran out of time."""
TIMEOUTS = 2
"""An answer with this many cases out of time is given up: its other cases count as failed."""


def with_fractions(
    domain: Domain,
    rows: Sequence[Mapping[str, Any]],
    verdicts: Sequence[Mapping[str, Any]],
    verify: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
) -> list[float | None]:
    """The scores of `rows`, whose verdicts as a whole are known. `verify` gives the verdicts of other rows."""
    scores: list[float | None] = [verdict["score"] for verdict in verdicts]
    left = {i: cases for i, score in enumerate(scores) if score == 0.0 and len(cases := _cases(domain, rows[i])) > 1}
    totals, passed = {i: len(cases) for i, cases in left.items()}, dict.fromkeys(left, 0)
    late = dict.fromkeys(left, 0)
    while left:
        sizes = {i: TIMEOUTS if verdicts[i]["status"] == "timeout" else AT_ONCE for i in left}
        asked = [(i, case) for i, cases in left.items() for case in cases[: sizes[i]]]
        for (i, _), verdict in zip(asked, verify([{**rows[i], "tests": case} for i, case in asked]), strict=True):
            passed[i] += verdict["status"] == "pass"
            late[i] += verdict["status"] == "timeout"
        left = {i: rest for i, cases in left.items() if late[i] < TIMEOUTS and (rest := cases[sizes[i] :])}
    for i, total in totals.items():
        # The whole fails, so not every case may count as passed: some fail only after others.
        scores[i] = min(passed[i], total - 1) / total
    return scores


def _cases(domain: Domain, row: Mapping[str, Any]) -> Sequence[Any]:
    if domain.cases is None:
        return ()
    try:
        task = to_task(domain, row)
        with author_code(domain, "cases"):
            return domain.cases(task)
    except DataError:
        return ()
