"""Packing, and the order of batches."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from evoltune.train.schedule import BatchLayout
from evoltune.train.sft.batches import pack, rank_batches, step_order


@given(lengths=st.lists(st.integers(1, 50), max_size=60), capacity=st.integers(50, 120))
def test_packing_places_each_document_once_and_never_overfills(lengths, capacity):
    bins = pack(lengths, capacity)
    assert sorted(itertools.chain(*bins)) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in row) <= capacity for row in bins)
    if lengths:
        assert len(bins) <= -(-sum(lengths) * 2 // capacity) + 1  # best-fit decreasing never wastes half of the bins


@given(
    size=st.integers(3, 40), micro=st.integers(1, 3), accumulation=st.integers(1, 3), world=st.integers(1, 3),
    steps=st.integers(1, 12), group=st.booleans(), seed=st.integers(0, 9),
)  # fmt: skip
def test_a_step_has_the_same_rows_for_every_number_of_ranks(size, micro, accumulation, world, steps, group, seed):
    lengths = [random.Random(seed + i).randint(1, 99) for i in range(size)]
    batch = micro * accumulation * world
    order = list(step_order(lengths, batch, steps, seed, group=group))
    assert len(order) == steps and all(len(step) == batch for step in order)
    layout = BatchLayout(batch=batch, micro=micro, world=world)
    for step in order:
        dealt = [rank_batches(step, lengths, layout, rank) for rank in range(world)]
        assert all(len(micros) == accumulation for micros in dealt)
        assert sorted(i for micros in dealt for m in micros for i in m) == sorted(step)


@given(size=st.integers(1, 50), batch=st.integers(1, 16), group=st.booleans())
def test_each_epoch_shows_each_row_once(size, batch, group):
    steps = -(-2 * size // batch)
    seen = [i for step in step_order([1] * size, batch, steps, 0, group=group, window=10**6) for i in step]
    assert all(seen.count(i) >= 2 for i in range(size)) and len(seen) - 2 * size < batch


def test_grouping_by_length_saves_padding():
    lengths = [random.Random(i).randint(10, 500) for i in range(512)]

    def padded(group):
        return sum(8 * max(lengths[i] for i in step) for step in step_order(lengths, 8, 64, 0, group=group))

    assert padded(True) < 0.75 * padded(False)
