"""Rules and near-duplicate search in nine languages: good rows are kept, bad ones struck."""

from collections import Counter

import pytest
from nine_languages import LANGUAGES, Row, bad_rows, good_rows

from evoltune.curate.dedup import find_duplicates
from evoltune.domain import load_domain
from evoltune.evolve.rules.registry import rejection_reason
from evoltune.recipe import Curate
from evoltune.record import Task

GENERAL = load_domain("general")
GOOD_STRUCK, BAD_KEPT = 0.02, 0.05


def reason(row: Row) -> str:
    parent, child = Task(instruction=row.parent), Task(instruction=row.instruction)
    return rejection_reason(GENERAL, parent, child, None) or rejection_reason(GENERAL, parent, child, row.answer)


def duplicates(texts: list[str]) -> list[bool]:
    return [bool(cause) for cause, _ in find_duplicates(texts, Curate())]


@pytest.mark.parametrize("language", LANGUAGES)
def test_good_rows_of_a_language_are_kept(language):
    rows = good_rows(language)
    repeated = duplicates([row.instruction for row in rows])
    struck = [
        (why, row) for row, is_repeated in zip(rows, repeated, strict=True) if (why := reason(row) or is_repeated)
    ]
    assert len(rows) == 60
    assert len(struck) <= GOOD_STRUCK * len(rows), struck


@pytest.mark.parametrize("language", LANGUAGES)
def test_bad_rows_of_a_language_are_struck(language):
    known = [row.instruction for row in good_rows(language)]
    rows = bad_rows(language)
    kept = [
        (kind, row)
        for kind, row in rows
        if not (duplicates([*known, row.instruction])[-1] if kind == "near duplicate" else reason(row))
    ]
    assert len(rows) == 40 and min(Counter(kind for kind, _ in rows).values()) >= 3
    assert len(kept) <= BAD_KEPT * len(rows), kept
