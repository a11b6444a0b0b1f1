"""Licence and terms of every row, and the check that a recipe can demand of them.

A row has the licence of its seed; a row that a teacher wrote (evolved or answered) carries the teacher's terms too.

    curate: {licences: [MIT, Apache-2.0]}     # rows of any other licence, or written under other terms, are dropped
"""

from evoltune.recipe import Recipe
from evoltune.record import Record

UNKNOWN = "unknown"


def licence_of(record: Record, recipe: Recipe) -> str:
    """The row's own licence (a seed file may name one per row), else the recipe's `seeds.licence`."""
    return str(record.task.fields.get("licence") or recipe.seeds.licence or UNKNOWN)


def terms_of(record: Record, recipe: Recipe) -> str:
    """Terms of the teacher that wrote the task or an answer; empty for rows written by people alone."""
    by_teacher = record.operator != "" or any(a.model not in ("seed", "") for a in record.answers)
    return (recipe.teacher.terms or UNKNOWN) if by_teacher else ""


def refusal(record: Record, recipe: Recipe) -> str:
    """Why `curate.licences` refuses the row, or empty. An empty list allows every licence."""
    allowed = recipe.curate.licences
    if not allowed:
        return ""
    licence, terms = licence_of(record, recipe), terms_of(record, recipe)
    if licence not in allowed:
        return f"licence {licence} not allowed"
    return f"teacher terms {terms} not allowed" if terms and terms not in allowed else ""
