"""Rows to ids and labels, the length policy with exact counts, best-fit packing, and the order of batches.

    examples, counts = encode_rows(read_conversations("dataset"), "chat", tokenizer, max_length=512, excess="drop")

Invariants: in = kept + dropped; every example has a label; truncation keeps exactly `max_length` ids; a step's rows are the
same for every number of ranks and accumulation steps, so the loss is too.
"""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from evoltune.errors import DataError
from evoltune.models.template import Encoded, Message, encode, stop_of
from evoltune.rows.columns import recognise
from evoltune.rows.readers import read_located

if TYPE_CHECKING:
    import torch

Excess = Literal["raise", "drop", "truncate"]


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

    def as_dict(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if k != "too_long"}


def read_conversations(source: str) -> Iterator[tuple[str, list[Message]]]:
    """(where, messages) of a file, folder, run or hub id in any form that `evoltune.dataset` recognises."""
    for where, row in read_located(source):
        yield (f"{where} (id {row['id']!r})" if row.get("id") else where), messages_of(row, where)


def messages_of(row: Mapping[str, Any], where: str = "row") -> list[Message]:
    """A row's conversation; Alpaca's `input` stays apart, since its template has a place for it."""
    turns = recognise(row)
    if isinstance(turns, str):
        raise DataError(f"{where}: {turns}")
    user: Message = {"role": "user", "content": turns.instruction}
    if turns.form == "alpaca" and not turns.history and row.get("input"):
        user = {"role": "user", "content": row["instruction"], "input": row["input"]}
    history = [{"role": role, "content": content} for role, content in turns.history]
    return [*history, user, {"role": "assistant", "content": turns.output}]


def encode_rows(
    conversations: Iterable[tuple[str, Sequence[Message]]],
    template: str,
    tokenizer: Any,
    *,
    max_length: int,
    excess: Excess,
    system: str = "",
) -> tuple[list[Encoded], Counts]:
    """Examples in the rows' order. Raises DataError for a row without an answer, and under `raise` for long rows."""
    counts, examples = Counts(), []
    stop = stop_of(template, tokenizer)
    for name, messages in conversations:
        if not str(messages[-1]["content"]).strip():
            raise DataError(
                f"{name}: the answer is empty, so no token would carry loss: remove the row or answer it"
            )
        counts.rows += 1
        fitted = _fit(encode(template, messages, tokenizer, system, stop), name, max_length, excess, counts)
        if fitted is not None:
            examples.append(fitted)
    _refuse(counts, max_length, excess)
    counts.kept = len(examples)
    counts.tokens = sum(len(e.ids) for e in examples)
    counts.label_tokens = sum(label >= 0 for e in examples for label in e.labels)
    return examples, counts


def _fit(example: Encoded, name: str, max_length: int, excess: Excess, counts: Counts) -> Encoded | None:
    length = len(example.ids)
    counts.longest = max(counts.longest, length)
    if length <= max_length:
        return example
    if excess != "truncate":
        counts.too_long.append(f"{name}: {length}")
        counts.dropped_too_long += excess == "drop"
        return None
    cut = Encoded(ids=example.ids[:max_length], labels=example.labels[:max_length])
    if all(label < 0 for label in cut.labels):
        raise DataError(
            f"{name}: the prompt alone fills train.max_length {max_length} ({length} tokens in all), so truncation leaves "
            "nothing to train: set train.excess_length: drop, or raise train.max_length"
        )
    counts.truncated += 1
    counts.tokens_cut += length - max_length
    return cut


def _refuse(counts: Counts, max_length: int, excess: Excess) -> None:
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


# ---- packing


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Best-fit decreasing: indices of the documents of each bin. Each index occurs once; no bin exceeds `capacity`."""
    bins: list[list[int]] = []
    room: dict[int, list[int]] = {}  # free tokens -> bins with exactly that many
    sizes: list[int] = []  # sorted keys of room
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        need = lengths[index]
        at = bisect.bisect_left(sizes, need)
        if at < len(sizes):
            free = sizes[at]
            number = room[free].pop()
            if not room[free]:
                del room[free], sizes[at]
        else:
            free, number = capacity, len(bins)
            bins.append([])
        bins[number].append(index)
        left = free - need
        if left not in room:
            room[left] = []
            bisect.insort(sizes, left)
        room[left].append(number)
    return bins


# ---- the order of batches


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a step's items are dealt: `batch` items a step, in micro-batches of `micro`, over `world` ranks."""

    batch: int
    micro: int
    world: int = 1

    @property
    def accumulation(self) -> int:
        return self.batch // (self.micro * self.world)


def step_order(
    lengths: Sequence[int], batch: int, steps: int, seed: int, *, group: bool, window: int = 32
) -> Iterator[list[int]]:
    """Item indices of each step. Epoch after epoch without loss: the last rows of one share a step with the next's first.

    With `group`, rows of a window of `window` steps are sorted by length before they are cut into steps, and the steps
    shuffled: little padding, while each window is still a random sample.
    """
    stream = _epochs(len(lengths), seed)
    rng = random.Random(f"{seed}/windows")
    done = 0
    while done < steps:
        take = list(itertools.islice(stream, batch * min(window, steps - done)))
        if group:
            take.sort(key=lambda i: lengths[i])
        cuts = [take[i : i + batch] for i in range(0, len(take), batch)]
        if group:
            rng.shuffle(cuts)
        done += len(cuts)
        yield from cuts


def _epochs(size: int, seed: int) -> Iterator[int]:
    for epoch in itertools.count():
        order = list(range(size))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        yield from order


def deal(step: Sequence[int], lengths: Sequence[int], plan: Plan, rank: int) -> list[list[int]]:
    """The micro-batches of one rank in one step; ranks of one round get rows of like length."""
    ordered = sorted(step, key=lambda i: (-lengths[i], i))
    micros = [ordered[i : i + plan.micro] for i in range(0, len(ordered), plan.micro)]
    return micros[rank :: plan.world]


# ---- tensors


def collate(bins: Sequence[Sequence[Encoded]], pad: int) -> dict[str, torch.Tensor]:
    """Each bin is a row of one or more documents; (rows, longest) int64 tensors, no attention mask.

    Positions restart at each document and no mask is given: that is how Transformers knows that documents are packed
    (with a mask, or a cache, they leak into each other). Padding stands on the right, where causal attention cannot see it,
    and carries no label; it is found by length, never by id, so that a pad token equal to the stop token does no harm.
    """
    import torch

    width = max(sum(len(d.ids) for d in row) for row in bins)
    ids = torch.full((len(bins), width), pad)
    labels = torch.full((len(bins), width), -100)
    positions = torch.zeros((len(bins), width), dtype=torch.long)
    for r, row in enumerate(bins):
        at = start = 0
        for document in row:
            start, end = at, at + len(document.ids)
            ids[r, start:end] = torch.tensor(document.ids)
            labels[r, start:end] = torch.tensor(document.labels)
            positions[r, start:end] = torch.arange(end - start)
            at = end
        positions[r, at:] = torch.arange(at - start, width - start)
    return {"input_ids": ids, "labels": labels, "position_ids": positions}
