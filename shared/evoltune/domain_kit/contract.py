"""The types that a domain's functions must return, as `evoltune/domain.py` and `evoltune/record.py` declare them.

verdict_of("pass")        # raises BreakContract: verify returns a str, not a Verdict
"""

import json
import math
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from evoltune.domain_kit.bounds import out_of_bounds, texts_in
from evoltune.record import STATUSES, Answer, KnownAnswers, Record, Task, Verdict

MAX_ITEMS = 200_000
"""Seeds or problems that are read; an endless generator ends here."""


MOST_REASON = 2_000
"""Characters of a verdict's reason, which is stored with each answer; those of the sandbox are shorter."""
QUOTED, STEP = 600, 150
"""Characters one after another that a reason may take from the answer or the task, and the distance of the places that are compared."""


class BreakContract(Exception):
    """A function of the domain returned what its contract does not allow."""


def several(found: Any, name: str, kind: type) -> list[Any]:
    if isinstance(found, set | frozenset):
        raise BreakContract(f"{name} returns {kind_of(found)}, whose order differs from process to process: sort it")
    if isinstance(found, str | bytes | Mapping) or not hasattr(found, "__iter__"):
        raise BreakContract(f"{name} returns {kind_of(found)}, not a sequence of {kind.__name__}")
    items = []
    for item in found:
        if not isinstance(item, kind):
            raise BreakContract(f"{name} gives {kind_of(item)}, not {kind.__name__}")
        items.append(item)
        if len(items) > MAX_ITEMS:
            raise BreakContract(f"{name} gives more than {MAX_ITEMS} items: does it end?")
    return items


def text_of(found: Any, name: str, *, none: bool = True) -> str | None:
    if isinstance(found, str) or (found is None and none):
        return found
    raise BreakContract(f"{name} returns {kind_of(found)}, not a string{' or None' if none else ''}")


def verdict_of(found: Any) -> Verdict:
    if not isinstance(found, Verdict):
        raise BreakContract(f"verify returns {kind_of(found)}, not a Verdict")
    if found.status not in STATUSES:
        raise BreakContract(f"verify returns the status {found.status!r}, which must be one of {', '.join(STATUSES)}")
    if not isinstance(found.reason, str):
        raise BreakContract(f"verify returns a Verdict whose reason is {kind_of(found.reason)}, not a string")
    if (
        isinstance(found.seconds, bool)
        or not isinstance(found.seconds, int | float)
        or not 0 <= found.seconds < math.inf
    ):
        raise BreakContract(f"verify returns a Verdict whose seconds are {found.seconds!r}")
    if not isinstance(found.evidence, Mapping):
        raise BreakContract(f"verify returns a Verdict whose evidence is {kind_of(found.evidence)}, not a mapping")
    _plain(found.evidence, "a Verdict whose evidence")
    return found


def seed_of(record: Record) -> Record:
    task_of(record.task)
    for name, kind in (
        ("domain", str),
        ("operator", str),
        ("round", int),
        ("draw", int),
        ("answers", tuple),
        ("parents", tuple),
    ):
        if not isinstance(getattr(record, name), kind):
            raise BreakContract(f"a seed's {name} is {kind_of(getattr(record, name))}, not {kind.__name__}")
    for answer in record.answers:
        if not isinstance(answer, Answer) or not isinstance(answer.text, str):
            raise BreakContract(
                f"a seed's answer is {kind_of(getattr(answer, 'text', answer))}, not an Answer with a text"
            )
    return record


def task_of(task: Task) -> Task:
    if not isinstance(task, Task):
        raise BreakContract(f"a task is {kind_of(task)}, not a Task")
    name = f"the task {str(task.name or task.instruction)[:60]!r}"
    for attribute in ("instruction", "name"):
        if not isinstance(getattr(task, attribute), str):
            raise BreakContract(f"{name}: {attribute} is {kind_of(getattr(task, attribute))}, not a string")
    for attribute in ("instruction", "name", "reference"):
        if (kind := type(getattr(task, attribute))) not in (str, type(None)) and issubclass(kind, str):
            raise BreakContract(
                f"{name}: {attribute} is a {kind.__name__}, which comes back from the store as a plain string: give a str"
            )
    if not isinstance(task.reference, str | None):
        raise BreakContract(f"{name}: reference is {kind_of(task.reference)}, not a string or None")
    if not isinstance(task.fields, Mapping):
        raise BreakContract(f"{name}: fields is {kind_of(task.fields)}, not a mapping")
    turns = task.history
    if not isinstance(turns, tuple) or any(
        not isinstance(t, tuple | list) or len(t) != 2 or not all(isinstance(part, str) for part in t) for t in turns
    ):
        raise BreakContract(f"{name}: history is {repr(turns)[:120]}, not a tuple of (role, content) pairs")
    # Expected values of benchmarks may be infinite.
    _plain({"fields": task.fields, "tests": task.tests, "history": task.history}, name, allow_nan=True)
    return task


def known_of(known: KnownAnswers) -> KnownAnswers:
    task_of(known.task)
    for name in ("right", "wrong"):
        texts = getattr(known, name)
        if not isinstance(texts, tuple | list) or not all(isinstance(text, str) for text in texts):
            raise BreakContract(f"known_answers: {name} is {texts!r:.80}, not a tuple of strings")
    if both := {*known.right} & {*known.wrong}:
        raise BreakContract(f"known_answers: {min(both)!r:.80} is called right and wrong")
    return known


def _plain(value: Any, name: str, *, allow_nan: bool = False) -> None:
    try:
        json.dumps(value, allow_nan=allow_nan, default=lambda v: dict(v) if isinstance(v, Mapping) else _refuse(v))
    except (TypeError, ValueError, RecursionError) as error:
        raise BreakContract(f"{name} is no plain JSON: {error}") from error


def _refuse(value: object) -> None:
    raise TypeError(f"{kind_of(value)} cannot be stored")


def kind_of(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}{' (dataclass)' if is_dataclass(value) else ''}"


def quotes_at_length(reason: str, given: Any) -> bool:
    """Whether a part of more than about `QUOTED` characters stands in one of the texts that were given, as it is or, where that
    makes it little longer, as `repr` writes it."""
    parts = [reason[at : at + QUOTED] for at in range(0, len(reason) - QUOTED + 1, STEP)]
    texts = [text for text, _ in texts_in(given) if len(text) >= QUOTED] if parts else []
    forms = [form for text in texts for form in (text, repr(text)) if len(form) < 1.2 * len(text)]
    return any(part in form for form in forms for part in parts)


def bounded(found: Any, given: Any, name: str) -> None:
    if isinstance(found, Verdict) and len(found.reason) > MOST_REASON:
        raise BreakContract(
            f"{name} gives a reason of {len(found.reason)} characters (at most {MOST_REASON}): cut what it quotes"
        )
    if isinstance(found, Verdict) and quotes_at_length(found.reason, given):
        raise BreakContract(
            f"{name} gives a reason of {len(found.reason)} characters that quotes more than {QUOTED} of the answer or the task: cut it"
        )
    if wrong := out_of_bounds(found, given):
        raise BreakContract(f"{name} returns {wrong}")
