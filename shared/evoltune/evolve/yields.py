"""What each version of each operator brings: rows accepted and verified, difficulty lift, cost.

    for row in operator_yield(store, draws_step(recipe, domain), verify=verify_step): print(row.operator, row.kept / row.draws)

Invariant: read-only; the same store gives the same table.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from statistics import fmean

from evoltune.run.queries import Draw, Spent, decisions, difficulty_replies, draws, pass_rates, spent_by_record
from evoltune.run.store import Step, Store
from evoltune.text.ratings import read_rating


@dataclass(frozen=True, kw_only=True)
class Yield:
    """How many rewrites of one version of an operator were kept, why others were not, and what they cost. A mean over no row
    is None."""

    operator: str
    version: str
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
    """Mean difficulty (1 to 10) of kept rows: by the measured pass rate, else by the teacher's rating."""
    lift: float | None
    """Mean of child's minus parent's difficulty, where both were measured, or both rated."""
    calls: int
    tokens: int
    usd: float


WRITING = ("evolve", "reword", "self_instruct", "snippet")
"""Purposes whose calls are journalled under the parent (or the blank draw), not under the row that they wrote."""


def operator_yield(store: Store, step: Step, verify: Step | None = None) -> list[Yield]:
    """The table over the evolve step's draws, most draws first; each kind of bootstrapping is an operator of its own.

    A draw costs all calls about its record, and its share of the calls that wrote its parent's children.
    """
    ratings = ((record, read_rating(reply)) for record, _, reply in difficulty_replies(store))
    rated = {record: level for record, level in ratings if level is not None}
    measured = {record: 1 + 9 * (1 - passes / of) for record, passes, of in pass_rates(store)}
    judged = {d.record: d.reason for d in decisions(store, verify)} if verify else {}
    writing, about = spent_by_record(store, WRITING)
    by_operator: dict[tuple[str, str], list[Draw]] = defaultdict(list)
    children: Counter[str | None] = Counter()
    for draw in draws(store, step):
        children[draw.parent] += 1
        if draw.operator:
            by_operator[draw.operator, draw.version].append(draw)

    def cost(draw: Draw) -> Spent:
        shared = writing.get(draw.parent, Spent()) if draw.parent else Spent()
        own = about.get(draw.record, Spent())
        return Spent(*(a + b / children[draw.parent] for a, b in zip(own, shared, strict=True)))

    def row(key: tuple[str, str], drawn: list[Draw]) -> Yield:
        kept = [draw for draw in drawn if not draw.reason]
        reasons = [judged[draw.record] for draw in kept if draw.record in judged]
        levels = [level for draw in kept if (level := measured.get(draw.record, rated.get(draw.record))) is not None]
        scales = [next((s for s in (measured, rated) if {d.record, d.parent} <= s.keys()), None) for d in kept]
        lifts = [scale[d.record] - scale[d.parent] for d, scale in zip(kept, scales, strict=True) if scale and d.parent]
        calls, tokens, usd = (sum(amounts) for amounts in zip(*map(cost, drawn), strict=True))
        return Yield(
            operator=key[0],
            version=key[1],
            draws=len(drawn),
            kept=len(kept),
            verified=reasons.count("") if verify else None,
            judged=len(reasons) if verify else None,
            reasons=dict(Counter(draw.reason for draw in drawn if draw.reason).most_common()),
            difficulty=fmean(levels) if levels else None,
            lift=fmean(lifts) if lifts else None,
            calls=round(calls),
            tokens=round(tokens),
            usd=usd,
        )

    return sorted((row(*item) for item in by_operator.items()), key=lambda y: (-y.draws, y.operator, y.version))
