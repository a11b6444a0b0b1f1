"""Seeds: the domain's own, or the rows of `seeds.path`, as records of round 0.

    for record in seed_records(recipe, load_domain(recipe.domain)): ...

One bad seed refuses all of them: it is a DataError that names file and line. Otherwise evolution would spend money on the
rest, and nobody would notice the mistake.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from evoltune.domain import Domain, author_code, seeds_of, to_task
from evoltune.errors import DataError
from evoltune.recipe import Recipe, Source
from evoltune.record import Answer, Json, Record
from evoltune.rows.columns import RESPONSE_COLUMNS, Conversation, lost_answer, recognise
from evoltune.rows.dataset_info import refuse_unfit
from evoltune.rows.dumps import read_any
from evoltune.rows.readers import BadRow, in_full, read_located


def seed_records(recipe: Recipe, domain: Domain) -> Iterator[Record]:
    """The first `seeds.limit` seeds (0: all), in the order of the files or of the domain."""
    path = recipe.seeds.path
    refs = (path,) if isinstance(path, str) else path or ()
    for ref in refs:
        refuse_unfit(ref)
    rows = (record for ref in refs for record in read_records(ref, domain)) if refs else seeds_of(domain)
    return islice(rows, recipe.seeds.limit or None)


def read_records(ref: str, domain: Domain, bad: list[BadRow] | None = None) -> Iterator[Record]:
    """Records of any source: an output becomes an answer of the model "seed". Bad rows: see `read_located`."""
    for where, row in read_located(ref, bad):
        found = recognise(row)
        if not isinstance(found, str) and not any(c in domain.columns for c in RESPONSE_COLUMNS):
            found = lost_answer(row, found) or found
        if not isinstance(found, str):
            yield with_stated_reference(domain, to_record(domain, row, found, where))
        elif bad is None:
            raise DataError(f"{in_full(ref, where)}: {found}")
        else:
            bad.append(BadRow(where=in_full(ref, where), reason=found))


def source_records(
    source: Source, domain: Domain, bad: list[BadRow], skipped: Counter[str] | None = None
) -> Iterator[Record]:
    """The rows of a source that can be trained on, with licence and source in their fields. `bad`, `skipped`: see `read_dump`."""
    for where, row in read_any(source.path, bad, skipped):
        found = recognise(row)
        if isinstance(found, str) or (problem := _not_for_training(found)):
            bad.append(BadRow(where=in_full(source.path, where), reason=found if isinstance(found, str) else problem))
            continue
        record = with_stated_reference(domain, to_record(domain, row, found, where))
        known = {"licence": source.licence, "source": str(row.get("source") or source.path)}
        fields = {**{k: v for k, v in known.items() if v}, **record.task.fields}
        yield replace(record, task=replace(record.task, fields=fields))


def with_stated_reference(domain: Domain, record: Record) -> Record:
    """The record with the reference that its worked solution states (`#### 72`), where the row brings neither reference nor tests."""
    task = record.task
    if domain.reference_in is None or task.reference is not None or task.tests is not None or not record.answers:
        return record
    with author_code(domain, "reference_in"):
        stated = domain.reference_in(record.answers[0].text)
        if not isinstance(stated, str | None):
            raise TypeError(f"the result is {type(stated).__name__}: {repr(stated)[:80]}, not a text or None")
    return replace(record, task=replace(task, reference=stated)) if stated else record


def _not_for_training(found: Conversation) -> str:
    if not found.output.strip():
        return "no answer"
    if not all(turn.trained for turn in found.turns if turn.role == "assistant"):
        return "answers that are marked as without loss cannot be mixed with others: train on the file itself"
    return found.problem


def to_record(domain: Domain, row: Mapping[str, Any], conversation: Conversation, where: str) -> Record:
    """A row as a record. Its `licence` and `skill` become fields of the task."""
    task = to_task(domain, {**row, "instruction": conversation.instruction}, where)
    own: dict[str, Json] = {
        name: value
        for name, keys in (("licence", ("licence", "license")), ("skill", ("skill", "category")))
        if isinstance(value := next((row[k] for k in keys if row.get(k)), None), str)
    }
    task = replace(task, name=task.name or where, history=conversation.history, fields={**task.fields, **own})
    answers = (Answer(text=conversation.output, model="seed"),) if conversation.output.strip() else ()
    return Record(domain=domain.name, task=task, answers=answers)
