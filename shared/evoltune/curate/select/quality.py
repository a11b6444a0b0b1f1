"""The quality of rows, from 0 to 1: verdict, difficulty, length of the answer and a judge's grade.

quality(records)  ->  [0.83, 0.41, ...]
"""

from collections.abc import Sequence
from math import exp, log
from statistics import median

from evoltune.curate.answers import chosen_answers, is_verified
from evoltune.curate.difficulty import difficulty
from evoltune.record import Record
from evoltune.text.ratings import median_rating

GRADES = ("quality", "judge")
"""Names of evidence that holds a judge's grade."""
WEIGHTS = {"verified": 0.4, "difficulty": 0.2, "length": 0.2, "judge": 0.2}


def quality(records: Sequence[Record]) -> list[float]:
    """0 to 1 for each record: the mean of its four parts, weighted by `WEIGHTS`.

    Length is worth exp(-(ln(length / median))^2 / 2): answers far shorter or longer than the set's median lose.
    An unknown part counts as one half, so that it neither helps nor hurts.
    """
    lengths = [len(output_text(record)) for record in records]
    typical = median([n for n in lengths if n] or [1])
    return [_quality(record, length, typical) for record, length in zip(records, lengths, strict=True)]


def _quality(record: Record, length: int, typical: float) -> float:
    hard, grade = difficulty(record), _grade(record)
    parts = {
        "verified": 1.0 if is_verified(record) else 0.0,
        "difficulty": 0.5 if hard is None else hard / 10,
        "length": exp(-(log(length / typical) ** 2) / 2) if length else 0.0,
        "judge": 0.5 if grade is None else grade / 10,
    }
    return sum(WEIGHTS[name] * value for name, value in parts.items())


def _grade(record: Record) -> float | None:
    return median_rating(text for name in GRADES for text in record.evidence.get(name, ()))


def output_text(record: Record) -> str:
    """The answer that would be trained on; empty where there is none."""
    answers = chosen_answers(record) or record.answers[:1]
    return answers[0].text if answers else ""
