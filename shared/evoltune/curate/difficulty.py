"""How hard a row is and how far it can be trusted, read from what earlier stages left on the record.

difficulty(record)  ->  7.0      # the teacher's number from 1 to 10, else from the share of answers that pass
"""

from __future__ import annotations

from evoltune.record import Answer, Record
from evoltune.text.ratings import median_rating

LEVELS = ("simple", "complex", "very complex")  # the three of the WizardCoder paper's data picture


def difficulty(record: Record) -> float | None:
    """1 to 10: the median of the teacher's numbers (evidence `difficulty`); else 1 + 9 x the share of judged answers
    that failed, where at least two were judged; else None."""
    rated = median_rating(record.evidence.get("difficulty", ()))
    if rated is not None:
        return rated
    judged = [a.verdict.score for a in record.answers if a.verdict and a.verdict.score is not None]
    if len(judged) < 2:
        return None
    return 1 + 9 * (1 - sum(judged) / len(judged))


def level(record: Record) -> str:
    """simple, complex or very complex; see `level_of`."""
    return level_of(difficulty(record), record.round)


def level_of(hard: float | None, round: int) -> str:
    """By difficulty (up to 4, up to 7, above), else by the round that a row comes from (0, 1, later)."""
    return LEVELS[(hard > 4) + (hard > 7) if hard is not None else min(round, 2)]


def is_verified(record: Record) -> bool:
    """Whether at least one answer passed its verifier."""
    return any(a.verdict is not None and a.verdict.status == "pass" for a in record.answers)


def rank(record: Record) -> tuple[int, float, int, int, str]:
    """Sorts the better of two equal rows first: verified, then harder, then earlier round and draw, then id.
    A total order (ids differ), so what dedup keeps never depends on the order of arrival."""
    return (not is_verified(record), -(difficulty(record) or 0.0), record.round, record.draw, record.id)


def chosen_answers(record: Record, keep: tuple[str, ...] = ("pass",), most: int = 1) -> list[Answer]:
    """The answers that become outputs: those that pass, in the order they were given, at most `most`; where none
    passes, the first whose status is in `keep`; where nothing was judged, the first."""
    passed = [a for a in record.answers if a.verdict and a.verdict.status == "pass"]
    if passed:
        distinct: dict[str, Answer] = {}
        for answer in passed:
            distinct.setdefault(answer.text, answer)
        return list(distinct.values())[:most]
    kept = [a for a in record.answers if a.verdict and a.verdict.status in keep]
    unjudged = [a for a in record.answers if a.verdict is None]
    return (kept or unjudged)[:1]
