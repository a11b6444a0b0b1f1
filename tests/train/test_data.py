"""The data path: length policy with exact counts, packing, batch order, and the loss as one sum over any split."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoltune.errors import DataError
from evoltune.models.template import IGNORED, Encoded
from evoltune.train.batch_layout import BatchLayout
from evoltune.train.sft.batches import collate, pack, rank_batches, step_order
from evoltune.train.sft.examples import encode_rows, messages_of, read_conversations


def rows_of(lengths):
    return [
        (f"row {i}", [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a" * n}])
        for i, n in enumerate(lengths)
    ]


def encoded(tokenizer, lengths, **how):
    return encode_rows(rows_of(lengths), "chat", tokenizer, **how)


def overhead(tokenizer) -> int:
    examples, _ = encoded(tokenizer, [1], max_length=999, excess="raise")
    return len(examples[0].ids) - 1


@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=12), limit=st.integers(40, 90))
def test_every_row_is_kept_dropped_or_truncated_and_counted(lengths, limit, tiny_tokenizer):
    fixed = overhead(tiny_tokenizer)
    long = [n for n in lengths if n + fixed > limit]
    examples, counts = encoded(tiny_tokenizer, lengths, max_length=limit, excess="truncate")
    assert (counts.rows, counts.kept, counts.truncated) == (len(lengths), len(lengths), len(long))
    assert counts.tokens_cut == sum(n + fixed - limit for n in long)
    assert all(len(e.ids) == len(e.labels) <= limit for e in examples)
    if len(long) == len(lengths):
        with pytest.raises(DataError, match="nothing to train on"):
            encoded(tiny_tokenizer, lengths, max_length=limit, excess="drop")
        return
    examples, counts = encoded(tiny_tokenizer, lengths, max_length=limit, excess="drop")
    assert (counts.kept, counts.dropped_too_long) == (len(lengths) - len(long), len(long))
    assert counts.tokens == sum(len(e.ids) for e in examples)
    assert counts.label_tokens == sum(label != IGNORED for e in examples for label in e.labels)


def test_a_long_row_raises_with_counts_and_the_remedy(tiny_tokenizer):
    with pytest.raises(
        DataError, match=r"2 of 3 rows are longer than train.max_length 50 .*row 1.*excess_length: drop"
    ):
        encoded(tiny_tokenizer, [1, 50, 60], max_length=50, excess="raise")


def test_a_prompt_that_fills_the_length_leaves_nothing_to_train_and_is_an_error(tiny_tokenizer):
    with pytest.raises(DataError, match="the prompt alone fills"):
        encoded(tiny_tokenizer, [9], max_length=overhead(tiny_tokenizer) - 5, excess="truncate")


def test_a_row_without_an_answer_is_an_error_that_names_it(tiny_tokenizer):
    rows = [("file.jsonl:7", [{"role": "user", "content": "q"}, {"role": "assistant", "content": " \n"}])]
    with pytest.raises(DataError, match=r"file\.jsonl:7: the answer is empty"):
        encode_rows(rows, "chat", tiny_tokenizer, max_length=99, excess="raise")


def test_foreign_rows_are_read_and_alpaca_input_stays_apart(tmp_path):
    path = tmp_path / "mixed.jsonl"
    path.write_text(
        '{"instruction": "Sort.", "input": "3, 1", "output": "1, 3", "id": "x"}\n'
        '{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}\n'
    )
    (first, sort), (_, greet) = read_conversations(str(path))
    assert "mixed.jsonl:1" in first and "'x'" in first
    assert sort[0] == {"role": "user", "content": "Sort.", "input": "3, 1"}
    assert [m["content"] for m in greet] == ["Hi", "Hello"]
    with pytest.raises(DataError, match="no instruction"):
        messages_of({"body": "x"}, "row 3")


# ---- packing and order


@given(lengths=st.lists(st.integers(1, 50), max_size=60), capacity=st.integers(50, 120))
def test_packing_places_each_document_once_and_never_overfills(lengths, capacity):
    bins = pack(lengths, capacity)
    assert sorted(itertools.chain(*bins)) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in row) <= capacity for row in bins)
    if lengths:
        assert (
            len(bins) <= -(-sum(lengths) * 2 // capacity) + 1
        )  # best-fit decreasing never wastes half of the bins


@given(
    size=st.integers(3, 40), micro=st.integers(1, 3), accumulation=st.integers(1, 3), world=st.integers(1, 3),
    steps=st.integers(1, 12), group=st.booleans(), seed=st.integers(0, 9),
)  # fmt: skip
def test_a_step_has_the_same_rows_for_every_number_of_ranks(
    size, micro, accumulation, world, steps, group, seed
):
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


# ---- the loss


def documents(seed, count, longest=20):
    rng = random.Random(seed)
    out = []
    for _ in range(count):
        length = rng.randint(3, longest)
        ids = [rng.randrange(5, 260) for _ in range(length)]
        prompt = rng.randint(1, length - 1)
        out.append(Encoded(ids=ids, labels=[IGNORED] * prompt + ids[prompt:]))
    return out


@pytest.fixture(scope="module")
def tiny_model(tiny_base):
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).double().eval()


@pytest.fixture(scope="module")
def head(tiny_model):
    from evoltune.train.sft.loss import LabelledHead

    return LabelledHead(tiny_model)


def reference(model, document) -> float:
    """Sum of token losses of one document by itself, from plain full logits."""
    import torch
    from torch.nn import functional

    logits = model(input_ids=torch.tensor([document.ids])).logits[0, :-1]
    return functional.cross_entropy(logits, torch.tensor(document.labels[1:]), reduction="sum").item()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 9), implementation=st.sampled_from(["sdpa", "eager"]))
def test_packed_loss_is_the_sum_of_single_losses(seed, count, implementation, tiny_model, head):
    tiny_model.set_attn_implementation(implementation)
    docs = documents(seed, count)
    bins = [[docs[i] for i in row] for row in pack([len(d.ids) for d in docs], 48)]
    loss = head.loss(tiny_model, collate(bins, pad=1), 1).item()
    assert loss == pytest.approx(sum(reference(tiny_model, d) for d in docs), rel=1e-5)


@pytest.mark.parametrize("leak", ["attention mask of ones", "a cache"])
def test_the_leaks_that_packing_must_avoid_are_real(leak, tiny_model):
    """Without these two differences the test above could pass for the wrong reason."""
    import torch

    docs = documents(3, 3)
    batch = collate([docs], pad=1)
    ids, positions = batch["input_ids"], batch["position_ids"]
    clean = tiny_model(input_ids=ids, position_ids=positions, use_cache=False).logits
    how = (
        {"attention_mask": torch.ones_like(ids), "use_cache": False}
        if leak.startswith("att")
        else {"use_cache": True}
    )
    assert (tiny_model(input_ids=ids, position_ids=positions, **how).logits - clean).abs().max() > 1e-3


@pytest.mark.parametrize(("micro", "world"), [(8, 1), (1, 1), (4, 2), (2, 2)])
def test_one_batch_of_eight_equals_any_accumulation_and_any_ranks(micro, world, tiny_model, head):
    import torch

    docs = documents(11, 8)
    lengths = [len(d.ids) for d in docs]
    items = sum(label != IGNORED for d in docs for label in d.labels)
    layout = BatchLayout(batch=8, micro=micro, world=world)
    micros = [m for rank in range(world) for m in rank_batches(range(8), lengths, layout, rank)]
    tiny_model.zero_grad()
    total = 0.0
    for members in micros:
        loss = head.loss(tiny_model, collate([[docs[i]] for i in members], pad=1), items)
        loss.backward()
        total += loss.item()
    gradient = torch.cat([p.grad.flatten() for p in tiny_model.parameters()])
    assert total == pytest.approx(sum(reference(tiny_model, d) for d in docs) / items, rel=1e-5)
    tiny_model.zero_grad()
    head.loss(tiny_model, collate([[d] for d in docs], pad=1), items).backward()
    whole = torch.cat([p.grad.flatten() for p in tiny_model.parameters()])
    assert torch.allclose(gradient, whole, rtol=1e-5, atol=1e-9)


def test_changing_a_prompts_labels_cannot_change_the_loss_of_its_tokens(tiny_model, head):
    """Prompt tokens never carry loss: gradients of the loss with respect to logits exist only where labels are."""
    docs = documents(5, 4)
    seen = []
    handle = tiny_model.get_output_embeddings().register_forward_hook(lambda m, i, o: seen.append(o.shape))
    head.loss(tiny_model, collate([[d] for d in docs], pad=1), 1)
    handle.remove()
    assert seen[0][0] == sum(label != IGNORED for d in docs for label in d.labels)


def _gradients(model, head, batch, items):
    """Loss, gradients by name, and the most rows of logits that autograd kept for the backward pass."""
    import torch

    kept = [0]

    def note(tensor):
        if tensor.dtype == torch.float32 and tensor.shape[1:] == (model.config.vocab_size,):
            kept[0] = max(kept[0], len(tensor))
        return tensor

    model.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        loss = head.loss(model, batch, items)
    loss.backward()
    return (
        loss.item(),
        {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None},
        kept[0],
    )


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), chunk=st.integers(1, 40))
def test_loss_and_gradients_are_the_same_for_any_chunk_of_logits(seed, chunk, tiny_base):
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    from evoltune.train.sft.loss import LabelledHead

    batch = collate([[d] for d in documents(seed, 6)], pad=1)
    labelled = int((batch["labels"][:, 1:] != IGNORED).sum())
    found = []
    for wanted in (10**6, chunk):
        model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).double().eval()
        found.append(_gradients(model, LabelledHead(model, wanted), batch, labelled))
    (whole, gradients, most), (loss, chunked, less) = found
    assert loss == pytest.approx(whole, rel=1e-5)
    assert gradients.keys() == chunked.keys()
    assert all(torch.allclose(gradients[n], chunked[n], rtol=1e-5, atol=1e-9) for n in gradients)
    assert most == labelled
    assert less == (0 if chunk < labelled else labelled)


def test_the_head_behaves_as_before_outside_of_the_loss(tiny_model, head):
    import torch

    assert tiny_model(input_ids=torch.tensor([[5, 6, 7]])).logits.shape[:2] == (1, 3)
