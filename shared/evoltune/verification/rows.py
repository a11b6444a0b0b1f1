"""Rows of any origin through a checker: each gets one verdict row, in order; a row that cannot be read gets an `error`.

    for row in verify_rows(checker, [{"id": 1, "answer": "0.5", "reference": "1/2"}]): print(row["status"])

    rows = (row for _, row in read_any_rows("samples.jsonl", renames={"answer": "output"}))
    for row in verify_to_file({"sound": checker}, rows, Path("verdicts.jsonl"), key): ...

Invariant: OUT appears when every row has its verdict; until then OUT.partial holds the verdicts so far, and only a command
with the same key (rows, domain, settings, profiles) continues it.
"""

import fcntl
import gzip
import json
import shutil
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from evoltune.domain import Domain, source_hash, to_task
from evoltune.errors import DataError, naming_file
from evoltune.recipe import Verification
from evoltune.record import Answer, Record, Verdict, digest
from evoltune.rows.files import atomic_path, file_digest, packed, repair
from evoltune.rows.readers import BadRow, read_found
from evoltune.sandbox.fair_queue import Lane
from evoltune.verification.checker import Checker, limits_of
from evoltune.verification.row_forms import (
    answer_text,
    is_conversation,
    is_number,
    plain,
    plain_row,
    prompt_text,
    with_our_names,
)

MAX_DEPTH = 64
"""Containers within containers in a row; deeper ones would exhaust the stack of JSON encoders."""
ASKED = ("instruction", "prompt", "question", "problem")
ROW_COLUMNS = ("answer", "id", "name", "sample", *ASKED, "reference", "tests")
"""What a row is read by, besides the domain's own columns."""
CHUNK = 256
"""Rows that all profiles verify before the next rows are read."""


def verify_rows(
    checker: Checker, rows: Iterable[Any], first: int = 1, lane: Lane | None = None
) -> Generator[dict[str, Any], None, None]:
    """Verdict rows in input order.

    Args:
        rows: objects with `answer` and the domain's columns, or records.
        first: the number of the first row: the id of rows without one, and their name in reasons.
        lane: as `Checker.verify` takes it.
    """
    waiting: deque[tuple[dict[str, Any], Verdict | None]] = deque()
    """What an output row says of its row besides the verdict, and the verdict where it is known."""

    def records() -> Iterator[Record]:
        for number, row in enumerate(rows, first):
            labels = labels_of(row, number)
            record = row if isinstance(row, Record) else _to_record(checker.domain, row, _place(labels))
            waiting.append((labels, None if isinstance(record, Record) else record))
            if isinstance(record, Record):
                yield record

    def unreadable() -> Iterator[dict[str, Any]]:
        while waiting and (verdict := waiting[0][1]):
            yield verdict_row(verdict, waiting.popleft()[0])

    for record in checker.verify(records(), lane):
        yield from unreadable()
        verdict = record.answers[0].verdict
        assert verdict is not None
        yield verdict_row(verdict, waiting.popleft()[0])
    yield from unreadable()


def verdict_row(verdict: Verdict, labels: Mapping[str, Any]) -> dict[str, Any]:
    """An output row: the labels (id, and where a row has several answers sample), status, reason, score, seconds, evidence."""
    return {
        **labels, "status": verdict.status, "reason": verdict.reason, "score": verdict.score,
        "seconds": round(verdict.seconds, 6), "evidence": dict(verdict.evidence),
    }  # fmt: skip


def labels_of(row: Any, number: int) -> dict[str, Any]:
    """What the output row of a row says of it: its id, else its number, and `sample` where it has one."""
    if isinstance(row, Record):
        return {"id": row.task.name or number, "sample": row.draw}
    row_id = row.get("id", number) if isinstance(row, Mapping) else number
    labels = {"id": number if _too_deep(row_id) else plain(row_id)}
    sample = row.get("sample") if isinstance(row, Mapping) else None
    return labels | ({"sample": sample} if isinstance(sample, int) and not isinstance(sample, bool) else {})


def _place(labels: Mapping[str, Any]) -> str:
    """Where a row stands, for its reason: its id as the file has it, since a row with k answers counts as k rows here."""
    name = labels["id"]
    return f"row {str(name)[:80] if is_number(name) else repr(str(name)[:80])}" + (
        f", answer {labels['sample']}" if labels.get("sample") else ""
    )


def _to_record(domain: Domain, row: Any, where: str) -> Record | Verdict:
    """The record of a row, or the verdict on a row that cannot be read."""
    try:
        if not isinstance(row, Mapping):
            raise DataError(f"{where}: a row must be an object, not {type(row).__name__}")
        if _too_deep(row):
            raise DataError(f"{where}: nested deeper than {MAX_DEPTH} levels")
        row = with_our_names(plain_row(row))
        if (answer := row.get("answer")) is None:
            raise DataError(f"{where}: has no 'answer'")
        if isinstance(answer, bool):
            raise DataError(f"{where}: 'answer' is {answer}, a truth value: give the answer's own words, e.g. \"yes\"")
        if not isinstance(answer, str) and not is_number(answer) and not is_conversation(answer):
            kind = type(answer).__name__
            raise DataError(f"{where}: 'answer' is a {kind}, must be a string, a number or a list of messages")
        if not any(isinstance(row.get(name), str) for name in ASKED):
            row |= {"instruction": prompt_text(next((row[n] for n in ASKED if is_conversation(row.get(n))), ""))}
        task = to_task(domain, row, where)
    except (DataError, ValueError) as error:  # ValueError: an integer of more digits than str() allows
        return Verdict(status="error", reason=str(error))
    return Record(domain=domain.name, task=task, answers=(Answer(text=answer_text(answer), model=""),))


