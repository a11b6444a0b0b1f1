"""The law that a verdict is the same at any time, for each answer whose verdict looked at a clock or at chance.

The answers are those that other laws tried: a date without its year, say, which only some answers reach.
"""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from evoltune.domain_kit.findings import Finding, broken, holds
from evoltune.domain_kit.judging import SHIFTS, Laws, differ, example

YEARS = 9
"""The first of `SHIFTS`: other years, of which one may be that of a seed."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def laws_of_moments(laws: Laws) -> Iterator[Finding]:
    law, place = "no verdict depends on when it is given", laws.sources.function(laws.domain.verify)
    modes: list[dict[str, float]] = [
        {},
        *({"shift": shift} for shift in SHIFTS[:YEARS]),
        {"extreme": 0},
        {"extreme": 1},
    ]
    until = laws.time.until(0.5)
    for task, candidate in until.over(laws.timed):
        days = ({"shift": shift} for shift in _to_dates_of(candidate))
        outcomes = [laws.first.call("verify", task, candidate, name="verify", **mode) for mode in (*modes, *days)]
        first, *others = [None if o.kind else o.value for o in outcomes]
        other = next((v for v in others if first and v and differ(first, v)), None)
        if first and other:
            detail = f"{first.status} ({first.reason[:60]!r}), and at another time or with other random numbers {example(task, candidate, other)}"
            todo = "use nothing but the task, the candidate and context: no clock and no chance"
            yield broken(law, detail, place, todo)
            return
    if until.looked:
        yield holds(law, f"{until.looked} answers whose verdict looked at a clock or at chance")


def _to_dates_of(candidate: str) -> Iterator[float]:
    """Seconds from now to the days that an answer names: one of them may be today."""
    for found in [*_DATE.finditer(candidate)][:2]:
        with suppress(ValueError):
            yield datetime.fromisoformat(f"{found[0]}T12:00").timestamp() - time.time()
