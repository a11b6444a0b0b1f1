"""The generator's process with Transformers: texts are those of Transformers' own generate, whatever the batch."""

from __future__ import annotations

import pytest

PROMPTS = ["Add 2 and 3.", "Name a prime number above seven, please.", "Hi", "Sort [3, 1, 2] and say why."]


def job(base, **more):
    plain = {
        "model": str(base),
        "adapter": "",
        "tokenizer": str(base),
        "checkpoint": "",
        "threads": 1,
        "rank": 0,
        "gpus_each": 1,
    }
    settings = {
        "template": "chat",
        "system": "",
        "temperature": 0.0,
        "top_p": 1.0,
        "repetition_penalty": 1.0,
        "max_new_tokens": 24,
        "stops": [],
    }
    return {**plain, **settings, "probe": PROMPTS[0], **more}


def generator(base, **more):
    pytest.importorskip("torch")
    from evoltune.generate.transformers_worker import Generator

    made = Generator(job(base, **more))
    made.model.float()
    return made


def texts(made, prompts, seeds=None):
    rows = [{"prompt": p, "seed": i} for i, p in enumerate(prompts)] if seeds is None else [
        {"prompt": p, "seed": s} for p, s in zip(prompts, seeds, strict=True)
    ]  # fmt: skip
    return made.answer(rows)


def test_greedy_text_is_that_of_transformers_own_generate(tiny_base):
    import torch

    made = generator(tiny_base)
    for prompt, answer in zip(PROMPTS, texts(made, PROMPTS), strict=True):
        ids = torch.tensor([made.prompter.ids(prompt)])
        out = made.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False,
            eos_token_id=made.stop_ids.tolist(), pad_token_id=2,
        )[0, ids.shape[1] :].tolist()  # fmt: skip
        out = [t for t in out if t not in (*made.stop_ids.tolist(), 2)]
        assert answer["text"] == made.tokenizer.decode(out, skip_special_tokens=True)
        assert answer["prompt_tokens"] == ids.shape[1]


def test_a_prompt_gets_the_same_text_alone_and_in_a_left_padded_batch(tiny_base):
    made = generator(tiny_base)
    together = [a["text"] for a in texts(made, PROMPTS)]
    alone = [texts(made, [p])[0]["text"] for p in PROMPTS]
    assert together == alone


def test_what_all_prompts_begin_with_is_computed_once_and_changes_no_text(tiny_base):
    made = generator(tiny_base, system="You are a careful assistant.")
    lengths = []
    handle = made.model.register_forward_pre_hook(
        lambda model, args, inputs: lengths.append(tuple(inputs["input_ids"].shape)), with_kwargs=True
    )
    together = [a["text"] for a in texts(made, PROMPTS)]
    handle.remove()
    prompts = [made.prompter.ids(p) for p in PROMPTS]
    (one, shared), (rows, rest) = lengths[:2]
    assert (one, rows) == (1, len(PROMPTS)) and shared + rest == max(map(len, prompts))
    assert len({tuple(p[:shared]) for p in prompts}) == 1 and len({tuple(p[: shared + 1]) for p in prompts}) > 1
    assert together == [texts(made, [p])[0]["text"] for p in PROMPTS]


