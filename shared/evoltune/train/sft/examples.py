"""Conversation rows into token ids and labels, under the length policy, with exact counts.

    examples, counts = encode_rows(read_conversations("dataset"), "chat", tokenizer, max_length=512, excess="drop")

Invariants: rows = kept + dropped; every example has a label; truncation keeps exactly `max_length` ids. Imports no torch.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from evoltune.errors import DataError
from evoltune.models.template import Encoded, Message, encode, stop_of
from evoltune.rows.columns import recognise
from evoltune.rows.readers import read_located

Excess = Literal["raise", "drop", "truncate"]
Conversation = tuple[str, Sequence[Message]]
"""(where it stands, its messages)."""


@dataclass(kw_only=True)
class Counts:
    """What became of the rows; printed, and written to the manifest."""

    rows: int = 0
    kept: int = 0
    dropped_too_long: int = 0
    truncated: int = 0
    tokens_cut: int = 0
    tokens: int = 0
    label_tokens: int = 0
    longest: int = 0
    too_long: list[str] = field(default_factory=list)
    """`where: tokens` of each row that was not kept."""

    def as_dict(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if k != "too_long"}


def read_conversations(source: str) -> Iterator[Conversation]:
    """(where, messages) of the rows of a file, folder, run or hub id, in any layout that `evoltune.rows` recognises."""
    for where, row in read_located(source):
        yield (f"{where} (id {row['id']!r})" if row.get("id") else where), messages_of(row, where)


def messages_of(row: Mapping[str, Any], where: str = "row") -> list[Message]:
    """A row's conversation. Alpaca's `input` stays separate, since its template has a section for it."""
    turns = recognise(row)
    if isinstance(turns, str):
        raise DataError(f"{where}: {turns}")
    user: Message = {"role": "user", "content": turns.instruction}
    if turns.form == "alpaca" and not turns.history and row.get("input"):
        user = {"role": "user", "content": row["instruction"], "input": row["input"]}
    history = [{"role": role, "content": content} for role, content in turns.history]
    return [*history, user, {"role": "assistant", "content": turns.output}]


def encode_rows(
    rows: Iterable[Conversation], template: str, tokenizer: Any, *, max_length: int, excess: Excess, system: str = ""
) -> tuple[list[Encoded], Counts]:
    """The rows of `read_conversations` as examples in the same order, and the counts.

    Raises DataError if a row has no answer, a row is too long under `raise`, or nothing is left to train on.
    """
    counts, examples = Counts(), []
    stop = stop_of(template, tokenizer)
    for where, messages in rows:
        if not str(messages[-1]["content"]).strip():
            raise DataError(f"{where}: the answer is empty, so no token would carry loss: remove the row or answer it")
        counts.rows += 1
        example = encode(template, messages, tokenizer, system, stop)
        if (fitted := _fitted(example, where, max_length, excess, counts)) is not None:
            examples.append(fitted)
    _check_counts(counts, max_length, excess)
    counts.kept = len(examples)
    counts.tokens = sum(len(e.ids) for e in examples)
    counts.label_tokens = sum(label >= 0 for e in examples for label in e.labels)
    return examples, counts


def _fitted(example: Encoded, where: str, max_length: int, excess: Excess, counts: Counts) -> Encoded | None:
    """The example within `max_length`; None if it is dropped or will be an error."""
    length = len(example.ids)
    counts.longest = max(counts.longest, length)
    if length <= max_length:
        return example
    if excess != "truncate":
        counts.too_long.append(f"{where}: {length}")
        counts.dropped_too_long += excess == "drop"
        return None
    cut = Encoded(ids=example.ids[:max_length], labels=example.labels[:max_length])
    if all(label < 0 for label in cut.labels):
        raise DataError(
            f"{where}: the prompt alone fills train.max_length {max_length} ({length} tokens in all), so truncation leaves "
            "nothing to train: set train.excess_length: drop, or raise train.max_length"
        )
    counts.truncated += 1
    counts.tokens_cut += length - max_length
    return cut


def _check_counts(counts: Counts, max_length: int, excess: Excess) -> None:
    if excess == "raise" and counts.too_long:
        raise DataError(
            f"{len(counts.too_long)} of {counts.rows} rows are longer than train.max_length {max_length} "
            f"(longest {counts.longest}; first: {counts.too_long[0]} tokens): set train.excess_length: drop or truncate, "
            "or raise train.max_length"
        )
    if not counts.rows or counts.dropped_too_long == counts.rows:
        raise DataError(
            f"nothing to train on: {counts.rows} rows, {counts.dropped_too_long} dropped as longer than train.max_length"
        )
