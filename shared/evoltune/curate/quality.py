"""How good a row is: which of its answers passed, how hard it is, and its quality from 0 to 1.

chosen_answers(record, keep=("pass",), most=1)  ->  [Answer(...)]
difficulty(record)                              ->  7.0
quality(records)                                ->  [0.83, 0.41, ...]
"""

from collections.abc import Sequence
from itertools import zip_longest
from math import exp, log
from statistics import median
from typing import Any

from evoltune.record import Answer, Record, digest
from evoltune.text.ratings import median_rating
from evoltune.verification.records import ROUTE, repairs_of

LEVELS = ("simple", "complex", "very complex")  # as in the WizardCoder paper (2306.08568)
NOT_MEASURED = "not measured"
GRADES = ("quality", "judge")
"""Names of evidence that holds a judge's grade."""
WEIGHTS = {"verified": 0.4, "difficulty": 0.2, "length": 0.2, "judge": 0.2}


def is_verified(record: Record) -> bool:
    """Whether at least one answer passed its verifier."""
    return any(a.verdict is not None and a.verdict.status == "pass" for a in record.answers)


def chosen_answers(record: Record, keep: Sequence[str] = ("pass",), most: int = 1) -> list[Answer]:
    """The answers that become outputs of the dataset: distinct ones that passed, those of different routes first, at most
    `most`; where none passed, the first whose status is in `keep`; where nothing was judged, the first."""
    passed: dict[str, Answer] = {}
    for answer in record.answers:
        if answer.verdict and answer.verdict.status == "pass":
            passed.setdefault(answer.text, answer)
    if passed:
        return _different_routes_first(record, list(passed.values()))[:most]
    allowed = [a for a in record.answers if a.verdict and a.verdict.status in keep]
    unjudged = [a for a in record.answers if a.verdict is None]
    return (allowed or unjudged)[:1]


def _different_routes_first(record: Record, answers: Sequence[Answer]) -> list[Answer]:
    """One answer of each route, then a second of each, and so on. The routes come in an order drawn for the record, so that none is
    preferred for having been asked first; without routes, the answers in the order they were given."""
    routes: dict[str, list[Answer]] = {}
    for answer in answers:
        found = answer.verdict.evidence.get(ROUTE) if answer.verdict else None
        routes.setdefault(str(found or ""), []).append(answer)
    drawn = sorted(routes, key=lambda route: digest([ROUTE, record.id, route]))
    return [answer for turn in zip_longest(*(routes[route] for route in drawn)) for answer in turn if answer]


def output_text(record: Record) -> str:
    """The answer that would be trained on; empty where there is none."""
    answers = chosen_answers(record) or record.answers[:1]
    return answers[0].text if answers else ""


def difficulty(record: Record) -> float | None:
    """1 to 10: 1 + 9 x the share of sampled answers that failed (`evolve.pass_rate`); else the median of the teacher's numbers
    (evidence `difficulty`); else that share of the judged answers, where at least two were judged; else None."""
    if (rate := pass_rate(record)) is not None:
        return 1 + 9 * (1 - rate)
    rated = median_rating(record.evidence.get("difficulty", ()))
    if rated is not None:
        return rated
    asked = zip(record.answers, repairs_of(record), strict=True)
    # A repair is asked for only after a failure, so it says nothing about how often a task is solved.
    judged = [a.verdict.score for a, repair in asked if not repair and a.verdict and a.verdict.score is not None]
    return 1 + 9 * (1 - sum(judged) / len(judged)) if len(judged) >= 2 else None


def pass_rate(record: Record) -> float | None:
    """The share of sampled answers that passed, as verify counted them; None where nothing was sampled."""
    verdict = record.answers[0].verdict if record.answers else None
    found: Any = verdict.evidence.get("pass_rate") if verdict else None
    return found["passes"] / found["of"] if found else None


def outside_band(record: Record, band: tuple[float, float]) -> str:
    """Why the measured difficulty of a task drops it, or ""."""
    rate = pass_rate(record)
    if rate is None or band[0] <= rate <= band[1]:
        return ""
    return "too easy: pass rate above the band" if rate > band[1] else "too hard: pass rate below the band"


def level_of(difficulty: float | None) -> str:
    """One of `LEVELS`: by difficulty up to 4, up to 7, above; or that it was neither measured nor rated."""
    return NOT_MEASURED if difficulty is None else LEVELS[(difficulty > 4) + (difficulty > 7)]


def quality(records: Sequence[Record]) -> list[float]:
    """0 to 1 for each record: the mean of its four parts, weighted by `WEIGHTS`.

    Length is worth exp(-(ln(length / median))^2 / 2): answers far shorter or longer than the set's median lose.
    An unknown part counts as one half, so that it neither helps nor hurts.
    """
    lengths = [len(output_text(record)) for record in records]
    typical = median([n for n in lengths if n] or [1])
    return [_quality(record, length, typical) for record, length in zip(records, lengths, strict=True)]


def _quality(record: Record, length: int, typical: float) -> float:
    hard = difficulty(record)
    grade = median_rating(text for name in GRADES for text in record.evidence.get(name, ()))
    parts = {
        "verified": 1.0 if is_verified(record) else 0.0,
        "difficulty": 0.5 if hard is None else hard / 10,
        "length": exp(-(log(length / typical) ** 2) / 2) if length else 0.0,
        "judge": 0.5 if grade is None else grade / 10,
    }
    return sum(WEIGHTS[name] * value for name, value in parts.items())