def test_packed_layers_compute_what_plain_ones_do(tiny_base):
    torch = pytest.importorskip("torch")
    from evoltune.generate.transformers_worker import Generator, PackedLinear, pack_linears

    model = Generator(job(tiny_base)).model
    ids = torch.arange(5, 60)[None]
    with torch.inference_mode():
        plain = model(input_ids=ids).logits
        pack_linears(model)
        packed = model(input_ids=ids).logits
    assert any(isinstance(m, PackedLinear) for m in model.modules()) == bool(
        torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
    assert torch.allclose(plain.float(), packed.float(), atol=0.02 * plain.abs().max().item())


def test_rows_that_stop_early_leave_the_batch_and_change_nothing_for_the_others(tiny_base):
    import torch

    made = generator(tiny_base, max_new_tokens=60)
    ends = made.stop_ids.tolist()
    for token in range(5, len(made.tokenizer)):  # some byte ends the rows at different steps
        made.stop_ids = torch.tensor([*ends, token])
        together = texts(made, PROMPTS)
        if len({a["tokens"] for a in together}) == len(PROMPTS):
            break
    assert len({a["tokens"] for a in together}) == len(PROMPTS)
    assert [texts(made, [p])[0] for p in PROMPTS] == together


def test_a_stop_string_cuts_the_text_before_it(tiny_base):
    whole = texts(generator(tiny_base, max_new_tokens=40), PROMPTS[:1])[0]["text"]
    stop = whole[10:12]
    answer = texts(generator(tiny_base, max_new_tokens=40, stops=[stop]), PROMPTS[:1])[0]
    assert answer["text"] == whole[: whole.find(stop)] and answer["stop"] == "stop"


def test_an_answer_ends_where_the_context_does_and_the_question_stays_whole(tiny_base):
    made = generator(tiny_base)
    made.stop_ids = made.stop_ids[:0]  # only the length ends an answer
    ids = [made.prompter.ids(prompt) for prompt in PROMPTS]
    free = texts(made, PROMPTS)
    made.prompter.context = len(ids[1]) + 20  # of the longest
    limited = texts(made, PROMPTS)
    assert [row["prompt_tokens"] for row in limited] == list(map(len, ids))
    for row, whole, prompt in zip(limited, free, ids, strict=True):
        assert row["tokens"] == min(24, made.prompter.context - len(prompt))
        assert whole["text"].startswith(row["text"].rstrip("\ufffd"))
    assert [row["tokens"] for row in limited] == [24, 20, 24, 24]
    made.prompter.context = 16
    assert made.prompter.ids(PROMPTS[1]) == ids[1][-12:] and made.prompter.room(ids[1][-12:]) == 4


def test_sampling_depends_on_the_samples_own_seed_and_not_on_its_neighbours(tiny_base):
    made = generator(tiny_base, temperature=1.0, top_p=0.9)
    batch = [a["text"] for a in texts(made, PROMPTS, [5, 6, 7, 8])]
    assert texts(made, PROMPTS[1:2], [6])[0]["text"] == batch[1]
    assert texts(made, PROMPTS[1:2], [66])[0]["text"] != batch[1]


def test_a_tiny_nucleus_is_greedy(tiny_base):
    greedy = [a["text"] for a in texts(generator(tiny_base), PROMPTS)]
    assert [a["text"] for a in texts(generator(tiny_base, temperature=1.0, top_p=1e-9), PROMPTS)] == greedy


def test_sampled_tokens_follow_the_distribution():
    torch = pytest.importorskip("torch")
    from evoltune.generate.transformers_worker import Sampler

    logits = torch.log(torch.tensor([0.1, 0.6, 0.3])).repeat(4000, 1)
    sampler = Sampler({"temperature": 1.0, "top_p": 1.0}, range(4000), 1, torch.device("cpu"))
    share = torch.bincount(sampler.draw(logits, torch.arange(4000), 0), minlength=3) / 4000
    assert torch.allclose(share, torch.tensor([0.1, 0.6, 0.3]), atol=0.03)
    narrow = Sampler({"temperature": 1.0, "top_p": 0.7}, range(4000), 1, torch.device("cpu"))
    assert set(narrow.draw(logits, torch.arange(4000), 0).tolist()) == {1, 2}  # 0.6 alone is less than 0.7


@pytest.mark.parametrize("top_p", [1.0, 0.999, 0.9, 0.3])
def test_tokens_are_those_that_sorting_the_whole_vocabulary_gives(top_p):
    torch = pytest.importorskip("torch")
    from evoltune.generate.transformers_worker import SORTED, Sampler

    rows, vocabulary = torch.arange(60), 8 * SORTED
    noise = torch.Generator().manual_seed(3)
    # from rows in which one token has everything to rows in which all have about the same: these are sorted whole
    logits = torch.randn(60, vocabulary, generator=noise) * torch.linspace(0.01, 12, 60)[:, None]
    sampler = Sampler({"temperature": 0.8, "top_p": top_p}, rows.tolist(), 1, torch.device("cpu"))
    probability, order = torch.softmax(logits / 0.8, -1).sort(-1, descending=True)
    kept = probability * (probability.cumsum(-1) - probability < top_p)
    reached = (kept.cumsum(-1) < sampler.uniform * kept.sum(-1, keepdim=True)).sum(-1, keepdim=True)
    assert sampler.draw(logits, rows, 0).tolist() == order.gather(-1, reached)[:, 0].tolist()
