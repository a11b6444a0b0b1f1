"""What each operator brings: accept rate, verify rate, difficulty lift, cost per kept row; and difficulty by round.

    for row in operator_yield(store, draws_step(recipe, domain), verify=verify_step): print(row.operator, row.accept_rate)

Invariant: read-only; the same store gives the same table.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from evoltune.run.queries import Spent, decisions, difficulty_replies, draws, spent_by_record
from evoltune.run.store import Step, Store
from evoltune.text.ratings import read_rating


@dataclass(frozen=True, kw_only=True)
class Yield:
    """One operator's line. Rates are None where there is nothing to divide by."""

    operator: str
    draws: int
    kept: int
    """Survived elimination."""
    verified: int | None
    """Of these, kept by the verify step; None without one."""
    judged: int | None
    """Of these, decided by the verify step so far."""
    reasons: dict[str, int]
    """Drops by reason."""
    difficulty: float | None
    """Mean difficulty (1 to 10) of kept rows that were rated."""
    lift: float | None
    """Mean of child's minus parent's difficulty, where both were rated."""
    calls: int
    tokens: int
    usd: float

    @property
    def accept_rate(self) -> float | None:
        return self.kept / self.draws if self.draws else None

    @property
    def verify_rate(self) -> float | None:
        return self.verified / self.judged if self.verified is not None and self.judged else None

    @property
    def usd_per_kept(self) -> float | None:
        """Dollars per row that survived all that was run (verification too, where it was)."""
        rows = self.kept if self.verified is None else self.verified
        return self.usd / rows if rows else None

    @property
    def tokens_per_kept(self) -> float | None:
        rows = self.kept if self.verified is None else self.verified
        return self.tokens / rows if rows else None


def operator_yield(store: Store, step: Step, verify: Step | None = None) -> list[Yield]:
    """The table over the evolve step's draws, most draws first; bootstrapping counts as operators of its own.

    The cost of a draw is all calls about its record plus the call that wrote it, which is journalled under its parent and
    shared out over the parent's draws.
    """
    rated = _difficulties(store)
    judged = {d.record: d.reason for d in decisions(store, verify)} if verify else {}
    asked, spent = spent_by_record(store, WRITING)
    children: Counter[str] = Counter(draw.parent for draw in draws(store, step) if draw.parent)
    lines: dict[str, _Line] = defaultdict(_Line)
    for operator, parent, record, reason in draws(store, step):
        if not operator:
            continue
        line = lines[operator]
        line.draws += 1
        line.spend(spent.get(record, Spent()), 1.0)
        if parent:
            line.spend(asked.get(parent, Spent()), 1 / children[parent])
        if reason:
            line.reasons[reason] += 1
            continue
        line.kept += 1
        if record in judged:
            line.judged += 1
            line.verified += judged[record] == ""
        if record in rated:
            line.rated.append(rated[record])
            if parent and parent in rated:
                line.lifts.append(rated[record] - rated[parent])
    return sorted(
        (line.row(name, verify) for name, line in lines.items()), key=lambda y: (-y.draws, y.operator)
    )


class _Line:
    def __init__(self) -> None:
        self.draws = self.kept = self.verified = self.judged = 0
        self.reasons: Counter[str] = Counter()
        self.rated: list[float] = []
        self.lifts: list[float] = []
        self.calls = self.tokens = self.usd = 0.0

    def spend(self, amount: Spent, share: float) -> None:
        self.calls += amount.calls * share
        self.tokens += amount.tokens * share
        self.usd += amount.usd * share

    def row(self, operator: str, verify: Step | None) -> Yield:
        return Yield(
            operator=operator,
            draws=self.draws,
            kept=self.kept,
            verified=self.verified if verify else None,
            judged=self.judged if verify else None,
            reasons=dict(self.reasons.most_common()),
            difficulty=fmean(self.rated) if self.rated else None,
            lift=fmean(self.lifts) if self.lifts else None,
            calls=round(self.calls),
            tokens=round(self.tokens),
            usd=self.usd,
        )


WRITING = ("evolve", "self_instruct", "snippet")
"""Purposes whose calls are journalled under the parent (or the empty draw), not under the row that they wrote."""


def _difficulties(store: Store) -> dict[str, float]:
    return {record: level for record, _, level in _rated(store)}


def _rated(store: Store) -> Iterator[tuple[str, int, float]]:
    for record, round, reply in difficulty_replies(store):
        level = read_rating(reply)
        if level is not None:
            yield record, round, level


def difficulty_by_round(store: Store, step: Step) -> dict[int, tuple[float, int]]:
    """round -> (mean difficulty, rated rows) of the rows that the step kept (the paper: 3.00 -> 5.48 -> 7.08)."""
    kept = {d.record for d in decisions(store, step) if not d.reason}
    levels: dict[int, list[float]] = defaultdict(list)
    for record, round, level in _rated(store):
        if record in kept:
            levels[round].append(level)
    return {round: (fmean(found), len(found)) for round, found in sorted(levels.items())}
