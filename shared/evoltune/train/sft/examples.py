"""Conversation rows into token ids and labels, under the length policy, with exact counts.

    examples, counts = encode_rows(read_conversations("dataset"), "chat", tokenizer, max_length=512, excess="drop")

Invariants: rows = kept + dropped; every example has a label; truncation keeps exactly `max_length` ids. Imports no torch.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from evoltune.errors import DataError, located
from evoltune.models.template import IGNORED, Encoded, Message, encode, has_clock, stop_of
from evoltune.rows.columns import Conversation as Columns
from evoltune.rows.columns import Layout, recognise
from evoltune.rows.readers import in_full, left_out, read_located
from evoltune.text.reasoning import join_reasoning
from evoltune.train.job import Job

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


def read_conversations(source: str, layout: Layout | None = None, *, reasoning: bool = False) -> Iterator[Conversation]:
    """(where, messages) of the rows of a file, folder, run or hub id, in any layout that `evoltune.rows` recognises.

    `layout` collects which columns are read and which are not. reasoning: an answer stands behind the thought in the row's
    column `reasoning`, as `<think>` and `</think>` enclose it. Raises DataError for a row that cannot be trained on.
    """
    thoughts = 0
    for where, row in read_located(source):
        where, found = in_full(source, where), recognise(row)
        if layout is not None:
            layout.add(row, found)
        messages = _messages(found, where)
        if reasoning and isinstance(thought := row.get("reasoning"), str):
            messages[-1] = {**messages[-1], "content": join_reasoning(str(messages[-1]["content"]), thought)}
            thoughts += bool(thought.strip())
        yield (f"{where} (id {row['id']!r})" if row.get("id") else where), messages
    if reasoning and not thoughts:
        raise DataError(f"{source}: train.reasoning is set, and no row has a thought in a column `reasoning`")


def messages_of(row: Mapping[str, Any], where: str = "row") -> list[Message]:
    """A row's conversation as training reads it, up to its last answer that carries loss. Raises DataError.

    Alpaca's `input` stays separate from a first question, since its template has a section for it; an earlier answer
    without loss has `"trained": False`.
    """
    return _messages(recognise(row), where)


def _messages(found: Columns | str, where: str) -> list[Message]:
    problem = found if isinstance(found, str) else found.problem
    if isinstance(found, str) or problem:
        raise DataError(f"{where}: {problem}")
    last = max(i for i, turn in enumerate(found.turns) if turn.role == "assistant" and turn.trained)
    messages: list[Message] = []
    for turn in found.turns[: last + 1]:
        given = {"input": found.context} if turn.role == "user" and found.context else {}
        mark = {} if turn.trained or turn.role != "assistant" else {"trained": False}
        messages.append({"role": turn.role, "content": turn.content, **given, **mark})
    return messages


def notes_on_rows(job: Job, layout: Layout, rows: Sequence[Conversation], tokenizer: Any) -> Iterator[str]:
    """What the user should see of the rows before training: columns read and left out, and what the prompts will hold."""
    yield f"{Path(job.rows).name}: {layout}"
    if others := left_out(job.rows):
        yield others
    train = job.recipe.train
    if train.system_prompt and (own := sum(messages[0]["role"] == "system" for _, messages in rows)):
        yield f"{own} of {len(rows)} rows have a system message of their own; it takes the place of train.system_prompt"
    if train.template == "chat" and has_clock(tokenizer):
        yield "the base's chat template writes today's date into each prompt"
    tokens = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    control = re.compile("|".join(map(re.escape, tokens)) or r"(?!)")
    found = ((where, hit) for where, messages in rows for m in messages if (hit := control.search(str(m["content"]))))
    if first := next(found, None):
        more = sum(1 for _ in found)
        yield (
            f"{first[0]}: the text holds {first[1].group()!r}, which this base reads as a control token"
            f"{f' ({more} more turns do)' if more else ''}"
        )


def encode_rows(
    rows: Iterable[Conversation], template: str, tokenizer: Any, *, max_length: int, excess: Excess, system: str = "",
    at: datetime | None = None,
) -> tuple[list[Encoded], Counts]:  # fmt: skip
    """The rows of `read_conversations` as examples in the same order, and the counts.

    Raises DataError if a row has no answer, a row is too long under `raise`, or nothing is left to train on.
    """
    counts, examples = Counts(), []
    stop = stop_of(template, tokenizer)
    for where, messages in rows:
        if not str(messages[-1]["content"]).strip():
            raise DataError(f"{where}: the answer is empty, so no token would carry loss: remove the row or answer it")
        counts.rows += 1
        with located(where):
            example = encode(template, messages, tokenizer, system, stop, at)
        if (fitted := _fitted(example, where, max_length, excess, counts)) is not None:
            examples.append(fitted)
    _check_counts(counts, max_length, excess)
    counts.kept = len(examples)
    counts.tokens = sum(len(e.ids) for e in examples)
    counts.label_tokens = sum(label != IGNORED for e in examples for label in e.labels)
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
    if all(label == IGNORED for label in cut.labels):
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
