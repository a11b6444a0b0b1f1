"""A domain's known answers in a file of its package, which only `evoltune domains check` reads.

    domain = Domain(..., known_answers=partial(known_answers_in, Path(__file__).parent / KNOWN_ANSWERS))

    - instruction: How long is the rod, in centimetres?
      reference: 125 cm
      right: ["125", "1.25 m"]
      wrong: ["125 m", "12.5 cm"]

A row may also have `tests` and `fields`. The file is no part of the verifier's version (`source_hash`): answers that are added to it
leave stored verdicts as they are.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from evoltune.errors import DataError
from evoltune.record import KnownAnswers, Task


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    instruction: str
    reference: str | None = None
    tests: Any = None
    fields: dict[str, Any] = {}
    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


def known_answers_in(file: Path) -> Iterator[KnownAnswers]:
    """The known answers of a YAML file. Raises DataError where it is none, or holds something else than texts (put 0.5 in quotes)."""
    try:
        rows = msgspec.convert(yaml.safe_load(file.read_text(encoding="utf-8")), list[_Row])
    except (OSError, UnicodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise DataError(f"{file}: known answers cannot be read: {error}") from error
    for row in rows:
        task = Task(instruction=row.instruction, reference=row.reference, tests=row.tests, fields=row.fields)
        yield KnownAnswers(task=task, right=row.right, wrong=row.wrong)
