"""How hard a row is, read from what earlier stages left on the record.

difficulty(record)  ->  7.0      # the teacher's number from 1 to 10, else from the share of answers that failed
"""

from evoltune.record import Record
from evoltune.text.ratings import median_rating

LEVELS = ("simple", "complex", "very complex")  # as in the WizardCoder paper (2306.08568)


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


def level_of(difficulty: float | None, round: int) -> str:
    """One of `LEVELS`: by difficulty (up to 4, up to 7, above), else by the round of a row (0, 1, later)."""
    return LEVELS[(difficulty > 4) + (difficulty > 7) if difficulty is not None else min(round, 2)]
