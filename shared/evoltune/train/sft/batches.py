"""Best-fit packing, the order of batches, and the tensors of a batch.

Invariant: the rows of a step are the same for every number of ranks and accumulation steps, and so is the loss.
"""

import bisect
import itertools
import random
from collections.abc import Iterator, Sequence

import torch

from evoltune.models.template import IGNORED, Encoded
from evoltune.train.schedule import BatchLayout

WINDOW = 32
"""Steps among whose rows those of similar length are grouped."""


class PackedDataset:
    """The training rows: each is one document, or several packed together."""

    def __init__(self, examples: Sequence[Encoded], rows: Sequence[Sequence[int]]) -> None:
        self._examples, self._rows = examples, rows
        self.lengths = [sum(len(examples[i].ids) for i in row) for row in rows]
        self.longest = max((len(example.ids) for example in examples), default=0)
        """Tokens of the longest document."""

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> list[Encoded]:
        return [self._examples[i] for i in self._rows[index]]


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Best-fit decreasing: indices of the documents of each row. Each occurs once; no row exceeds `capacity` tokens."""
    rows: list[list[int]] = []
    with_room: dict[int, list[int]] = {}  # free tokens -> rows with exactly that many
    free_sizes: list[int] = []  # sorted keys of with_room
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        at = bisect.bisect_left(free_sizes, lengths[index])
        if at < len(free_sizes):
            free = free_sizes[at]
            row = with_room[free].pop()
            if not with_room[free]:
                del with_room[free], free_sizes[at]
        else:
            free, row = capacity, len(rows)
            rows.append([])
        rows[row].append(index)
        left = free - lengths[index]
        if left not in with_room:
            with_room[left] = []
            bisect.insort(free_sizes, left)
        with_room[left].append(row)
    return rows


class StepBatchSampler:
    """Batch sampler: the micro-batches of one rank over the whole run."""

    def __init__(
        self, lengths: Sequence[int], layout: BatchLayout, steps: int, seed: int, rank: int, group: bool
    ) -> None:
        self._lengths, self._layout, self._steps = lengths, layout, steps
        self._seed, self._rank, self._group = seed, rank, group

    def __len__(self) -> int:
        return self._steps * self._layout.accumulation

    def _all_steps(self) -> Iterator[list[int]]:
        return step_order(self._lengths, self._layout.batch, self._steps, self._seed, group=self._group)

    def step_tokens(self) -> list[int]:
        """Tokens of each step over all ranks, without padding."""
        return [sum(self._lengths[i] for i in step) for step in self._all_steps()]

    def __iter__(self) -> Iterator[list[int]]:
        for step in self._all_steps():
            yield from rank_batches(step, self._lengths, self._layout, self._rank)


def step_order(
    lengths: Sequence[int], batch: int, steps: int, seed: int, *, group: bool, window: int = WINDOW
) -> Iterator[list[int]]:
    """Row indices of each step. Epochs follow each other without loss: a step may hold the end of one and the next's start.

    With `group`, the rows of `window` steps are sorted by length before they are cut into steps, and these steps are
    shuffled. That leaves little padding, while each window is still a random sample.
    """
    stream = _epochs(len(lengths), seed)
    rng = random.Random(f"{seed}/windows")
    done = 0
    while done < steps:
        rows = list(itertools.islice(stream, batch * min(window, steps - done)))
        if group:
            rows.sort(key=lambda i: lengths[i])
        cuts = [rows[i : i + batch] for i in range(0, len(rows), batch)]
        if group:
            rng.shuffle(cuts)
        done += len(cuts)
        yield from cuts


def _epochs(size: int, seed: int) -> Iterator[int]:
    for epoch in itertools.count():
        order = list(range(size))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        yield from order


def rank_batches(step: Sequence[int], lengths: Sequence[int], layout: BatchLayout, rank: int) -> list[list[int]]:
    """The micro-batches of one rank in one step; those that the ranks work on together have rows of similar length."""
    ordered = sorted(step, key=lambda i: (-lengths[i], i))
    micros = [ordered[i : i + layout.micro] for i in range(0, len(ordered), layout.micro)]
    return micros[rank :: layout.world]


def collate(rows: Sequence[Sequence[Encoded]], pad: int) -> dict[str, torch.Tensor]:
    """Rows of one or more documents as (rows, longest) int64 tensors, without an attention mask.

    Positions restart at each document. Together with the missing mask, that tells Transformers that documents are packed:
    with a mask or a cache they would attend to each other. Padding is on the right, where causal attention cannot see it,
    and has no label. It is found by length, not by id, so a pad token that equals the stop token does no harm.
    """
    width = max(sum(len(d.ids) for d in row) for row in rows)
    ids = torch.full((len(rows), width), pad)
    labels = torch.full((len(rows), width), IGNORED)
    positions = torch.zeros((len(rows), width), dtype=torch.long)
    for r, row in enumerate(rows):
        at = start = 0
        for document in row:
            start, at = at, at + len(document.ids)
            ids[r, start:at] = torch.tensor(document.ids)
            labels[r, start:at] = torch.tensor(document.labels)
            positions[r, start:at] = torch.arange(at - start)
        positions[r, at:] = torch.arange(at - start, width - start)
    return {"input_ids": ids, "labels": labels, "position_ids": positions}
