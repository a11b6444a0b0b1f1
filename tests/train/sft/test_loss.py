"""The loss is one sum over labelled tokens, for any packing, accumulation, number of ranks and chunk of logits."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoltune.models.template import IGNORED, Encoded
from evoltune.train.schedule import BatchLayout
from evoltune.train.sft.batches import collate, pack, rank_batches


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
        {"attention_mask": torch.ones_like(ids), "use_cache": False} if leak.startswith("att") else {"use_cache": True}
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
    return (loss.item(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}, kept[0])


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
