"""Which answers of a record become outputs of the dataset.

chosen_answers(record, keep=("pass",), most=1)  ->  [Answer(...)]
"""

from collections.abc import Sequence

from evoltune.record import Answer, Record


def is_verified(record: Record) -> bool:
    """Whether at least one answer passed its verifier."""
    return any(a.verdict is not None and a.verdict.status == "pass" for a in record.answers)


def chosen_answers(record: Record, keep: Sequence[str] = ("pass",), most: int = 1) -> list[Answer]:
    """Distinct answers that passed, in the order they were given, at most `most`; where none passed, the first whose
    status is in `keep`; where nothing was judged, the first."""
    passed: dict[str, Answer] = {}
    for answer in record.answers:
        if answer.verdict and answer.verdict.status == "pass":
            passed.setdefault(answer.text, answer)
    if passed:
        return list(passed.values())[:most]
    allowed = [a for a in record.answers if a.verdict and a.verdict.status in keep]
    unjudged = [a for a in record.answers if a.verdict is None]
    return (allowed or unjudged)[:1]