def _too_deep(value: Any) -> bool:
    """Level by level and each container once, so that shared and self-referring containers cost no more than others."""
    level: list[Any] = [(value,)]
    for _ in range(MAX_DEPTH + 2):
        inner = (part for box in level for part in (box.values() if isinstance(box, Mapping) else box))
        level = list({id(part): part for part in inner if isinstance(part, Mapping | list | tuple)}.values())
        if not level:
            return False
    return True


def read_any_rows(file: str, renames: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """(file:line, row) of a file or of standard input (`-`), every JSON value being a row: rows that datasets must not have
    get a verdict too (NaN, half a surrogate pair, a value that is no object). `renames`: our column -> the file's column.
    Raises DataError where a line is not JSON."""
    for where, row in read_found(file):
        value: Any = row
        if isinstance(row, BadRow):
            try:
                value = json.loads(row.text)
            except (ValueError, RecursionError):
                raise DataError(f"{row.where}: {row.reason}: fix or delete this row") from None
        if isinstance(value, Mapping):
            value = {**value, **{ours: value[theirs] for ours, theirs in renames.items() if theirs in value}}
        yield where, value


def verify_with_profiles(checkers: Mapping[str, Checker], rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Verdict rows by the first profile; with several, "profiles" holds the status by each."""
    first, *others = checkers.values()
    if not others:
        yield from verify_rows(first, rows)
        return
    source = iter(rows)
    while chunk := list(islice(source, CHUNK)):
        by_profile = [list(verify_rows(checker, chunk)) for checker in checkers.values()]
        for verdicts in zip(*by_profile, strict=True):
            statuses = {name: row["status"] for name, row in zip(checkers, verdicts, strict=True)}
            yield verdicts[0] | {"profiles": statuses}


def verify_to_file(
    checkers: Mapping[str, Checker],
    rows: Iterable[Any],
    out: Path,
    key: str,
    resumed: Callable[[int], None] = lambda rows: None,
) -> Iterator[dict[str, Any]]:
    """Verdict rows, each written before it is yielded; those of an earlier, killed run come first.

    `key` names all that the verdicts depend on (empty: never resume); `resumed` is called with the number of earlier rows.
    """
    partial, head = partial_beside(out), json.dumps({"run": key}) + "\n"
    done, source = 0, iter(rows)
    with _held(partial):
        for row in _earlier(partial, head) if key else ():
            next(source, None)
            done += 1
            yield row
        if done:
            resumed(done)
        with naming_file(partial), partial.open("a" if done else "w", encoding="utf-8") as file:
            if not done:
                file.write(head)
            for row in verify_with_profiles(checkers, source):
                file.write(json.dumps(row) + "\n")
                file.flush()
                yield row
        with (
            atomic_path(out) as temporary,
            partial.open("rb") as verdicts,
            temporary.open("wb") as raw,
            packed(raw, out.suffix == ".gz") as target,
        ):
            verdicts.readline()
            shutil.copyfileobj(verdicts, target)
        partial.unlink()


def refuse_other_content(out: Path) -> None:
    """Raises DataError where OUT is named like a file of another form, or exists and holds something else than verdicts: writing
    would replace what somebody still needs."""
    if out.suffix in (".csv", ".parquet", ".arrow", ".json", ".zst", ".yaml"):
        raise DataError(
            f"--out {out}: verdicts are written as JSON lines: give a name that ends in .jsonl or .jsonl.gz"
        )
    if not out.is_file() or not out.stat().st_size:
        return
    try:
        with out.open("rb") as raw, gzip.open(raw) if out.suffix == ".gz" else raw as file:
            row = json.loads(file.readline())
    except (ValueError, OSError, EOFError):
        row = None
    if not isinstance(row, Mapping) or not {"status", "reason", "score", "evidence"} <= row.keys():
        raise DataError(f"--out {out} exists and holds no verdicts: choose another name, or delete it")


def partial_beside(out: Path) -> Path:
    """Where the verdicts stand until OUT is complete."""
    return out.with_name(f"{out.name}.partial")


@contextmanager
def _held(partial: Path) -> Iterator[None]:
    """Makes sure that one process at a time writes the file. Raises DataError where another does."""
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{partial}: another process writes it: wait for it, or choose another --out") from None
        except OSError:  # a file system without locks
            pass
        if not partial.exists():  # the one before has just finished
            raise DataError(f"{partial}: another process has just finished it: its verdicts are complete")
        yield


def file_key(
    file: str, domain: Domain, settings: Verification, profiles: Sequence[str], renames: Mapping[str, str], suite: str
) -> str:  # fmt: skip
    """A digest of all that the verdicts of a file depend on (`suite`: the hash of what its rows are joined with); empty for
    standard input, folders and hub datasets, whose rows may differ the next time."""
    if not Path(file).is_file():
        return ""
    parts = [source_hash(domain), limits_of(settings), list(profiles), dict(renames), suite, file_digest(Path(file))]
    return digest(parts)


def _earlier(partial: Path, head: str) -> Iterator[dict[str, Any]]:
    repair(partial)  # a kill can leave half a line
    if not partial.is_file():
        return
    with partial.open(encoding="utf-8") as file:
        if file.readline() == head:
            yield from map(json.loads, file)
